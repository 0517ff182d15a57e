"""The truth and what is shown of a case: photographs, slices in a stack, volumes."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.truth import read_shown, read_truth
from medseg_monai.grids.volume import VolumeGrid

MASK = np.zeros((6, 8), np.uint8)  # rows, columns
MASK[1:3, 2:5] = 255


def saved(file: Path, pixels: np.ndarray) -> str:
    Image.fromarray(pixels).save(file)
    return str(file)


def test_a_photograph_in_its_colours_with_its_mask(tmp_path: Path) -> None:
    spec = DatasetSpec("d", "binary", classes=("a",), channels=("r", "g", "b"), size=(4, 4))
    colours = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    case = {"image": saved(tmp_path / "i.png", colours), "label": saved(tmp_path / "m.png", MASK)}
    np.testing.assert_array_equal(read_truth(case, None, spec)[0].T, MASK > 0)
    np.testing.assert_array_equal(read_shown(case, spec).image, colours.transpose(2, 1, 0))
    other = {**case, "label": saved(tmp_path / "m.png", MASK[:5])}
    with pytest.raises(ValueError, match="m.png is 8x5 but image .*i.png is 8x6"):
        read_truth(other, None, spec)


def test_of_a_stack_the_slice_itself_is_shown(tmp_path: Path) -> None:
    spec = DatasetSpec("d", "binary", classes=("a",), channels=("before", "here", "after"), size=(4, 4), slice_stride=1)
    for number in (1, 2, 3):
        saved(tmp_path / f"slice_{number:04d}_8_6_1.50_1.50.png", np.full((6, 8), 40 * number, np.uint8))
    case = {"image": str(tmp_path / "slice_0002_8_6_1.50_1.50.png"), "label": saved(tmp_path / "m.png", MASK)}
    shown = read_shown(case, spec).image
    assert shown.shape == (1, 8, 6)
    assert (shown == 80).all()
    np.testing.assert_array_equal(read_truth(case, None, spec)[0].T, MASK > 0)


def test_a_volumes_truth_lies_on_its_own_grid_or_the_one_that_is_given(tmp_path: Path) -> None:
    spec = DatasetSpec(
        "v", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(4, 4, 4), intensity=Intensity("zscore")
    )
    values, affine = np.zeros((3, 4, 5), np.uint8), np.diag([2.0, 1, 3, 1])
    values[1, 2, 3] = 1
    case = {name: str(tmp_path / f"{name}.nii.gz") for name in ("image", "label")}
    for file in case.values():
        nibabel.save(nibabel.Nifti1Image(values, affine), file)
    for grid in (None, VolumeGrid.whole(Geometry((3, 4, 5), affine))):
        np.testing.assert_array_equal(read_truth(case, grid, spec), [values])
    np.testing.assert_array_equal(read_shown(case, spec).image, [values])
    with pytest.raises(ValueError, match="away from its image"):
        read_truth(case, VolumeGrid.whole(Geometry((3, 4, 5), np.eye(4))), spec)


def test_three_channels_of_a_volume_are_not_colours(tmp_path: Path) -> None:
    """T1, T2 and FLAIR, say: drawn as red, green and blue they would mean nothing."""
    spec = DatasetSpec(
        "v", "binary", classes=("a",), channels=("t1", "t2", "flair"), spatial_dims=3, size=(4, 4, 4),
        intensity=Intensity("zscore"),
    )  # fmt: skip
    affine = np.diag([2.0, 1, 3, 1])
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5, 3), np.int16), affine), tmp_path / "x.nii.gz")
    shown = read_shown({"image": str(tmp_path / "x.nii.gz")}, spec)
    assert (shown.image.shape, shown.colour) == ((3, 3, 4, 5), False)
    assert np.array_equal(shown.affine, affine)


def test_a_photograph_for_a_grey_network_in_its_colours_for_people(tmp_path: Path) -> None:
    spec = DatasetSpec("d", "binary", classes=("a",), channels=("grey",), size=(4, 4))
    colours = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    case = {"image": saved(tmp_path / "i.png", colours)}
    assert read_shown(case, spec).image.shape == (1, 8, 6)
    shown = read_shown(case, spec, in_colour=True)
    assert (shown.affine, shown.colour) == (None, True)
    np.testing.assert_array_equal(shown.image, colours.transpose(2, 1, 0))
