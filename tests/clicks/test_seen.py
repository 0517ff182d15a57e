"""A volume's image at a window: the same numbers as by restoring all of it, whatever its axes, box and spacing."""

import nibabel
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg_monai.clicks import Click, correct
from medseg_monai.clicks.seen import SeenVolume, block_means
from medseg_monai.clicks.window import Window
from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.volume import VolumeGrid

SIDES = st.tuples(st.integers(3, 14), st.integers(3, 14), st.integers(3, 14))
STEPS = st.tuples(st.floats(0.4, 3), st.floats(0.4, 3), st.floats(0.4, 3))


@settings(max_examples=40, deadline=None)
@given(
    shape=SIDES,
    steps=STEPS,
    codes=st.sampled_from(["RAS", "LPS", "SLP", "PIR", "ASL"]),
    network=st.one_of(st.none(), STEPS),
    seed=st.integers(0, 99),
)
def test_it_is_what_the_restored_image_reduces_to(shape, steps, codes, network, seed) -> None:
    random = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = nibabel.orientations.inv_ornt_aff(nibabel.orientations.axcodes2ornt(codes), shape)[:3, :3]
    affine[:3, :3] *= np.array(steps)
    whole = VolumeGrid.whole(Geometry(shape, affine), network)
    cut = [sorted(random.choice(side + 1, 2, replace=False).tolist()) for side in whole.box_shape]
    grid = VolumeGrid(whole.geometry, tuple(map(tuple, cut)), network)
    values = torch.from_numpy(random.normal(size=(2, *grid.network_shape)).astype(np.float32))
    window = Window.around(random.integers(0, shape, (1, 3)), float(random.uniform(1, 9)), shape, grid.spacing)
    window = Window(window.first, window.last, tuple(max(1, side // 2) for side in window.shape), window.steps)
    seen = SeenVolume(grid, values)
    expected = window.reduced(grid.restore(values).numpy())
    assert seen.shape == (2, *shape)
    assert seen.reduced(window) == pytest.approx(expected, abs=1e-4)


@given(count=st.integers(1, 40), wanted=st.integers(1, 40))
def test_means_are_those_of_torch(count: int, wanted: int) -> None:
    values = torch.arange(count, dtype=torch.float32) ** 2
    expected = F.interpolate(values[None, None], size=wanted, mode="area")[0, 0]
    assert (block_means(count, wanted) @ values).tolist() == pytest.approx(expected.tolist(), rel=1e-5, abs=1e-3)


def test_a_correction_is_the_same_with_the_restored_image() -> None:
    """A ball of which half is dark; clicks on both halves of what the network found around it."""
    shape = (40, 36, 20)
    axes = np.meshgrid(*(np.arange(side) for side in shape), indexing="ij")
    distance = np.sqrt((axes[0] - 20.0) ** 2 + (axes[1] - 18.0) ** 2 + (2 * (axes[2] - 10.0)) ** 2)
    probability = (1 / (1 + np.exp((distance - 10) / 2))).astype(np.float16)[None]
    grid = VolumeGrid.whole(Geometry(shape, np.diag([-1.0, 1.0, 2.0, 1.0])), (1.5, 1.5, 2.0))
    seen = torch.from_numpy(np.random.default_rng(0).normal(size=(1, *grid.network_shape)).astype(np.float32))
    seen[:, : seen.shape[1] // 2] -= 4
    mask = (probability[0] > 0.5).astype(np.uint8)
    clicks = [Click(18, 33, slice=10), Click(18, 12, inside=False, slice=10)]
    found = [
        correct(mask, probability, clicks, classes=["a"], task="binary", image=image, spacing=grid.spacing)
        for image in (SeenVolume(grid, seen), grid.restore(seen).numpy())
    ]
    assert (found[0].mask != mask).sum() > 100
    assert np.array_equal(found[0].mask, found[1].mask)
    assert found[0].probabilities == pytest.approx(found[1].probabilities, abs=2e-3)
