"""Linear resampling of volumes: one matrix per axis, whose weights widen when voxels grow (anti-aliasing)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


def weights_between(count: int, wanted: int, step: float) -> Tensor | None:
    """`linear_weights`; None if the voxels are the same."""
    return None if step == 1 and count == wanted else linear_weights(count, wanted, step)


@lru_cache(maxsize=64)
def linear_weights(count: int, wanted: int, step: float) -> Tensor:
    """(wanted, count) float32: the weight of each old voxel for each new one; rows sum to 1.

    New voxels are `step` old ones apart, and both rows of voxels have the same centre; beyond the ends the end voxels are repeated.

    >>> linear_weights(4, 2, 2.0)
    tensor([[0.4286, 0.4286, 0.1429, 0.0000],
            [0.0000, 0.1429, 0.4286, 0.4286]])
    >>> linear_weights(2, 3, 0.5)
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000],
            [0.0000, 1.0000]])
    """
    centres = (count - 1) / 2 + (torch.arange(wanted, dtype=torch.float64) - (wanted - 1) / 2) * step
    distances = (centres.clamp(0, count - 1)[:, None] - torch.arange(count, dtype=torch.float64)).abs()
    weights = (1 - distances / max(1.0, step)).clamp_min(0)
    return (weights / weights.sum(dim=1, keepdim=True)).float()


def along_axis(values: Tensor, weights: Tensor | None, axis: int) -> Tensor:
    """Float32 (..., I, J, K) with `weights` (new, old) applied along axis 0, 1 or 2 of the last three."""
    if weights is None:
        return values
    weights = weights.to(values.device)
    if axis == 2:
        return values @ weights.T
    if axis == 1:
        return weights @ values
    return (weights @ values.flatten(-2)).reshape(*values.shape[:-3], len(weights), *values.shape[-2:])


def resample(values: Tensor, weights: Sequence[Tensor | None]) -> Tensor:
    """Float32 (..., I, J, K) with a matrix, or None for nothing, along each of the last three axes; those that shrink come first."""
    order = sorted((len(matrix) / matrix.shape[1], axis) for axis, matrix in enumerate(weights) if matrix is not None)
    for _, axis in order:
        values = along_axis(values, weights[axis], axis)
    return values
