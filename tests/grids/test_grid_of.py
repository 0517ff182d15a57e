"""A case's grid from what ``load`` notes, and what both kinds of grid answer."""

import numpy as np
import pytest
import torch

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids import grid_of
from medseg_monai.grids.photo import PhotoGrid
from medseg_monai.grids.volume import VolumeGrid

PHOTOS = DatasetSpec("p", "binary", classes=("a",), channels=("grey",), size=(8, 4), aspect="pad")
VOLUMES = DatasetSpec(
    "v", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(8, 8, 8), intensity=Intensity("zscore")
)
AFFINE = torch.diag(torch.tensor([2.0, 1.0, 5.0, 1.0], dtype=torch.float64))
SCAN = {"spatial_shape": torch.tensor([4, 5, 6]), "affine": AFFINE, "box": torch.tensor([[1, 3], [0, 5], [2, 6]])}


def test_a_photographs_grid_counts_in_pixels() -> None:
    grid = grid_of({"spatial_shape": torch.tensor([20, 20])}, PHOTOS)
    assert isinstance(grid, PhotoGrid)
    assert (grid.own_shape, grid.network_shape, grid.box) == ((20, 20), (8, 4), (2, 0, 4, 4))
    assert (grid.spacing, grid.unit, grid.pixel_size, grid.geometry) == ((1, 1), "px", 1, None)


def test_a_volumes_grid_counts_in_millimetres() -> None:
    grid = grid_of(SCAN, VOLUMES)
    assert isinstance(grid, VolumeGrid)
    assert (grid.own_shape, grid.network_shape) == ((4, 5, 6), (2, 5, 4))
    assert (grid.spacing, grid.unit, grid.geometry.spacing_mm) == ((2, 1, 5), "mm", (2, 1, 5))
    assert grid.pixel_size == pytest.approx(10)


def test_without_a_box_the_network_saw_all() -> None:
    grid = grid_of({key: value for key, value in SCAN.items() if key != "box"}, VOLUMES)
    assert grid.network_shape == (4, 5, 6)


@pytest.mark.parametrize(("outside", "expected"), [(0.0, 0.0), (7.0, 7.0), (None, 3.0)])
def test_where_the_network_did_not_look(outside: float | None, expected: float) -> None:
    """None is the lowest value that the map has."""
    values = 3 + torch.arange(40.0).reshape(1, 2, 5, 4)
    back = grid_of(SCAN, VOLUMES).restore(values, outside=outside)
    assert back.dtype == torch.float32
    assert torch.equal(back[:, 1:3, :, 2:], values)
    unseen = torch.ones(1, 4, 5, 6, dtype=torch.bool)
    unseen[:, 1:3, :, 2:] = False
    assert back[unseen].unique().tolist() == [expected]


@pytest.mark.parametrize(
    ("meta", "spec"), [({"spatial_shape": (20, 20)}, PHOTOS), (SCAN, VOLUMES)], ids=["photo", "volume"]
)
def test_a_region_of_all_covers_what_the_network_sees_and_comes_back(
    meta: dict[str, object], spec: DatasetSpec
) -> None:
    grid = grid_of(meta, spec)
    there = grid.to_network(np.ones(grid.own_shape, bool))
    assert there.shape == grid.network_shape
    assert set(there.unique().tolist()) <= {0, 1}  # 0 in the bars of a photograph
    back = grid.restore(there[None], outside=1.0, dtype=grid.map_dtype)
    assert back.numpy() == pytest.approx(np.ones((1, *grid.own_shape)))


def test_maps_are_shown_with_the_axes_of_files() -> None:
    """Rows of pictures are the second axis of tensors; volumes keep theirs."""
    photo, volume = grid_of({"spatial_shape": (3, 2)}, PHOTOS), grid_of(SCAN, VOLUMES)
    assert photo.kind.as_shown(np.array([[[1, 2], [3, 4], [5, 6]]])).tolist() == [[[1, 3, 5], [2, 4, 6]]]
    assert volume.kind.as_shown(np.array([[[[1, 2, 3]], [[4, 5, 6]]]])).tolist() == [[[[1, 2, 3]], [[4, 5, 6]]]]


@pytest.mark.parametrize(
    ("meta", "spec"), [({"spatial_shape": (20, 10)}, PHOTOS), (SCAN, VOLUMES)], ids=["photo", "volume"]
)
def test_a_grid_is_made_again_of_what_it_says(meta: dict[str, object], spec: DatasetSpec) -> None:
    grid = grid_of(meta, spec)
    again = grid_of(grid.meta(), spec)
    assert again == grid
    assert np.array_equal(np.eye(4) if again.affine is None else again.affine, meta.get("affine", np.eye(4)))


def test_sizes_of_masks_for_people() -> None:
    """10 of 200 pixels are 5 %; 150 voxels of 2 x 1 x 5 mm are 1.5 ml."""
    photo, volume = grid_of({"spatial_shape": (20, 10)}, PHOTOS), grid_of(SCAN, VOLUMES)
    assert (photo.relative_size(10), photo.size_text(1200)) == (5.0, "1,200 pixels")
    assert (volume.relative_size(150), volume.size_text(150)) == (pytest.approx(1.5), "1.50 ml")
    assert (photo.sides_mm, volume.sides_mm) == ((), (2, 1, 5))
