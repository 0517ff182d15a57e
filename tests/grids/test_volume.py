"""The way to the network's grid and back, against nibabel, SimpleITK and arithmetic; over all 48 orientations."""

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
import torch

from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.resampling import resample
from medseg_monai.grids.turn import Turn, turned_shape
from medseg_monai.grids.volume import VolumeGrid

ORIENTATIONS = [(axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)]
SIDES = (0.7, 1.1, 3.0)


def grid_of(axes: tuple[int, ...], signs: tuple[int, ...], shape: tuple[int, int, int] = (5, 6, 7)) -> Geometry:
    """A grid whose stored axis n runs along world axis ``axes[n]``, forwards or backwards."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for stored, (world, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[world, stored] = sign * SIDES[stored]
    affine[:3, 3] = (-20, 13.5, 7)
    return Geometry(shape, affine)


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_every_orientation_is_turned_as_nibabel_does_and_back(axes: tuple[int, ...], signs: tuple[int, ...]) -> None:
    native = grid_of(axes, signs)
    values = np.arange(5 * 6 * 7, dtype=np.int16).reshape(native.shape)
    canonical = nibabel.as_closest_canonical(nibabel.Nifti1Image(values, native.affine))
    turn, grid = Turn.to_ras(native.affine), VolumeGrid.whole(native)
    assert np.array_equal(turn.apply(values), np.asarray(canonical.dataobj))
    assert np.allclose(grid.network_affine(), canonical.affine)
    assert (grid.network_shape, grid.steps) == (canonical.shape, (1, 1, 1))
    assert np.array_equal(turn.undo(turn.apply(values)), values)
    leading = np.stack([values, -values])
    assert np.array_equal(turn.undo(turn.apply(leading)), leading)


@pytest.mark.parametrize("shrink", [False, True])
@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS[::7])
def test_the_grid_lies_where_it_says(axes: tuple[int, ...], signs: tuple[int, ...], shrink: bool) -> None:
    """Values that are world coordinates stay so: linear functions survive linear interpolation."""
    native = grid_of(axes, signs, (15, 16, 14))
    spacing = (1.9, 2.1, 4.5) if shrink else (0.9, 0.6, 0.8)
    grid = VolumeGrid.whole(native, spacing)
    indices = np.stack(np.meshgrid(*map(np.arange, native.shape), indexing="ij"), axis=-1)
    world = (indices @ native.affine[:3, :3].T + native.affine[:3, 3]).transpose(3, 0, 1, 2)
    turned = torch.from_numpy(np.ascontiguousarray(grid.turn.apply(world), dtype=np.float32))
    there = resample(turned, [grid.weights(axis) for axis in range(3)]).numpy()
    assert there.shape[1:] == grid.network_shape
    indices = np.stack(np.meshgrid(*map(np.arange, grid.network_shape), indexing="ij"), axis=-1)
    wanted = (indices @ grid.network_affine()[:3, :3].T + grid.network_affine()[:3, 3]).transpose(3, 0, 1, 2)
    inner = (slice(None), *(slice(3, -3) if n > 6 else slice(n // 2, n // 2 + 1) for n in grid.network_shape))
    if not shrink:
        assert np.abs(there - wanted)[inner].max() < 0.06  # 1e-6 where voxels shrink; anti-aliasing weighs whole voxels
    assert np.abs(there - wanted)[(slice(None), *(n // 2 for n in grid.network_shape))].max() < 0.5 * max(spacing)
    assert np.linalg.norm(grid.network_affine()[:3, :3], axis=0) == pytest.approx(spacing)


def test_interpolation_is_that_of_simpleitk() -> None:
    sitk = pytest.importorskip("SimpleITK")
    native = grid_of((0, 1, 2), (1, 1, 1), (9, 8, 6))
    values = np.random.default_rng(0).normal(size=native.shape).astype(np.float32)
    grid = VolumeGrid.whole(native, (0.5, 0.8, 1.3))
    ours = resample(torch.from_numpy(values), [grid.weights(axis) for axis in range(3)]).numpy()
    image = sitk.GetImageFromArray(values.transpose(2, 1, 0))
    image.SetSpacing(native.spacing_mm)
    image.SetOrigin(
        native.affine[:3, 3].tolist()
    )  # both in the same axes: which are right and front does not matter here
    theirs = sitk.Resample(
        image,
        grid.network_shape,
        sitk.Transform(),
        sitk.sitkLinear,
        grid.network_affine()[:3, 3].tolist(),
        (0.5, 0.8, 1.3),
    )
    reference = sitk.GetArrayFromImage(theirs).transpose(2, 1, 0)
    inside = reference != 0  # beyond the outermost voxel centres SimpleITK gives 0
    assert inside.mean() > 0.6
    assert np.abs(ours - reference)[inside].max() < 1e-5


def test_a_spacing_that_differs_in_the_fifth_digit_is_the_same() -> None:
    native = grid_of((0, 1, 2), (1, -1, 1))
    grid = VolumeGrid.whole(native, tuple(side * 1.00002 for side in SIDES))
    assert grid.network_shape == turned_shape(native)
    assert [grid.weights(axis) for axis in range(3)] == [None] * 3


def test_a_box_moves_the_grid() -> None:
    native = grid_of((2, 0, 1), (-1, 1, -1), (8, 9, 10))
    cut = VolumeGrid(native, ((1, 5), (2, 8), (0, 7)))
    whole = VolumeGrid.whole(native)
    assert np.allclose(cut.network_affine()[:3, 3], (whole.network_affine() @ (1, 2, 0, 1))[:3])
    assert cut.network_shape == (4, 6, 7)


@pytest.mark.parametrize(
    ("slab_bytes", "thickness"), [(1, 1), (360 * 7, 7), (360 * 8 - 1, 7), (360 * 19, 19), (10**9, 20)]
)
def test_a_slab_takes_no_more_memory_than_it_may(slab_bytes: int, thickness: int) -> None:
    """A slice of three channels of 6 x 5 float32 takes 360 bytes; one slice is the least."""
    grid = VolumeGrid.whole(Geometry((6, 5, 20), np.eye(4)))
    values = torch.arange(3 * 600.0).reshape(3, 6, 5, 20)
    slabs: list[torch.Tensor] = []

    def finish(slab: torch.Tensor) -> torch.Tensor:
        slabs.append(slab)
        return slab

    filled = grid.fill(np.zeros((3, 6, 5, 20), np.float32), values, torch.Tensor.float, finish, slab_bytes=slab_bytes)
    assert max(slab.shape[-1] for slab in slabs) == thickness
    assert len(slabs) == -(-20 // thickness)
    assert np.array_equal(filled, values)


def test_what_the_network_did_not_see_is_0_unless_said_otherwise() -> None:
    grid = VolumeGrid(Geometry((3, 1, 1), np.eye(4)), ((1, 2), (0, 1), (0, 1)))
    assert grid.restore(torch.full((1, 1, 1, 1), 7.0)).ravel().tolist() == [0, 7, 0]
