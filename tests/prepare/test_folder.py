from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg_monai.dataset import check_dataset
from medseg_monai.prepare.folder import Source, pairs_of, prepare_folder, read_source
from medseg_monai.prepare.layouts import Drawing
from medseg_monai.prepare.pairs import PICTURES

SPLITS = ("training", "validation", "test")


def save(root: Path, *names: str, mode: str = "RGB") -> None:
    """Pictures of 8 x 6, each with its own content."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(list(name.encode())).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(root / name)


def pairs(root: Path, names: str, *, suffix: str = "_mask", mode: str = "RGB") -> Path:
    for name in names:
        save(root, f"images/{name}.png", mode=mode)
        save(root, f"masks/{name}{suffix}.png", mode="1")
    return root


def every(dataset) -> list[dict]:
    return sorted((case for split in SPLITS for case in dataset.cases(split)), key=lambda case: case["id"])


def test_images_and_masks(tmp_path):
    prepared = prepare_folder(pairs(tmp_path / "my set", "abcdef"), tmp_path / "out")
    spec = prepared.dataset.spec
    assert (spec.name, spec.task, spec.classes, spec.in_channels) == ("my_set", "binary", ("foreground",), 3)
    assert [(Path(c["image"]).name, Path(c["label"]).name) for c in every(prepared.dataset)] == [
        (f"{name}.png", f"{name}_mask.png") for name in "abcdef"
    ]
    assert prepared.left_out == ()
    check_dataset(prepared.dataset)


def test_own_folder_names_and_arguments(tmp_path):
    save(tmp_path, *(f"scans/{n}.jpg" for n in "abc"))
    save(tmp_path, *(f"truth/{n}.png" for n in "abc"), mode="1")
    options = {
        "images": "scans",
        "masks": "truth",
        "name": "mine",
        "classes": ["tumour"],
        "size": (64, 32),
        "aspect": "pad",
    }
    spec = prepare_folder(tmp_path, tmp_path / "out", **options).dataset.spec
    assert (spec.name, spec.classes, spec.size, spec.aspect) == ("mine", ("tumour",), (64, 32), "pad")


def test_images_and_masks_in_one_folder(tmp_path):
    save(tmp_path, *(f"all/{n}.jpg" for n in "abc"))
    save(tmp_path, *(f"all/{n}_segmentation.png" for n in "abc"), mode="1")
    dataset = prepare_folder(tmp_path, tmp_path / "out", images="all", masks="all").dataset
    assert [Path(case["label"]).name for case in every(dataset)] == [f"{n}_segmentation.png" for n in "abc"]


def test_masks_below_the_images_are_no_images(tmp_path):
    save(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    save(tmp_path, *(f"masks/{n}.png" for n in "abc"), mode="1")
    prepared = prepare_folder(tmp_path, tmp_path / "out", images=".")
    assert [case["id"] for case in every(prepared.dataset)] == ["a", "b", "c"]
    assert prepared.left_out == ()


def test_what_has_no_partner_or_is_no_picture_is_listed(tmp_path):
    raw = pairs(tmp_path / "raw", "abcd")
    save(raw, "images/lonely.png")
    save(raw, "masks/orphan.png", mode="1")
    (raw / "images" / "notes.txt").touch()
    (raw / "images" / "d.png").write_bytes(b"")
    prepared = prepare_folder(raw, tmp_path / "out")
    assert {path.name: reason.split(" in ")[0].split(";")[0] for path, reason in prepared.left_out} == {
        "lonely.png": "no mask",
        "orphan.png": "no image",
        "notes.txt": "not a picture",
        "d.png": "is empty (0 bytes)",
    }


def test_class_folders_make_a_multilabel_set(tmp_path):
    save(tmp_path, *(f"images/{n}.png" for n in "abcd"), mode="L")
    save(tmp_path, *(f"masks/{organ}/{n}.png" for organ in ("spleen", "liver") for n in "abc"), mode="1")
    prepared = prepare_folder(tmp_path, tmp_path / "out")
    spec = prepared.dataset.spec
    assert (spec.task, spec.classes, spec.channels) == ("multilabel", ("liver", "spleen"), ("grey",))
    assert [Path(path).parent.name for path in every(prepared.dataset)[0]["label"]] == ["liver", "spleen"]
    ((path, reason),) = prepared.left_out
    assert path.name == "d.png"
    assert "an empty mask says that a class is absent" in reason
    swapped = prepare_folder(tmp_path, tmp_path / "out", classes=["spleen", "liver"]).dataset
    assert [Path(path).parent.name for path in every(swapped)[0]["label"]] == ["spleen", "liver"]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["liver", "spleen", "kidney"], "no folder for the class 'kidney'; there are liver, spleen"),
        (["liver"], r"spleen: is not a class .known: liver.; name it or move it"),
        (["livre", "spleen"], "no folder for the class 'livre'"),
    ],
)
def test_class_list_that_does_not_match_the_folders(tmp_path, classes, message):
    save(tmp_path, "images/a.png")
    save(tmp_path, "masks/liver/a.png", "masks/spleen/a.png", mode="1")
    with pytest.raises(ValueError, match=message):
        prepare_folder(tmp_path, tmp_path / "out", classes=classes)


def test_several_classes_in_one_mask_are_multiclass(tmp_path):
    dataset = prepare_folder(pairs(tmp_path, "abc"), tmp_path / "out", classes=["x", "y"]).dataset
    assert (dataset.spec.task, dataset.spec.out_channels) == ("multiclass", 3)
    assert isinstance(dataset.training[0]["label"], str)


def test_sixteen_bits_are_scaled_by_percentiles(tmp_path):
    raw = pairs(tmp_path, "abc", mode="I;16")
    spec = prepare_folder(raw, tmp_path / "out").dataset.spec
    assert (spec.channels, spec.intensity.kind) == (("grey",), "percentile")


def test_ambiguous_names_stop_it(tmp_path):
    raw = pairs(tmp_path, "abc")
    save(raw, "masks/a_seg.png", mode="1")
    with pytest.raises(ValueError, match=r"a.png has a_mask.png and a_seg.png"):
        prepare_folder(raw, tmp_path / "out")


def test_subfolders_give_ids_that_differ(tmp_path):
    for who in ("p1", "p2", "p3"):
        save(tmp_path, f"images/{who}/s1.png")
        save(tmp_path, f"masks/{who}/s1.png", mode="1")
    dataset = prepare_folder(tmp_path, tmp_path / "out").dataset
    assert [case["id"] for case in every(dataset)] == ["p1/s1", "p2/s1", "p3/s1"]


def test_ids_stay_when_the_case_of_the_same_name_is_left_out(tmp_path):
    for path in ("p1/s1", "p2/s1", "p3/s2", "p4/s3"):
        save(tmp_path, f"images/{path}.png")
        save(tmp_path, f"masks/{path}.png", mode="1")
    (tmp_path / "masks/p2/s1.png").unlink()
    table = tmp_path / "s.csv"
    table.write_text("image_id,split\np1/s1,training\np3/s2,validation\np4/s3,test\n")
    assert [case["id"] for case in every(prepare_folder(tmp_path, tmp_path / "out", splits=table).dataset)] == [
        "p1/s1",
        "p3/s2",
        "p4/s3",
    ]


def test_folders_named_after_splits_are_the_splits(tmp_path):
    for split, names in (("train", "abc"), ("val", "d"), ("test", "ef")):
        save(tmp_path, *(f"images/{split}/{n}.png" for n in names))
        save(tmp_path, *(f"masks/{split}/{n}.png" for n in names), mode="1")
    dataset = prepare_folder(tmp_path, tmp_path / "out").dataset
    assert ["".join(case["id"] for case in dataset.cases(split)) for split in SPLITS] == ["abc", "d", "ef"]
    assert dataset.spec.classes == ("foreground",)


def test_group_pattern_keeps_patients_together(tmp_path):
    for who in range(6):
        pairs(tmp_path, [f"pat{who}_{i}" for i in range(3)])
    dataset = prepare_folder(tmp_path, tmp_path / "out", group_pattern=r"^(pat\d+)_").dataset
    homes = {(case["group"], split) for split in SPLITS for case in dataset.cases(split)}
    assert {group for group, _ in homes} == {f"pat{who}" for who in range(6)}
    assert len(homes) == 6


@pytest.mark.parametrize(
    ("pattern", "message"), [("pat", "one part in parentheses is required"), ("^(x)", "'.*' does not match 3 paths")]
)
def test_wrong_group_pattern(tmp_path, pattern, message):
    with pytest.raises(ValueError, match=message):
        prepare_folder(pairs(tmp_path, "abc"), tmp_path / "out", group_pattern=pattern)


def test_group_divided_by_the_table_is_refused(tmp_path):
    raw = pairs(tmp_path, ["p_1", "p_2", "q_1"])
    (tmp_path / "s.csv").write_text("image_id,split\np_1,training\np_2,test\nq_1,validation\n")
    with pytest.raises(ValueError, match=r"1 groups are in more than one split: p .training, test."):
        prepare_folder(raw, tmp_path / "out", splits=tmp_path / "s.csv", group_pattern="^(.)_")
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_missing_folders_name_those_that_are_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="x: no such folder$"):
        prepare_folder(tmp_path / "x", tmp_path / "out")
    pairs(tmp_path, "abc")
    with pytest.raises(FileNotFoundError, match=r"pics: no such folder .folders in .*: images, masks.; name the one"):
        prepare_folder(tmp_path, tmp_path / "out", images="pics")
    with pytest.raises(FileNotFoundError, match="labels: no such folder; name the one with the masks"):
        prepare_folder(tmp_path, tmp_path / "out", masks="labels")


def leaving_out(tmp_path: Path, *rows: str) -> Path:
    file = tmp_path / "leave_out.csv"
    file.write_text("\n".join(["image_id,reason", *rows, ""]))
    return file


def test_images_to_leave_out_are_named_with_the_reason_and_the_others_keep_their_splits(tmp_path):
    raw = pairs(tmp_path / "raw", "abcdefghij")
    before = prepare_folder(raw, tmp_path / "a").dataset
    prepared = prepare_folder(raw, tmp_path / "b", leave_out=leaving_out(tmp_path, "c,shifted", "f.png,", "z,"))
    for split in SPLITS:
        assert [case["id"] for case in prepared.dataset.cases(split)] == [
            case["id"] for case in before.cases(split) if case["id"] not in "cf"
        ]
    assert {path.name: reason for path, reason in prepared.left_out} == {
        "c.png": "named in leave_out.csv: shifted",
        "f.png": "named in leave_out.csv",
        "leave_out.csv": "1 of its 3 ids have no usable image here: z",
    }


def test_a_copy_stays_when_its_twin_of_another_split_is_left_out(tmp_path):
    raw = pairs(tmp_path / "raw", "abcde")
    (raw / "images/a.png").write_bytes((raw / "images/b.png").read_bytes())
    (raw / "splits.csv").write_text("image_id,split\na,training\nb,test\nc,training\nd,validation\ne,training\n")
    dataset = prepare_folder(raw, tmp_path / "out", leave_out=leaving_out(tmp_path, "b,")).dataset
    assert [case["id"] for case in dataset.cases("training")] == ["a", "c", "e"]


def test_a_table_to_leave_out_of_another_data_set_is_refused_and_an_empty_one_leaves_out_nothing(tmp_path):
    raw = pairs(tmp_path / "raw", "abcde")
    with pytest.raises(ValueError, match="names none of the 5 images .ids here: a, b, c, d, e"):
        prepare_folder(raw, tmp_path / "out", leave_out=leaving_out(tmp_path, "x,"))
    assert prepare_folder(raw, tmp_path / "out", leave_out=leaving_out(tmp_path)).left_out == ()


def test_leaving_out_everything_is_refused(tmp_path):
    raw = pairs(tmp_path / "raw", "abc")
    with pytest.raises(ValueError, match="no image with a usable mask; left out: .*named in leave_out.csv"):
        prepare_folder(raw, tmp_path / "out", leave_out=leaving_out(tmp_path, "a,", "b,", "c,"))


def test_folders_a_layout_and_a_pattern_exclude_each_other(tmp_path):
    def source(*, named: bool) -> Source:
        return Source(tmp_path, PICTURES, "images", "masks", named)

    for named, layout, pattern in (
        (True, "voc", ""),
        (True, "auto", "{case}.png -> {case}_m.png"),
        (False, "voc", "x"),
    ):
        with pytest.raises(ValueError, match="exclude each other; give one of them"):
            read_source(source(named=named), (), Drawing(tmp_path / "out"), layout=layout, pattern=pattern)


def test_several_masks_of_one_class_are_named(tmp_path):
    for name in ("images/x.png", "m/a/x_mask.png", "m/a/x_mask_1.png", "m/b/x_mask.png", "images/y.png", "m/a/y.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((6, 8), np.uint8)).save(tmp_path / name)
    images = [tmp_path / "images" / name for name in ("x.png", "y.png")]
    pairs, gone = pairs_of(images, tmp_path / "images", {"a": tmp_path / "m" / "a", "b": tmp_path / "m" / "b"})
    assert pairs == []
    assert {path.name: reason for path, reason in gone} == {
        "x.png": "several masks of one class: x_mask.png, x_mask_1.png; merge them",
        "y.png": f"no mask in {tmp_path / 'm' / 'b'}; an empty mask says that a class is absent",
    }
