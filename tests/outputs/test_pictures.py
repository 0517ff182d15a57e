"""Thumbnails of predictions: sizes, tints, and which slice of a volume, by hand."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.geometry import Geometry
from medseg_monai.outputs.pictures import LONGEST_SIDE, drawn_slice, picture_file, write_picture, write_volume_picture
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.quality.conformal import Margins


def test_small_pictures_are_enlarged_and_large_ones_made_small(tmp_path: Path) -> None:
    spec = demo_spec()
    for side in (40, 3000):
        Image.fromarray(np.full((side, side // 2, 3), 200, np.uint8)).save(tmp_path / "image.png")
        mask = np.zeros((1, side // 2, side), np.uint8)
        mask[:, : side // 4] = 1
        with Image.open(write_picture(tmp_path, "a", str(tmp_path / "image.png"), mask, spec)) as picture:
            width, height = picture.size
            left, right = (np.asarray(picture)[height // 2, x].astype(int) for x in (width // 8, width * 7 // 8))
        assert LONGEST_SIDE / 2 < height <= LONGEST_SIDE
        assert abs(right - 200).max() < 8
        assert (left - right)[0] < -10  # tinted: less red


def test_a_photograph_shows_through_its_tint(tmp_path: Path) -> None:
    """An eighth of the first class's colour, sky blue (86, 180, 233), over grey 200."""
    Image.fromarray(np.full((300, 300, 3), 200, np.uint8)).save(tmp_path / "image.png")
    mask = np.zeros((1, 300, 300), np.uint8)
    mask[:, 50:250, 50:250] = 1
    with Image.open(write_picture(tmp_path, "a", str(tmp_path / "image.png"), mask, demo_spec())) as picture:
        middle = np.asarray(picture)[picture.height // 2, picture.width // 2].astype(int)
    assert middle == pytest.approx([200 * 0.88 + 0.12 * colour for colour in (86, 180, 233)], abs=3)


def spec_of(intensity: Intensity) -> DatasetSpec:
    return DatasetSpec(
        "v", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(8, 8, 8), spacing_mm=(1, 1, 1),
        intensity=intensity,
    )  # fmt: skip


def write_scan(folder: Path) -> tuple[Path, np.ndarray, Geometry]:
    """12 x 8 x 5 voxels of 1 x 2 x 3 mm, lighter from the right to the left of the patient, with metal; most of the mask in slice 3."""
    affine = np.diag(
        [-1.0, -2.0, 3.0, 1.0]
    )  # the first axis grows to the left, the second to the back, the third to the head
    voxels = np.broadcast_to(np.linspace(0, 110, 12)[:, None, None], (12, 8, 5)).astype(np.float32).copy()
    voxels[0, 0] = 3000.0
    mask = np.zeros((1, 12, 8, 5), np.uint8)
    mask[0, 6:11, 2:6, 3] = mask[0, 7, 3, 1] = 1
    nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / "x.nii.gz")
    return folder / "x.nii.gz", mask, Geometry((12, 8, 5), affine)


def test_a_volume_is_drawn_as_its_fullest_axial_slice_with_square_pixels(tmp_path: Path) -> None:
    scan, mask, geometry = write_scan(tmp_path)
    windowed = spec_of(Intensity("window", lower=0, upper=110))
    drawn = drawn_slice(str(scan), mask, windowed, geometry, longest=16)
    assert drawn.shape == (16, 12, 3)  # 8 rows of 2 mm become 16 of 1 mm
    row = drawn[1, 2:, 0].astype(int)  # away from the mask and the metal
    assert (np.diff(row) > 10).all(), "the patient's right is on the left; metal does not darken the rest"
    assert row[-1] > 240
    assert drawn_slice(str(scan), mask, windowed, geometry, longest=64).shape == (64, 48, 3)
    plain = drawn_slice(str(scan), mask, spec_of(Intensity("zscore")), geometry, longest=16)
    assert plain[1, 2:, 0].max() < row[-1], "by the slice's own values the metal is the lightest"
    empty = drawn_slice(str(scan), mask * 0, windowed, geometry, longest=16)
    changed = (np.abs(drawn.astype(int) - empty).max(axis=2) > 8).nonzero()
    assert 2 * 2 - 3 <= changed[0].min() <= changed[0].max() <= 2 * 6 + 2
    assert 6 - 3 <= changed[1].min() <= changed[1].max() <= 11 + 2


def test_a_volumes_picture_is_kept_beside_the_masks(tmp_path: Path) -> None:
    scan, mask, geometry = write_scan(tmp_path)
    spec = spec_of(Intensity("window", lower=0, upper=110))
    meta = {
        "filename_or_obj": str(scan),
        "spatial_shape": torch.tensor([12, 8, 5]),
        "affine": torch.from_numpy(geometry.affine),
    }
    file = write_volume_picture(tmp_path / "out", "b", meta, mask, spec)
    assert file == picture_file(tmp_path / "out", "b")
    with Image.open(file) as picture:
        assert picture.size == (420, 560)  # 12 x 16 enlarged 35 times, up to the longest side that pages show
        shown = np.asarray(picture).astype(int)
    drawn = drawn_slice(str(scan), mask, spec, geometry, longest=560)
    assert np.abs(shown - drawn).mean() < 4, "drawn once: JPEG's loss alone"


def lines_of(with_lines: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Where two pictures differ by more than JPEG's loss."""
    return np.abs(with_lines.astype(int) - without).max(axis=2) > 30


def test_outer_and_inner_masks_are_thin_lines_around_and_within_the_mask(tmp_path: Path) -> None:
    """A mask of 20 to 80 of 100 columns; levels of another size put the outer one at 10 to 90 and the inner one at 30 to 70."""
    Image.fromarray(np.full((50, 100, 3), 200, np.uint8)).save(tmp_path / "image.png")
    mask = np.zeros((1, 100, 50), np.uint8)
    mask[0, 20:80, 10:40] = 1
    columns = np.abs(np.arange(20) * 5 + 2.5 - 50)  # 20 x 10, from the middle
    levels = np.stack([(limit - columns)[:, None].repeat(10, axis=1) for limit in (40, 20)]).astype(np.float32)
    shown = []
    for given in (None, levels):
        file = write_picture(tmp_path, "a", str(tmp_path / "image.png"), mask, demo_spec(), margin_levels=given)
        with Image.open(file) as picture:
            shown.append(np.asarray(picture))
    scale = shown[0].shape[1] / 100
    drawn = lines_of(shown[1], shown[0])[round(25 * scale)].nonzero()[0] / scale
    assert all(min(abs(x - line) for line in (10, 30, 70, 90)) < 1.5 for x in drawn)
    assert all(min(abs(drawn - line)) < 1.5 for line in (10, 30, 70, 90))


def test_a_volumes_margins_are_those_of_the_slice_that_is_drawn(tmp_path: Path) -> None:
    scan, mask, geometry = write_scan(tmp_path)
    spec, margins = spec_of(Intensity("window", lower=0, upper=110)), Margins((0.1,), (0.9,), 0.9, 0.95, 30)
    probability = mask.astype(np.float16) * np.float16(0.5)
    probability[0, 3:, :, 3] = np.maximum(probability[0, 3:, :, 3], np.float16(0.2))
    drawn = [
        drawn_slice(str(scan), mask, spec, geometry, longest=64, margins=margins, probability=given)
        for given in (None, probability, mask.astype(np.float16) * 0)
    ]
    assert np.array_equal(drawn[0], drawn[2]), "masks of nothing have no outline"
    columns = lines_of(drawn[1], drawn[0]).any(axis=0).nonzero()[0] / 4
    assert min(abs(columns - 3)) < 1
    assert not (columns < 2).any()
