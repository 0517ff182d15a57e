"""A volume described by a few numbers: values, layout, texture.

Computed from the network's input, whose values follow the data set's own rule of intensity, so a scanner's scale does not matter unless it
does to the network. Nothing of the answer is needed: what is usual can be learnt without segmenting the training volumes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from medseg_monai.grids.resampling import resample, weights_between
from medseg_monai.quality.descriptor import CELLS, details, log_of, quantiles, scales

VERSION = 1
"""Raise it with every change of what a number of `describe_volume` means: what was learnt of earlier ones then no longer judges."""
SIDE = 32
"""A volume is resized to so many voxels a side, except to see its finest texture."""
COARSEST = 4
"""Details are measured at SIDE, half of it, and so on, down to this."""
SAMPLED_VOXELS = 2**21
"""The finest texture of a larger volume is measured on evenly spaced rows with about so many voxels."""
QUANTILES = {"lowest": 0.02, "low": 0.1, "lower": 0.25, "middle": 0.5, "higher": 0.75, "high": 0.9, "highest": 0.98}
AXES = ("left to right", "back to front", "bottom to top")


def describe_volume(image: Tensor) -> dict[str, NDArray[np.float64]]:
    """Numbers that describe a volume, grouped into parts.

    Args:
        image: (C, i, j, k), the network's input, on any device; axes to the right, front and top.

    Returns:
        Part -> (numbers,), always the same number for the same C: ``values``, ``layout`` and ``texture``.
    """
    voxels = image.detach()
    small = resample(voxels.float(), [weights_between(count, SIDE, count / SIDE) for count in voxels.shape[1:]]).cpu()
    grey = small.mean(dim=0, keepdim=True)
    parts = {"values": _values(small), "layout": _layout(grey), "texture": torch.cat([_coarse(grey), _fine(voxels)])}
    return {name: numbers.double().numpy() for name, numbers in parts.items()}


def volume_number_names(channels: Sequence[str]) -> dict[str, list[str]]:
    """What each number of `describe_volume` is, in words, by part.

    Args:
        channels: names of the volume's channels.
    """
    thirds = [("left", "centre", "right"), ("back", "middle", "front"), ("bottom", "middle", "top")]
    return {
        "values": [
            f"{what} of {channel}"
            for what in ("contrast", *(f"{name} values" for name in QUANTILES))
            for channel in channels
        ],
        "layout": [f"brightness {x} {y} {z}" for x in thirds[0] for y in thirds[1] for z in thirds[2]],
        "texture": [
            *(f"detail at {scale} voxels a side" for scale in scales(SIDE, COARSEST)),
            *(f"{what} {axis}" for axis in AXES for what in ("differences between voxels", "roughness")),
        ],
    }


def _values(small: Tensor) -> Tensor:
    """Spread and quantiles of each channel; not the mean, which some rules of intensity make the same for all."""
    spread = log_of(small.flatten(1).std(dim=1))
    return torch.cat([spread, quantiles(small, list(QUANTILES.values())).flatten()])


def _layout(grey: Tensor) -> Tensor:
    """How much brighter than the mean each cell is."""
    cells = F.adaptive_avg_pool3d(grey, CELLS).flatten()
    return cells - cells.mean()


def _coarse(grey: Tensor) -> Tensor:
    """The strength of details at each scale."""
    numbers, here = [], grey
    while min(here.shape[1:]) >= COARSEST:
        coarser = F.avg_pool3d(here, 2)
        numbers.append(log_of(details(here, coarser).square().mean().sqrt()))
        here = coarser
    return torch.stack(numbers)


def _fine(voxels: Tensor) -> Tensor:
    """Along each axis the mean difference between neighbours, and between such differences, on the network's own grid.

    Noise has second differences above the first, anatomy has not; a scan of thick slices is smooth along one axis.
    """
    every = max(1, math.ceil(voxels[0].numel() / SAMPLED_VOXELS))
    numbers = []
    for axis in (1, 2, 3):
        rows = voxels.movedim(axis, 1)[:, :, ::every].float()
        first = rows.diff(dim=1).abs().mean()
        second = rows.diff(n=2, dim=1).abs().mean()
        numbers += [first, second]
    return log_of(torch.stack(numbers).nan_to_num(0)).cpu()  # an axis of one or two voxels has no differences
