"""Scores of volumes: millimetres from unequal voxels, one class at a time, and the slice that is shown."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.labels import case_view, score_labels
from medseg_monai.evaluation.metrics import class_masks, score_case
from medseg_monai.grids import Grid, grid_of
from medseg_monai.grids.truth import read_truth

SIDES = (2.0, 1.0, 5.0)
AFFINE = np.diag([-2.0, 1.0, 5.0, 1.0])


def spec_of(task: str = "multiclass") -> DatasetSpec:
    return DatasetSpec(
        "x", task, classes=("a", "b"), channels=("ct",), spatial_dims=3, size=(8, 8, 8),
        intensity=Intensity("window", lower=0, upper=100),
    )  # fmt: skip


def grid_with(shape: tuple[int, ...]) -> Grid:
    return grid_of({"spatial_shape": torch.tensor(shape), "affine": torch.from_numpy(AFFINE)}, spec_of())


def test_distances_are_millimetres_along_each_axis() -> None:
    """One voxel, three steps away along each axis in turn: 3 times that axis's side."""
    for axis, side in enumerate(SIDES):
        truth, pred = np.zeros((2, 1, 9, 9, 9), np.uint8)
        truth[0, 2, 2, 2] = 2
        pred[(0, *(5 if other == axis else 2 for other in range(3)))] = 2
        absent, moved = score_labels(pred, truth, case="x", classes=("a", "b"), spacing=grid_with((9, 9, 9)).spacing)
        assert (absent.outcome, absent.dice) == ("absent", 1)
        assert (moved.class_name, moved.outcome, moved.dice) == ("b", "ok", 0)
        assert moved.hd95 == pytest.approx(3 * side)


def test_a_missed_structure_is_as_far_as_the_volume_is_wide() -> None:
    truth = np.zeros((1, 4, 6, 3), np.uint8)
    truth[0, 1, 1, 1] = 1
    missed, _ = score_labels(
        np.zeros_like(truth), truth, case="x", classes=("a", "b"), spacing=grid_with((4, 6, 3)).spacing
    )
    assert missed.outcome == "missed"
    assert missed.hd95 == pytest.approx(np.linalg.norm([8, 6, 15]))


@pytest.mark.parametrize("channels", [1, 2])
def test_one_class_at_a_time_is_all_classes_at_once(channels: int) -> None:
    rng = np.random.default_rng(0)
    top = 3 if channels == 1 else 2
    pred, truth = rng.integers(0, top, (2, channels, 7, 6, 5), dtype=np.uint8)
    ours = score_labels(pred, truth, case="x", classes=("a", "b"), spacing=grid_with((7, 6, 5)).spacing)
    whole = score_case(class_masks(pred, 2), class_masks(truth, 2), case="x", classes=("a", "b"), spacing=SIDES)
    assert ours == whole


def test_the_slice_shown_holds_most_of_the_structure(tmp_path: Path) -> None:
    values = np.zeros((6, 7, 8), np.int16)
    values[..., 5] = 500
    label = np.zeros((6, 7, 8), np.uint8)
    label[1:4, 2:6, 5] = 2
    label[0, 0, 1] = 1
    case = {"image": str(tmp_path / "i.nii"), "label": str(tmp_path / "l.nii"), "id": "x"}
    for key, array in (("image", values), ("label", label)):
        nibabel.save(nibabel.Nifti1Image(array, AFFINE), case[key])
    assert np.array_equal(read_truth(case, grid_with((6, 7, 8)), spec_of())[0], label)
    view = case_view(case, label[None], grid_with((6, 7, 8)), spec_of(), "Dice 1.00")
    assert np.shape(view.image) == (1, 6, 7, 1)
    assert np.unique(view.image).tolist() == [100]  # the window's end
    assert np.array_equal(
        np.asarray(view.truth)[1, ..., 0], label[::-1, :, 5] == 2
    )  # turned: the first axis ran to the left
    assert np.array_equal(np.asarray(view.pred), np.asarray(view.truth))
    picture, pred, _ = view.picture_and_masks()
    assert picture.ndim == 3
    assert pred[1].any()
