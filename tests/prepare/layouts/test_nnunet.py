"""nnU-Net's raw folder and the Decathlon's: channels, regions, the ignored value, folds."""

import json
from pathlib import Path

import pytest
from raw_folders import in_splits, labels, masks, paired, pictures, read, reasons, volumes

DESCRIPTION = {
    "channel_names": {"0": "T1", "1": "T2"},
    "labels": {"background": 0, "b": 2, "a": 1},
    "file_ending": ".nii.gz",
}


def test_one_picture_for_each_case(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"imagesTr/case_{n}_0000.png" for n in range(3)))
    masks(tmp_path, *(f"labelsTr/case_{n}.png" for n in range(3)))
    name, found = read(tmp_path)
    assert name == "nnunet"
    assert paired(tmp_path, found)["case_1"] == (["imagesTr/case_1_0000.png"], ["labelsTr/case_1.png"])
    assert (len(found.pairs), found.left_out) == (3, ())


def test_channels_are_files_of_one_case(tmp_path: Path) -> None:
    volumes(tmp_path, *(f"imagesTr/c_{n}_000{k}.nii.gz" for n in "ab" for k in (1, 0)), "imagesTr/c_d_0000.nii.gz")
    labels(tmp_path, *(f"labelsTr/c_{n}.nii.gz" for n in "abde"))
    volumes(tmp_path, "imagesTs/c_f_0000.nii.gz", "imagesTr/alone_0000.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps(DESCRIPTION))
    name, found = read(tmp_path, kind="volumes")
    assert name == "nnunet"
    assert paired(tmp_path, found) == {
        f"c_{n}": ([f"imagesTr/c_{n}_000{k}.nii.gz" for k in (0, 1)], [f"labelsTr/c_{n}.nii.gz"]) for n in "ab"
    }
    assert (found.classes, found.values, found.channels) == (("a", "b"), {}, ("T1", "T2"))
    assert reasons(found) == {
        "c_d.nii.gz": "has 1 of 2 channels",
        "c_e.nii.gz": "no image",
        "alone_0000.nii.gz": "no label",
        "imagesTs": "1 volumes without labels: for prediction only",
    }


def test_regions_and_the_ignored_value(tmp_path: Path) -> None:
    volumes(tmp_path, "imagesTr/a_0000.nii.gz")
    labels(tmp_path, "labelsTr/a.nii.gz")
    said = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "FLAIR"}, "labels": said}))
    found = read(tmp_path, kind="volumes")[1]
    assert found.values == {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
    assert found.ignore == (4,)


def test_version_one_and_the_decathlon_number_their_labels_the_other_way(tmp_path: Path) -> None:
    volumes(tmp_path, "imagesTr/a.nii.gz", "imagesTr/b_1999.nii.gz")
    labels(tmp_path, "labelsTr/a.nii.gz", "labelsTr/b_1999.nii.gz")
    said = {
        "name": "X",
        "licence": "CC0",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "2": "cyst", "1": "kidney"},
    }
    (tmp_path / "dataset.json").write_text(json.dumps(said))
    found = read(tmp_path, kind="volumes")[1]
    assert sorted(paired(tmp_path, found)) == ["a", "b_1999"]  # a year at the end is not a channel
    assert (found.classes, found.channels, found.facts["licence"]) == (("kidney", "cyst"), ("CT",), "CC0")


def test_labelled_test_cases_and_folds_are_kept(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"imagesTr/{n}_0000.png" for n in "abc"), "imagesTs/z_0000.png")
    masks(tmp_path, *(f"labelsTr/{n}.png" for n in "abc"), "labelsTs/z.png")
    assert in_splits(read(tmp_path)[1]) == {"training": ["a", "b", "c"], "test": ["z"]}
    folds = [{"train": ["b", "c"], "val": ["a"]}, {"train": ["a", "c"], "val": ["b"]}]
    (tmp_path / "splits_final.json").write_text(json.dumps(folds))
    found = read(tmp_path)[1]
    assert in_splits(found) == {"training": ["b", "c"], "validation": ["a"], "test": ["z"]}
    assert {pair.id: pair.fold for pair in found.pairs} == {"a": 0, "b": 1, "c": None, "z": None}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"labels": 3}', '{"labels": {"a": "x"}}', '{"channel_names": {"x": "T1"}}']
)
def test_a_description_that_makes_no_sense_is_named(tmp_path: Path, text: str) -> None:
    pictures(tmp_path, "imagesTr/a_0000.png")
    masks(tmp_path, "labelsTr/a.png")
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(ValueError, match="dataset.json: cannot be read as nnU-Net's or the Decathlon's description"):
        read(tmp_path)


def test_images_of_one_channel_are_no_stack_and_an_empty_folder_of_images_is_not_mentioned(tmp_path: Path) -> None:
    pictures(tmp_path, "imagesTr/a_0000.png", "imagesTr/b_0000.png")
    masks(tmp_path, "labelsTr/a.png", "labelsTr/b.png")
    (tmp_path / "imagesTs").mkdir()
    found = read(tmp_path)[1]
    assert [pair.stack for pair in found.pairs] == [(), ()]
    assert found.left_out == ()
