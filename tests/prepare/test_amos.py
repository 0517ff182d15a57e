from pathlib import Path

import pytest
from raw_volumes import SPLITS, by_split, left_out, volume

from medseg_monai.prepare.amos import ORGANS, case_number, prepare_amos


def test_amos_ct_is_told_by_its_numbers(amos: Path, tmp_path: Path) -> None:
    prepared = prepare_amos(amos, tmp_path / "out")
    spec = prepared.dataset.spec
    assert (spec.name, spec.task, spec.modality) == ("amos_ct", "multiclass", "CT")
    assert (len(spec.classes), spec.classes[0], spec.classes[5], spec.classes[14]) == (
        15,
        "spleen",
        "liver",
        "prostate or uterus",
    )
    assert spec.intensity.bounds == (-160, 240)
    splits = by_split(prepared.dataset)
    assert splits["test"] == ["amos_0008", "amos_0013"]  # imagesVa: the challenge's test labels are not public
    assert [len(splits[split]) for split in SPLITS] == [5, 1, 2]
    assert "amos_0499" in splits["training"] + splits["validation"]
    assert left_out(prepared) == {"imagesTs": "1 volumes without labels: for prediction only"}


@pytest.mark.parametrize(("modality", "counts", "kind"), [("mr", [4, 1, 1], "zscore"), ("all", [9, 2, 3], "zscore")])
def test_amos_mr_and_all(amos: Path, tmp_path: Path, modality: str, counts: list[int], kind: str) -> None:
    dataset = prepare_amos(amos, tmp_path / "out", modality=modality).dataset  # type: ignore[arg-type]
    assert [len(dataset.cases(split)) for split in SPLITS] == counts
    assert dataset.spec.intensity.kind == kind
    if modality == "mr":
        assert all(case_number(Path(case["image"])) >= 500 for split in SPLITS for case in dataset.cases(split))


def test_amos_without_its_validation_part_is_drawn(amos: Path, tmp_path: Path) -> None:
    (amos / "labelsVa").rename(tmp_path / "elsewhere")
    dataset = prepare_amos(amos, tmp_path / "out").dataset
    assert [len(dataset.cases(split)) for split in SPLITS] == [4, 1, 1]  # 60 / 20 / 20 of six


def test_amos_names_without_a_number_are_refused(amos: Path, tmp_path: Path) -> None:
    volume(amos, "extra", top=15)
    with pytest.raises(ValueError, match=r"extra.nii.gz: has no case number"):
        prepare_amos(amos, tmp_path / "out")
    assert len(ORGANS) == 15


def test_volumes_to_leave_out(amos: Path, tmp_path: Path) -> None:
    (tmp_path / "leave_out.csv").write_text("image_id\namos_0013\n")
    prepared = prepare_amos(amos, tmp_path / "out", leave_out=tmp_path / "leave_out.csv")
    assert by_split(prepared.dataset)["test"] == ["amos_0008"]
    assert left_out(prepared)["amos_0013.nii.gz"] == "named in leave_out.csv"
