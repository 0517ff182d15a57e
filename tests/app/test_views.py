"""Photographs and volumes as they are looked at: nothing is resampled, and what is drawn on a slice reaches the volume."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg_monai.app.views import WINDOWS, PhotoView, Place, VolumeView, index_at, view_of
from medseg_monai.images.volumes import read_geometry

# voxel index to RAS: i grows to the back, j to the left, k to the head
AFFINE = np.array([[0, -2.0, 0, 0], [-3.0, 0, 0, 0], [0, 0, 5.0, 0], [0, 0, 0, 1]])


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    file = tmp_path / "volume.nii.gz"
    values = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), file)
    return file


def test_a_photograph_is_shown_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    view = view_of(tmp_path / "a.png", None)
    assert isinstance(view, PhotoView)
    assert np.array_equal(view.picture(Place()), pixels)
    assert view.pixel_sides(Place()) == (1, 1)
    assert index_at(view, Place(), (5, 7), 4, 6) == (4, 6)


def test_planes_sides_and_directions_of_a_volume(volume: Path) -> None:
    """By hand: left is +j, back +i, head +k; the picture's right is the patient's left, its top the front or the head."""
    view = view_of(volume, read_geometry(volume))
    assert isinstance(view, VolumeView)
    assert view.planes == {"axial": 4, "coronal": 2, "sagittal": 3}
    values = np.arange(24).reshape(1, 2, 3, 4)
    axial = view.slice_of(values, Place("axial", 1))[0]
    assert np.array_equal(axial, values[0, :, :, 1])  # rows: front to back, columns: right to left
    coronal = view.slice_of(values, Place("coronal", 1))[0]
    assert np.array_equal(coronal, values[0, 1, :, ::-1].T)  # the head at the top
    sagittal = view.slice_of(values, Place("sagittal", 2))[0]
    assert np.array_equal(sagittal, values[0, :, 2, ::-1].T)
    assert view.pixel_sides(Place("axial")) == (2, 3)
    assert view.pixel_sides(Place("coronal")) == (2, 5)
    assert view.pixel_sides(Place("sagittal")) == (3, 5)


@pytest.mark.parametrize("unit", [1, 1000], ids=["integers", "thousandths"])
def test_the_whole_range_leaves_out_half_a_percent_on_either_side(tmp_path: Path, unit: int) -> None:
    """Of values 0 to 200, one per slice, from 1 to 199."""
    values = np.broadcast_to(np.arange(201, dtype=np.float32) / unit, (4, 4, 201))
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-1, -1, 1, 1])), tmp_path / "ramp.nii.gz")
    view = VolumeView(tmp_path / "ramp.nii.gz", read_geometry(tmp_path / "ramp.nii.gz"))
    shades = [int(view.picture(Place("axial", number))[0, 0, 0]) for number in (0, 1, 3, 100, 199, 200)]
    assert shades == [0, 0, round(2 * 255 / 198), 128, 255, 255]


@pytest.mark.parametrize("place", [Place("axial", 3), Place("coronal", 0), Place("sagittal", 1)])
def test_what_is_drawn_on_a_slice_is_in_the_volume(volume: Path, place: Place) -> None:
    view = VolumeView(volume, read_geometry(volume))
    mask = np.zeros((2, 3, 4), np.uint8)
    view.slice_of(mask[None], place)[0][0, 1] = 1
    assert np.argwhere(mask).tolist() == [list(index_at(view, place, mask.shape, 0, 1))]


def test_windows_map_hounsfield_units_to_grey(tmp_path: Path) -> None:
    file = tmp_path / "ct.nii.gz"
    values = np.array([-1000, -160, 40, 240, 2000], np.float32).reshape(5, 1, 1)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1, 1, 1, 1])), file)
    view = VolumeView(file, read_geometry(file))
    shown = view.picture(Place("axial", 0, "soft tissue"))
    assert sorted(shown[0, :, 0].tolist()) == [0, 0, 128, 255, 255]
    low, high = WINDOWS["soft tissue"] or (0, 0)
    assert (low, high) == (-160, 240)
    assert np.array_equal(shown[..., 0], shown[..., 2])


def test_a_constant_volume_is_drawn(tmp_path: Path) -> None:
    file = tmp_path / "flat.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.full((2, 2, 2), 7, np.float32), np.eye(4)), file)
    assert VolumeView(file, read_geometry(file)).picture(Place("axial", 0)).max() == 0


def test_an_index_outside_is_an_error() -> None:
    class Whole(PhotoView):
        def __init__(self) -> None: ...

    with pytest.raises(IndexError):
        index_at(Whole(), Place(), (2, 2), 2, 0)
