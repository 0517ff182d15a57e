"""TotalSegmentator: a file for each organ, splits from meta.csv."""

from pathlib import Path

import pytest
from raw_folders import in_splits, labels, paired, read, reasons, volumes


def case(root: Path, name: str, *organs: str) -> None:
    volumes(root, f"{name}/ct.nii.gz")
    for number, organ in enumerate(organs):
        labels(root, f"{name}/segmentations/{organ}.nii.gz", values=(*[0] * number, 1, 0, 0, 0))


def test_organs_are_classes(tmp_path: Path) -> None:
    for name in ("s0001", "s0002"):
        case(tmp_path, name, "spleen", "liver")
    case(tmp_path, "s0003", "liver")
    volumes(tmp_path, "s0004/ct.nii.gz")
    labels(tmp_path, "s0005/segmentations/liver.nii.gz")
    name, found = read(tmp_path, kind="volumes")
    assert (name, found.classes, found.channels, found.exclusive) == (
        "totalsegmentator",
        ("liver", "spleen"),
        ("ct",),
        True,
    )
    assert paired(tmp_path, found) == {
        s: ([f"{s}/ct.nii.gz"], [f"{s}/segmentations/{organ}.nii.gz" for organ in ("liver", "spleen")])
        for s in ("s0001", "s0002")
    }
    assert {path.relative_to(tmp_path).parts[0]: why.split(";")[0] for path, why in found.left_out} == {
        "s0003": "has no file for spleen",
        "s0004": "no segmentations beside it",
        "s0005": "no scan (ct, mri, mr, image) beside segmentations",
    }
    assert len(reasons(found)) == 2  # two are called ct.nii.gz


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_meta_csv_states_the_splits(tmp_path: Path, encoding: str) -> None:
    for name in ("s0001", "s0002", "s0003"):
        case(tmp_path, name, "liver")
    table = "image_id;age;split\ns0001;50;train\ns0002;60;val\ns0003;70;test\n"
    (tmp_path / "meta.csv").write_text(table, encoding=encoding)
    found = read(tmp_path, kind="volumes")[1]
    assert in_splits(found) == {"training": ["s0001"], "validation": ["s0002"], "test": ["s0003"]}


def test_a_single_organ_is_not_a_file_for_each_class(tmp_path: Path) -> None:
    for name in ("s0001", "s0002"):
        case(tmp_path, name, "liver")
    found = read(tmp_path, kind="volumes")[1]
    assert (found.classes, found.class_files, len(found.pairs)) == (("liver",), False, 2)


def test_segmentations_without_any_scan_are_another_layout(tmp_path: Path) -> None:
    labels(tmp_path, "s0001/segmentations/liver.nii.gz", "s0002/segmentations/liver.nii.gz")
    with pytest.raises(ValueError, match="nothing says which are masks"):
        read(tmp_path, kind="volumes", layout="totalsegmentator")
