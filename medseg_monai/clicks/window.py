"""The part of an image that clicks can change, on a coarser grid: what keeps a correction fast whatever the image's size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
MAX_PIXELS = {2: 160**2, 3: 40**3}
"""Largest number of the coarser grid's pixels, by number of axes."""


@dataclass(frozen=True)
class Window:
    """A box of an image's pixels, and the coarser grid that covers it.

    Attributes:
        first: index of the box's first pixel.
        last: index after its last pixel.
        shape: of the coarser grid.
        steps: distance of the coarser grid's pixels along each axis, in pixels or mm.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    shape: tuple[int, ...]
    steps: tuple[float, ...]

    @classmethod
    def around(cls, points: NDArray[np.intp], reach: float, shape: Sequence[int], spacing: Sequence[float]) -> Window:
        """The window of everything that lies within `reach` of the (N, axes) `points`, along each axis.

        The coarser grid has nearly equal steps along all axes, none of them finer than the image's own.
        """
        sides, length = np.asarray(shape), np.asarray(spacing, np.float64)
        margin = np.ceil(reach / length)
        first = np.maximum(0, points.min(axis=0) - margin).astype(int)
        last = np.minimum(sides, points.max(axis=0) + margin + 1).astype(int)
        coarse = _coarse_shape(last - first, (last - first) * length)
        steps = tuple(float(side) for side in (last - first) * length / coarse)
        return cls(tuple(first.tolist()), tuple(last.tolist()), tuple(coarse.tolist()), steps)

    @property
    def cut(self) -> tuple[slice, ...]:
        """The box as slices of the image."""
        return tuple(slice(low, high) for low, high in zip(self.first, self.last, strict=True))

    def reduced(self, maps: Iterable[NDArray[Any]]) -> Floats:
        """Maps (*S) of the image's grid to float32 (C, *shape): means over the coarser pixels."""
        # one map at a time: floats of a whole CT are large
        parts = (torch.from_numpy(as_floats(channel[self.cut]))[None, None] for channel in maps)
        reduced: Floats = np.stack([F.interpolate(part, size=self.shape, mode="area")[0, 0].numpy() for part in parts])
        return reduced

    def around_change(self, change: Floats) -> tuple[slice, ...]:
        """The part of the image, as slices, that depends on the coarser pixels where `change` (*shape) is not 0."""
        found = []
        for axis, (low, high, count) in enumerate(zip(self.first, self.last, self.shape, strict=True)):
            changed = np.flatnonzero(change.any(axis=tuple(other for other in range(change.ndim) if other != axis)))
            per_pixel = (high - low) / count
            start = low + math.floor((changed[0] - 0.5) * per_pixel)
            stop = low + math.ceil((changed[-1] + 1.5) * per_pixel)
            found.append(slice(max(low, start), min(high, stop)))
        return tuple(found)

    def enlarged(self, field: Floats, part: Sequence[slice]) -> Floats:
        """(*shape) interpolated linearly at the pixels of `part` of the image, float32."""
        for axis, (low, high, count, wanted) in enumerate(zip(self.first, self.last, self.shape, part, strict=True)):
            at = (np.arange(wanted.start, wanted.stop) - low + 0.5) * (count / (high - low)) - 0.5
            at = at.clip(0, count - 1)
            before = np.minimum(at.astype(int), max(0, count - 2))
            share = (at - before).astype(np.float32).reshape(-1, *[1] * (field.ndim - axis - 1))
            lower = field.take(before, axis=axis)
            upper = field.take(np.minimum(before + 1, count - 1), axis=axis)
            upper -= lower
            upper *= share
            upper += lower
            field = upper
        return field

    def coarse(self, index: Sequence[int]) -> tuple[int, ...]:
        """The coarser pixel that a pixel of the image lies in."""
        return tuple(
            (at - low) * count // (high - low)
            for at, low, high, count in zip(index, self.first, self.last, self.shape, strict=True)
        )


def as_floats(values: NDArray[Any]) -> Floats:
    """A float32 copy, C-contiguous; of float16 by torch, which converts ten times as fast as NumPy."""
    if values.dtype == np.float16:
        copied: Floats = torch.from_numpy(np.ascontiguousarray(values)).float().numpy()
        return copied
    return np.array(values, np.float32, order="C")


def _coarse_shape(sides: NDArray[np.intp], extent: NDArray[np.float64]) -> NDArray[np.intp]:
    """The finest grid over `sides` pixels that is within `MAX_PIXELS` and has nearly equal steps, no finer than the pixels."""

    def of(step: float) -> NDArray[np.intp]:
        coarse: NDArray[np.intp] = np.minimum(sides, np.maximum(1, np.ceil(extent / step).astype(np.intp)))
        return coarse

    limit = MAX_PIXELS[len(sides)]
    low, high = float((extent / sides).min()), float(extent.max())
    if math.prod(of(low)) <= limit:
        return of(low)
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if math.prod(of(middle)) <= limit else (middle, high)
    return of(high)
