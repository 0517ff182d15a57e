"""Whole volumes through a network that sees patches: windows side by side, blended with Gaussian weights.

The windows are on a regular grid, so the sum of their weights is a product of one row of numbers per axis. Each window is
weighted by its share of that sum from the start: no second map accumulates the weights, and nothing is divided at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice, product
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

SIGMA = 1 / 8
"""Standard deviation of the Gaussian weights, as a share of the window (nnU-Net: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z)."""
LEAST_WEIGHT = 1e-3
"""Smallest weight of a window's outermost voxels, relative to its centre, per axis."""
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


Place = tuple[slice, slice, slice, slice, slice]
Window = tuple[Place, Tensor]


class SlidingWindow(Inferer):
    """Run the network on windows of a volume and blend the logits.

    Args:
        run: runs the network on a few windows, (B, C, i, j, k).
        size: of the windows, (i, j, k); a smaller volume is padded with its lowest value, like training patches.
        overlap: of neighbouring windows, as a share of a window, 0 or more and below 1.
        at_once: number of windows in a batch.
        half_above_bytes: a map of logits larger than this in float32 is kept in float16, whose steps are a thousandth of a logit.

    Raises:
        ValueError: the overlap is out of range.
    """

    def __init__(
        self,
        run: Inferer,
        size: Sequence[int],
        *,
        overlap: float = 0.5,
        at_once: int = 1,
        half_above_bytes: int = HALF_ABOVE_BYTES,
    ) -> None:
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap is {overlap}; it must be in [0, 1)")
        self.run = run
        self.size = tuple(size)
        self.overlap = overlap
        self.at_once = max(1, at_once)
        self.half_above_bytes = half_above_bytes

    def __call__(
        self, inputs: Tensor, network: Callable[..., Tensor | list[Tensor]] | nn.Module, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Logits of ``inputs``, (B, C, i, j, k); float32, or float16 if the map is large."""
        padded, kept = _padded(inputs.as_subclass(Tensor), self.size)
        blended: Tensor | None = None
        for group in _groups(self._windows(padded), self.at_once):
            windows = torch.cat([padded[place] for place, _ in group])
            answer = self.run(windows, network, *args, **kwargs)
            logits: Tensor = answer[0] if isinstance(answer, list) else answer
            if blended is None:
                blended = self._empty(logits, padded)
            for (place, weights), part in zip(group, torch.chunk(logits, len(group)), strict=True):
                blended[place] += (part * weights).to(blended.dtype)
        if blended is None:
            raise ValueError("got an empty volume")
        return blended[kept]

    def _windows(self, volume: Tensor) -> Iterator[Window]:
        """The position of each window, and its weights (i, j, k)."""
        shape = volume.shape[2:]
        starts = [window_starts(n, w, self.overlap) for n, w in zip(shape, self.size, strict=True)]
        rows = [window_weights(*of).to(volume.device) for of in zip(shape, self.size, starts, strict=True)]
        for i, j, k in product(*(range(len(axis)) for axis in starts)):
            at = [slice(axis[n], axis[n] + w) for axis, n, w in zip(starts, (i, j, k), self.size, strict=True)]
            yield _whole(*at), rows[0][i][:, None, None] * rows[1][j][:, None] * rows[2][k]

    def _empty(self, logits: Tensor, volume: Tensor) -> Tensor:
        shape = (len(volume), logits.shape[1], *volume.shape[2:])
        large = 4 * math.prod(shape) > self.half_above_bytes
        return torch.zeros(shape, dtype=torch.float16 if large else torch.float32, device=logits.device)


def _whole(i: slice, j: slice, k: slice) -> Place:
    """The index of a part of every channel and sample."""
    return slice(None), slice(None), i, j, k


def _padded(inputs: Tensor, size: Sequence[int]) -> tuple[Tensor, Place]:
    """The volume padded to at least `size`, centred, and its position in the result."""
    shape = inputs.shape[2:]
    missing = [max(0, wanted - n) for wanted, n in zip(size, shape, strict=True)]
    kept = _whole(*(slice(m // 2, m // 2 + n) for m, n in zip(missing, shape, strict=True)))
    if not any(missing):
        return inputs, kept
    lowest = inputs.amin(dim=(2, 3, 4), keepdim=True)
    padded = lowest.expand(*inputs.shape[:2], *(n + m for n, m in zip(shape, missing, strict=True))).clone()
    padded[kept] = inputs
    return padded, kept


def _groups(items: Iterator[Window], size: int) -> Iterator[list[Window]]:
    while group := list(islice(items, size)):
        yield group
