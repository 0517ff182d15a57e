"""Whole volumes through a network that sees patches: windows side by side, blended with Gaussian weights.

The windows stand on a regular grid, so the sum of their weights is a product of one row of numbers per axis. Each window is
weighted by its share of that sum from the start: no second map counts the weights, and nothing is divided at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

from medseg_monai.inference import PrecisionInferer

SIGMA = 1 / 8
"""Standard deviation of the Gaussian weights, as a share of the window (nnU-Net: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z)."""
LEAST_WEIGHT = 1e-3
"""The weight of a window's outermost voxels, at least: of the weight at its centre, per axis."""
HALF_ABOVE_BYTES = 2**30
"""A map of logits that would be larger than this in float32 is kept in float16."""


def window_starts(length: int, window: int, overlap: float) -> tuple[int, ...]:
    """First voxels of the windows along one axis: evenly spread, overlapping by at least `overlap` of a window.

    >>> window_starts(10, 4, 0.5), window_starts(4, 4, 0.5), window_starts(5, 4, 0.5)
    ((0, 2, 4, 6), (0,), (0, 1))
    """
    if length <= window:
        return (0,)
    step = max(1, math.floor(window * (1 - overlap)))
    count = math.ceil((length - window) / step) + 1
    return tuple(round(number * (length - window) / (count - 1)) for number in range(count))


@lru_cache(maxsize=16)
def window_weights(length: int, window: int, starts: tuple[int, ...]) -> Tensor:
    """(len(starts), window) float32: the weight of each window's voxels along one axis; at each voxel of the axis they sum to 1."""
    away = (torch.arange(window, dtype=torch.float64) - (window - 1) / 2) / (SIGMA * window)
    gaussian = torch.exp(-0.5 * away**2).clamp_min(LEAST_WEIGHT)
    total = torch.zeros(length, dtype=torch.float64)
    for start in starts:
        total[start : start + window] += gaussian
    return torch.stack([gaussian / total[start : start + window] for start in starts]).float()


class SlidingWindow(Inferer):
    """Run the network on windows of a volume and blend the logits.

    Args:
        size: of the windows, (i, j, k); a smaller volume is padded with its lowest value, as training patches are.
        precision: as in `medseg_monai.inference.precision_of`.
        device: where the network runs.
        overlap: of neighbouring windows, as a share of a window, 0 or more and below 1.
        at_once: windows that go through the network together.
        half_above_bytes: a map of logits larger than this in float32 is kept in float16, whose steps are a thousandth of a logit.

    Raises:
        ValueError: an overlap out of range.
    """

    def __init__(
        self,
        size: Sequence[int],
        *,
        precision: str,
        device: str | torch.device,
        overlap: float = 0.5,
        at_once: int = 1,
        half_above_bytes: int = HALF_ABOVE_BYTES,
    ) -> None:
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap is {overlap}; it must be 0 or more and below 1")
        self.size = tuple(size)
        self.run = PrecisionInferer(precision, device)
        self.overlap = overlap
        self.at_once = max(1, at_once)
        self.half_above_bytes = half_above_bytes

    def __call__(
        self, inputs: Tensor, network: Callable[..., Tensor | list[Tensor]] | nn.Module, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Logits of ``inputs``, (B, C, i, j, k); float32, or float16 where the map is large."""
        inputs = inputs.as_subclass(Tensor)
        padded, kept = _padded(inputs, self.size)
        shape = tuple(padded.shape[2:])
        if shape == self.size:
            return self._logits(padded, network, *args, **kwargs)[(..., *kept)]
        starts = [window_starts(n, w, self.overlap) for n, w in zip(shape, self.size, strict=True)]
        weights = [window_weights(*of).to(inputs.device) for of in zip(shape, self.size, starts, strict=True)]
        blended: Tensor | None = None
        for numbers in _groups(list(product(*(range(len(s)) for s in starts))), self.at_once):
            places = [
                tuple(slice(s[n], s[n] + w) for s, n, w in zip(starts, number, self.size, strict=True))
                for number in numbers
            ]
            windows = torch.cat([padded[(..., *place)] for place in places])
            logits = self._logits(windows, network, *args, **kwargs)
            if blended is None:
                blended = self._empty(len(inputs), logits.shape[1], shape, logits.device)
            for number, place, part in zip(numbers, places, logits.split(len(inputs)), strict=True):
                i, j, k = (axis[n] for axis, n in zip(weights, number, strict=True))
                blended[(..., *place)] += (part * (i[:, None, None] * j[:, None] * k)).to(blended.dtype)
        if blended is None:
            raise ValueError("an empty volume came")
        return blended[(..., *kept)]

    def _logits(self, windows: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        answer = self.run(windows, network, *args, **kwargs)
        return answer[0] if isinstance(answer, list) else answer

    def _empty(self, batch: int, channels: int, shape: Sequence[int], device: torch.device) -> Tensor:
        large = 4 * batch * channels * math.prod(shape) > self.half_above_bytes
        return torch.zeros((batch, channels, *shape), dtype=torch.float16 if large else torch.float32, device=device)


def _padded(inputs: Tensor, size: Sequence[int]) -> tuple[Tensor, tuple[slice, ...]]:
    """(B, C, i, j, k) of at least `size`, itself in the middle, and where it lies."""
    shape = inputs.shape[2:]
    missing = [max(0, wanted - n) for wanted, n in zip(size, shape, strict=True)]
    kept = tuple(slice(m // 2, m // 2 + n) for m, n in zip(missing, shape, strict=True))
    if not any(missing):
        return inputs, kept
    lowest = inputs.amin(dim=(2, 3, 4), keepdim=True)
    padded = lowest.expand(*inputs.shape[:2], *(n + m for n, m in zip(shape, missing, strict=True))).clone()
    padded[(..., *kept)] = inputs
    return padded, kept


def _groups(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[first : first + size] for first in range(0, len(items), size))

