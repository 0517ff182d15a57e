from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_volumes import SPLITS, gappy, left_out, save

from medseg_monai.dataset import read_dataset
from medseg_monai.dataset.label_values import LabelValues
from medseg_monai.grids.geometry import Geometry
from medseg_monai.images.label_volumes import read_label_volume, write_label_volume
from medseg_monai.prepare.nifti import prepare_nifti


def test_any_folders_match_by_name(tmp_path: Path) -> None:
    root = tmp_path / "my scans"
    for name in "abcde":
        save(root / "images" / f"{name}.nii.gz", np.random.default_rng(ord(name)).normal(size=(6, 5, 4)))
        grid = Geometry((6, 5, 4), np.eye(4))
        label = np.zeros((6, 5, 4), np.uint8)
        label[0], label[1] = 1, 2
        file = root / "labels" / f"{name}_seg.nii.gz"
        write_label_volume(label, grid, file, ["kidney", "cyst"])
    (root / "images" / "notes.txt").write_text("x")
    prepared = prepare_nifti(root, tmp_path / "out")
    spec = prepared.dataset.spec
    assert (spec.name, spec.task, spec.classes, spec.modality) == ("my_scans", "multiclass", ("kidney", "cyst"), "MR")
    assert left_out(prepared) == {"notes.txt": "not a volume"}
    first = prepared.dataset.cases("training")[0]
    assert Path(first["label"]).name == f"{first['id']}_seg.nii.gz"
    assert first["present"] == ["kidney", "cyst"]


def test_classes_without_names_are_numbered(tmp_path: Path) -> None:
    for name in "abcde":
        save(tmp_path / "images" / f"{name}.nii", np.full((6, 5, 4), -1000 - ord(name), np.int16))
        save(tmp_path / "labels" / f"{name}.nii", np.full((6, 5, 4), 1 if name < "e" else 3, np.uint8))
    spec = prepare_nifti(tmp_path, tmp_path / "out").dataset.spec
    assert (spec.classes, spec.modality) == (("class 1", "class 3"), "CT")
    assert spec.label_values == LabelValues.from_dict({"class 1": 1, "class 3": 3})
    spec = prepare_nifti(tmp_path, tmp_path / "out", classes=("liver",)).dataset.spec
    assert (spec.task, spec.classes) == ("binary", ("liver",))  # e, which holds 3, is left out


def test_a_folder_per_class_is_multilabel(tmp_path: Path) -> None:
    for name in "abcde":
        save(tmp_path / "images" / f"{name}.nii.gz", np.full((6, 5, 4), ord(name), np.int16))
        for organ in ("bowel", "stomach"):
            save(tmp_path / "labels" / organ / f"{name}.nii.gz", np.ones((6, 5, 4), np.uint8))
    dataset = prepare_nifti(tmp_path, tmp_path / "out").dataset
    assert (dataset.spec.task, dataset.spec.classes) == ("multilabel", ("bowel", "stomach"))
    assert [Path(file).parent.name for file in dataset.cases("training")[0]["label"]] == ["bowel", "stomach"]


def test_which_of_the_classes_along_a_fourth_axis_are_present_is_not_guessed(tmp_path: Path) -> None:
    for name in "abcde":
        save(tmp_path / "images" / f"{name}.nii.gz", np.full((6, 5, 4), ord(name), np.int16))
        label = np.zeros((6, 5, 4, 2), np.uint8)
        label[..., 1] = 1  # the second class alone
        save(tmp_path / "labels" / f"{name}.nii.gz", label)
    dataset = prepare_nifti(tmp_path, tmp_path / "out", task="multilabel", classes=("bowel", "stomach")).dataset
    assert all("present" not in case for split in SPLITS for case in dataset.cases(split))


def test_labels_too_high_for_classes_are_named(tmp_path: Path) -> None:
    for name in "abcde":
        save(tmp_path / "images" / f"{name}.nii.gz", np.zeros((6, 10, 7), np.int16))
        save(tmp_path / "labels" / f"{name}.nii.gz", np.arange(420, dtype=np.int16).reshape(6, 10, 7))
    with pytest.raises(ValueError, match="the labels have 419 values up to 419, more than the 254 that can be classes"):
        prepare_nifti(tmp_path, tmp_path / "out")


def test_labels_with_gaps_become_classes_without_a_hole(tmp_path: Path, medseg: Callable[..., Any]) -> None:
    raw = gappy(tmp_path, 1, 2, 4)
    prepared = prepare_nifti(raw, tmp_path / "out")
    spec = prepared.dataset.spec
    assert (spec.classes, prepared.notes) == (("class 1", "class 2", "class 4"), ())
    case = prepared.dataset.cases("training")[0]
    assert case["present"] == list(spec.classes)
    assert np.unique(read_label_volume(case["label"], spec)).tolist() == [0, 1, 2, 3]
    named = ("--class", "edema=2", "--class", "core=1+4")
    assert medseg("prepare", "nifti", raw, "--out", tmp_path / "named", *named).code == 0
    spec = read_dataset(tmp_path / "named").spec
    assert (spec.task, spec.classes) == ("multiclass", ("edema", "core"))
    assert np.array_equal(read_label_volume(case["label"], spec)[0], np.resize([0, 2, 1, 2], (6, 5, 4)))


def test_values_of_several_classes_make_them_overlap(tmp_path: Path) -> None:
    regions = {"whole": (1, 2, 4), "core": (1, 4)}
    spec = prepare_nifti(
        gappy(tmp_path, 1, 2, 4), tmp_path / "out", classes=tuple(regions), label_values=regions
    ).dataset.spec
    assert spec.task == "multilabel"


def test_labels_that_are_all_ignored_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="all 5 masks are empty: none has a pixel of a that is not ignored"):
        prepare_nifti(gappy(tmp_path, 7), tmp_path / "out", classes=("a",), ignore=(7,))


def test_volumes_to_leave_out(tmp_path: Path) -> None:
    root = gappy(tmp_path / "raw", 1)
    (tmp_path / "leave_out.csv").write_text("image_id\nb\n")
    prepared = prepare_nifti(root, tmp_path / "out", leave_out=tmp_path / "leave_out.csv")
    assert sorted(case["id"] for split in SPLITS for case in prepared.dataset.cases(split)) == ["a", "c", "d", "e"]
    assert left_out(prepared) == {"b.nii.gz": "named in leave_out.csv"}
