"""Whole volumes through a network that sees patches: windows side by side, blended with Gaussian weights.

The windows are on a regular grid, so the sum of their weights is a product of one row of numbers per axis. Each window is
weighted by its share of that sum from the start: no second map accumulates the weights, and nothing is divided at the end.

Windows in which there is nothing are passed over: those whose voxels all have one value, as the air of a CT has below the lower limit
of intensity. Windows of one value have one answer, so the network is asked once for each value, and the result is that of asking every
time. Where air is noisy, as in MR, no window is of one value, and every window is run.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn

logger = logging.getLogger(__name__)

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
Window = tuple[Place, tuple[Tensor, Tensor, Tensor]]
"""A window's position, and the weights of its voxels along each axis."""


class SlidingWindow(Inferer):
    """Run the network on windows of a volume and blend the logits.

    Args:
        run: runs the network on a few windows, (B, C, i, j, k).
        size: of the windows, (i, j, k); a smaller volume is padded with its lowest value, like training patches.
        overlap: of neighbouring windows, as a share of a window, 0 or more and below 1.
        at_once: number of windows in a batch.
        half_above_bytes: a map of logits larger than this in float32 is kept in float16, whose steps are a thousandth of a logit.
        pass_over_empty: whether windows that hold a single value share one answer; False runs every window.

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
        pass_over_empty: bool = True,
    ) -> None:
        if not 0 <= overlap < 1:
            raise ValueError(f"overlap is {overlap}; it must be in [0, 1)")
        self.run = run
        self.size = tuple(size)
        self.overlap = overlap
        self.at_once = max(1, at_once)
        self.half_above_bytes = half_above_bytes
        self.pass_over_empty = pass_over_empty

    def __call__(
        self, inputs: Tensor, network: Callable[..., Tensor | list[Tensor]] | nn.Module, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Logits of ``inputs``, (B, C, i, j, k); float32, or float16 if the map is large."""
        padded, kept = _padded(inputs.as_subclass(Tensor), self.size)
        blended: Tensor | None = None
        for windows, alike in self._groups(padded):
            seen = [padded[place] for place, _ in windows]
            answer = self.run(seen[0] if alike else torch.cat(seen), network, *args, **kwargs)
            logits: Tensor = answer[0] if isinstance(answer, list) else answer
            if blended is None:
                blended = self._empty(logits, padded)
            parts = [logits] * len(windows) if alike else torch.chunk(logits, len(windows))
            for (place, (i, j, k)), part in zip(windows, parts, strict=True):
                blended[place] += (part * (i[:, None, None] * j[:, None] * k)).to(blended.dtype)
        if blended is None:
            raise ValueError("got an empty volume")
        return blended[kept]

    def _groups(self, volume: Tensor) -> Iterator[tuple[list[Window], bool]]:
        """Windows that are run together, and whether they share one answer; those of a single value come last, together."""
        full: list[Window] = []
        empty: dict[tuple[float, ...], list[Window]] = {}
        for window in self._windows(volume):
            values = only_values(volume[window[0]]) if self.pass_over_empty else None
            (full if values is None else empty.setdefault(values, [])).append(window)
        if empty:
            passed = sum(map(len, empty.values()))
            logger.debug("passed over %d of %d windows, which hold a single value", passed, len(full) + passed)
        for first in range(0, len(full), self.at_once):
            yield full[first : first + self.at_once], False
        for alike in empty.values():
            yield alike, True

    def _windows(self, volume: Tensor) -> list[Window]:
        """All windows, from the middle of the volume outwards: an engine is chosen by the first that contain something."""
        shape = volume.shape[2:]
        starts = [window_starts(n, w, self.overlap) for n, w in zip(shape, self.size, strict=True)]
        rows = [window_weights(*of).to(volume.device) for of in zip(shape, self.size, starts, strict=True)]

        def away(numbers: tuple[int, ...]) -> float:
            axes = zip(starts, numbers, shape, self.size, strict=True)
            return sum(((2 * axis[n] + w) / length - 1) ** 2 for axis, n, length, w in axes)

        windows = []
        for i, j, k in sorted(product(*(range(len(axis)) for axis in starts)), key=away):
            at = [slice(axis[n], axis[n] + w) for axis, n, w in zip(starts, (i, j, k), self.size, strict=True)]
            windows.append((_whole(*at), (rows[0][i], rows[1][j], rows[2][k])))
        return windows

    def _empty(self, logits: Tensor, volume: Tensor) -> Tensor:
        shape = (len(volume), logits.shape[1], *volume.shape[2:])
        large = 4 * math.prod(shape) > self.half_above_bytes
        return torch.zeros(shape, dtype=torch.float16 if large else torch.float32, device=logits.device)


def only_values(part: Tensor) -> tuple[float, ...] | None:
    """The value of each sample's channels in (B, C, i, j, k), if each has only one; else None.

    >>> only_values(torch.ones(1, 2, 4, 4, 4)), only_values(torch.arange(8.0).reshape(1, 1, 2, 2, 2))
    ((1.0, 1.0), None)
    """
    first = part[..., :1, :1, :1]
    few = part[..., ::8, ::8, ::8]  # settles most windows without reading all of them
    if bool((few == first).all()) and bool((part == first).all()):
        return tuple(first.flatten().tolist())
    return None


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
