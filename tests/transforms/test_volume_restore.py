"""Labels back on the scan's own grid: exact for turned axes, within half a voxel after resampling, a slab at a time."""

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import one_hot

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.volume import VolumeGrid
from medseg_monai.images.label_volumes import write_label_volume
from medseg_monai.transforms import load, normalise, postprocess
from medseg_monai.transforms.volume_restore import restore_mask, restore_probabilities
from medseg_monai.transforms.volumes import label_on_network_grid

ORIENTATIONS = [(axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def spec_of(task: str = "multiclass", spacing: tuple[float, ...] | None = None) -> DatasetSpec:
    classes = ("a",) if task == "binary" else ("a", "b", "c")
    return DatasetSpec(
        "x", task, classes=classes, channels=("ct",), spatial_dims=3, size=(8, 8, 8), spacing_mm=spacing,
        intensity=Intensity("window", lower=0, upper=100),
    )  # fmt: skip


def geometry(
    axes: tuple[int, ...], signs: tuple[int, ...], shape: tuple[int, int, int], sides: tuple[float, ...]
) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = 0
    for stored, (world, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[world, stored] = sign * sides[stored]
    affine[:3, 3] = (3, -40, 12)
    return Geometry(shape, affine)


def logits_of(label: np.ndarray, count: int) -> torch.Tensor:
    """(C, i, j, k) logits that are sure of a label (1, i, j, k)."""
    return 20 * one_hot(torch.from_numpy(label[0]).long(), count).permute(3, 0, 1, 2).float()


@given(
    orientation=st.sampled_from(ORIENTATIONS),
    shape=st.tuples(*[st.integers(1, 7)] * 3),
    slab_bytes=st.sampled_from([1, 400, 10**6]),
    seed=st.integers(0, 99),
)
def test_turned_axes_come_back_to_the_voxel(orientation, shape, slab_bytes, seed) -> None:  # type: ignore[no-untyped-def]
    native = geometry(*orientation, shape, (0.8, 1.5, 4))
    truth = np.random.default_rng(seed).integers(0, 4, (1, *shape), dtype=np.uint8)
    grid, spec = VolumeGrid.whole(native), spec_of()
    there = label_on_network_grid(truth, grid, spec)
    back = restore_mask(logits_of(there, 4), grid, spec, slab_bytes=slab_bytes)
    assert back.dtype == torch.uint8
    assert np.array_equal(back.numpy(), truth)


def asymmetric(native: Geometry) -> np.ndarray:
    """(1, I, J, K): an L in world space with a long and a short leg, and a block at one end: no flip maps it to itself."""
    indices = np.stack(np.meshgrid(*map(np.arange, native.shape), indexing="ij"), axis=-1)
    middle = native.affine @ (*((n - 1) / 2 for n in native.shape), 1)
    x, y, z = np.moveaxis(indices @ native.affine[:3, :3].T + native.affine[:3, 3] - middle[:3], -1, 0)
    label = np.zeros(native.shape, np.uint8)
    label[(abs(x + 9) < 5) & (abs(y) < 17) & (abs(z) < 8)] = 1
    label[(abs(x) < 15) & (abs(y - 12) < 5) & (abs(z) < 8)] = 2
    label[(abs(x - 8) < 5) & (abs(y + 9) < 5) & (abs(z - 8) < 6)] = 3
    return label[None]


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), (2.0, 1.0, 3.0), (0.9, 2.2, 1.1)])
@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS[::5])
def test_a_known_shape_comes_back_within_half_a_voxel(axes, signs, spacing) -> None:  # type: ignore[no-untyped-def]
    shape = tuple(int(np.rint((46, 52, 44)[world] / side)) for world, side in zip(axes, (0.9, 1.3, 2.0), strict=True))
    native = geometry(axes, signs, shape, (0.9, 1.3, 2.0))  # type: ignore[arg-type]
    spec = spec_of(spacing=spacing)
    truth, grid = asymmetric(native), VolumeGrid.whole(native, spacing)
    back = restore_mask(logits_of(label_on_network_grid(truth, grid, spec), 4), grid, spec).numpy()
    for number in (1, 2, 3):
        ours, theirs = (np.argwhere(label[0] == number) * native.spacing_mm for label in (back, truth))
        assert np.abs(ours.mean(0) - theirs.mean(0)).max() < 0.5 * max(spacing)
        for extreme in (np.min, np.max):
            moved = np.abs(extreme(ours, axis=0) - extreme(theirs, axis=0))
            # the surface by half a voxel of the network's grid; then it falls on the next voxel of the scan's
            assert (moved <= 0.5 * np.array(spacing)[list(axes)] + native.spacing_mm).all()
    overlap = 2 * ((back == truth) & (truth > 0)).sum() / ((back > 0).sum() + (truth > 0).sum())
    assert overlap > 0.85


def test_probabilities_are_those_of_simpleitk() -> None:
    """The way back, against an independent linear interpolation between the same two grids."""
    sitk = pytest.importorskip("SimpleITK")
    native = geometry((0, 1, 2), (1, 1, 1), (20, 18, 9), (1, 1.25, 3))
    spec = spec_of("binary", (2, 2, 4))
    grid = VolumeGrid.whole(native, spec.spacing_mm)
    probs = np.random.default_rng(1).uniform(0.05, 0.95, (1, *grid.network_shape)).astype(np.float32)
    ours = restore_probabilities(torch.logit(torch.from_numpy(probs)), grid, spec, slab_bytes=1)[0].numpy()
    image = sitk.GetImageFromArray(probs[0].transpose(2, 1, 0))
    image.SetSpacing((2, 2, 4))
    image.SetOrigin(grid.network_affine()[:3, 3].tolist())
    theirs = sitk.Resample(
        image, native.shape, sitk.Transform(), sitk.sitkLinear, native.affine[:3, 3].tolist(), native.spacing_mm
    )
    reference = sitk.GetArrayFromImage(theirs).transpose(2, 1, 0)
    inside = reference > 0
    assert inside.mean() > 0.5
    assert np.abs(ours - reference)[inside].max() < 1e-3  # float16


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_outside_the_part_that_was_seen_is_background(task: str) -> None:
    spec = spec_of(task)
    native = geometry((1, 0, 2), (1, -1, 1), (6, 7, 8), (1, 1, 1))
    grid = VolumeGrid(native, ((2, 5), (1, 4), (3, 8)))
    sure = torch.full((spec.out_channels, *grid.network_shape), 9.0)
    sure[0] -= 1.0 if task == "multiclass" else 0.0
    mask = restore_mask(sure, grid, spec)
    assert mask.shape == (spec.label_channels, *native.shape)
    assert (mask > 0).sum() == spec.label_channels * 3 * 3 * 5
    assert (mask[0, 1:4, 2:5, 3:] > 0).all()  # stored axis 0 lies along y, stored axis 1 (7 voxels) backwards along x
    kept = restore_probabilities(sure, grid, spec)
    assert kept.dtype == torch.float16
    outside = kept[:, 0, 0, 0].tolist()
    assert outside == ([1, 0, 0, 0] if task == "multiclass" else [0] * len(outside))


def test_half_precision_decides_alike() -> None:
    spec, native = spec_of(spacing=(2, 2, 2)), geometry((0, 1, 2), (1, 1, 1), (12, 12, 12), (1.5, 1.5, 1.5))
    grid = VolumeGrid.whole(native, spec.spacing_mm)
    logits = 4 * torch.randn(4, *grid.network_shape, generator=torch.Generator().manual_seed(0))
    full, half = (restore_mask(each, grid, spec) for each in (logits, logits.half()))
    assert (full != half).float().mean() < 2e-3


def test_a_map_of_another_grid_is_refused() -> None:
    native = geometry((0, 1, 2), (1, 1, 1), (6, 6, 6), (1, 1, 1))
    with pytest.raises(ValueError, match=r"\(4, 5, 6, 6\), expected \(C, 6, 6, 6\)"):
        restore_mask(torch.zeros(4, 5, 6, 6), VolumeGrid.whole(native), spec_of())


def test_a_case_through_the_pipelines(tmp_path: Path) -> None:
    """From a file and back on the same grid, by the factories that configs call."""
    native = geometry((2, 0, 1), (-1, 1, -1), (14, 12, 10), (1, 2, 1.5))
    truth = np.random.default_rng(2).integers(0, 4, native.shape, dtype=np.uint8)
    file = write_label_volume(truth, native, tmp_path / "a.nii.gz")
    spec = spec_of()
    case = normalise(spec)(load(spec)({"image": str(file), "label": str(file), "id": "a"}))
    case["pred"] = logits_of(case["label"].numpy(), 4)
    done = postprocess(spec, keep_probabilities=True)(case)
    assert np.array_equal(done["pred"][0].numpy(), truth)
    assert done["probability"].shape == (4, *native.shape)
