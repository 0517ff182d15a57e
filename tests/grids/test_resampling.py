import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.grids.resampling import linear_weights


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
