import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.grids.resampling import linear_weights, resample, weights_between


@given(
    count=st.integers(1, 40),
    wanted=st.integers(1, 40),
    step=st.floats(0.2, 5, allow_nan=False),
)
def test_weights_are_shares(count: int, wanted: int, step: float) -> None:
    weights = linear_weights(count, wanted, step)
    assert weights.shape == (wanted, count)
    assert weights.min() >= 0
    assert torch.allclose(weights.sum(1), torch.ones(wanted), atol=1e-6)
    assert torch.allclose(weights, weights.flip(0, 1), atol=1e-6)  # both rows of voxels have one centre


def test_shrinking_takes_every_voxel_into_account() -> None:
    """Without anti-aliasing a bright slice between two samples would vanish."""
    weights = linear_weights(30, 10, 3.0)
    assert weights.sum(0)[4:-4].numpy() == pytest.approx(np.full(22, 1 / 3), rel=1e-5)


def test_voxels_are_copied_only_if_number_and_size_are_the_same() -> None:
    assert weights_between(5, 5, 1.0) is None
    for count, wanted, step in ((5, 5, 1.1), (5, 4, 1.0), (4, 5, 1.0)):
        weights = weights_between(count, wanted, step)
        assert weights is not None
        places = weights.double() @ torch.arange(count, dtype=torch.float64)
        # the new voxels' places in the old row, whose centre is theirs; beyond its ends the end voxels go on
        expected = (count - 1) / 2 + (torch.arange(wanted) - (wanted - 1) / 2) * step
        inner = slice(1, -1)
        assert places[inner].numpy() == pytest.approx(expected.clamp(0, count - 1)[inner].numpy(), abs=0.07)


def test_the_order_of_axes_does_not_matter() -> None:
    values = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    weights = [linear_weights(4, 7, 0.5), None, linear_weights(6, 3, 2.0)]
    expected = torch.einsum("ni,cijk,mk->cnjm", weights[0], values, weights[2])
    torch.testing.assert_close(resample(values, weights), expected)
