"""The grid that a network sees a volume on, and the ways there and back.

Three steps lead there, each exactly known, so that it can be undone: the axes are turned to right-anterior-superior (RAS), the part
around the patient is cut out, and that part is resampled to the network's spacing. Resampling is linear and one matrix per axis;
where voxels grow the weights grow with them (anti-aliasing). Both grids have the same centre.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medseg_monai.images.grid import Geometry
from medseg_monai.images.photos import Array

Shape = tuple[int, int, int]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
SAME_SPACING = 1e-3
"""Spacings that differ by less than this share count as equal: voxels are then copied, not interpolated."""


@dataclass(frozen=True)
class Turn:
    """A permutation of the three axes, and which of them run backwards.

    Args:
        axes: turned axis a is the axis ``axes[a]`` of the volume as stored.
        flipped: whether turned axis a runs against it.
    """

    axes: Shape
    flipped: tuple[bool, bool, bool]

    @classmethod
    def to_ras(cls, affine: NDArray[np.float64]) -> Turn:
        """The turn after which the axes point right, anterior, superior as nearly as whole axes can."""
        orientation = nibabel.io_orientation(affine)  # type: ignore[no-untyped-call]
        axes = tuple(int(np.flatnonzero(orientation[:, 0] == axis)[0]) for axis in range(3))
        i, j, k = (bool(orientation[axis, 1] < 0) for axis in axes)
        return cls((axes[0], axes[1], axes[2]), (i, j, k))

    def apply(self, array: Array) -> Array:
        """A view of (..., I, J, K), turned."""
        leading = array.ndim - 3
        turned: Array = array.transpose(*range(leading), *(leading + axis for axis in self.axes))[self._directions]
        return turned

    def undo(self, array: Array) -> Array:
        """A view of a turned (..., I, J, K), as the volume is stored."""
        leading = array.ndim - 3
        order = [*range(leading), *(leading + self.axes.index(axis) for axis in range(3))]
        stored: Array = array[self._directions].transpose(order)
        return stored

    @property
    def _directions(self) -> tuple[Any, ...]:
        directions = [slice(None, None, -1 if flip else 1) for flip in self.flipped]
        return (..., *directions)


@dataclass(frozen=True)
class NetworkGrid:
    """A scan's own grid and the network's, and what lies between them.

    Args:
        native: the scan's own grid.
        box: first voxel, and the one after the last, of the part that the network sees; per axis, after turning.
        spacing_mm: of the network's grid along (R, A, S); None for the scan's own.
    """

    native: Geometry
    box: Box
    spacing_mm: tuple[float, ...] | None = None

    @classmethod
    def whole(cls, native: Geometry, spacing_mm: Sequence[float] | None = None) -> NetworkGrid:
        """The grid over the whole scan."""
        i, j, k = turned_shape(native)
        return cls(native, ((0, i), (0, j), (0, k)), None if spacing_mm is None else tuple(spacing_mm))

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any], spacing_mm: Sequence[float] | None) -> NetworkGrid:
        """From the ``image_meta_dict`` that ``load`` adds to a case."""
        shape = tuple(int(n) for n in meta["spatial_shape"])
        native = Geometry((shape[0], shape[1], shape[2]), np.asarray(meta["affine"], np.float64))
        i, j, k = ((int(first), int(last)) for first, last in meta["box"])
        return cls(native, (i, j, k), None if spacing_mm is None else tuple(spacing_mm))

    @cached_property
    def turn(self) -> Turn:
        """From the stored axes to RAS."""
        return Turn.to_ras(self.native.affine)

    @property
    def box_shape(self) -> Shape:
        """Voxels of the part that is seen, at the scan's own spacing."""
        i, j, k = (last - first for first, last in self.box)
        return i, j, k

    @property
    def steps(self) -> tuple[float, ...]:
        """The network's voxel side in voxels of the scan, per turned axis; exactly 1 where they are the same."""
        own = [self.native.spacing_mm[axis] for axis in self.turn.axes]
        ratios = [to / side for to, side in zip(self.spacing_mm or own, own, strict=True)]
        return tuple(1.0 if abs(ratio - 1) < SAME_SPACING else ratio for ratio in ratios)

    @property
    def shape(self) -> Shape:
        """Voxels of the network's grid: as many as cover the part that is seen."""
        i, j, k = (
            max(1, math.ceil(length / step - SAME_SPACING))
            for length, step in zip(self.box_shape, self.steps, strict=True)
        )
        return i, j, k

    @property
    def cut(self) -> tuple[slice, slice, slice]:
        """The part that is seen, as slices of the turned volume."""
        i, j, k = (slice(first, last) for first, last in self.box)
        return i, j, k

    @property
    def cut_channels(self) -> tuple[slice, slice, slice, slice]:
        """The same of a turned volume (C, i, j, k)."""
        i, j, k = self.cut
        return slice(None), i, j, k

    def weights(self, axis: int) -> Tensor | None:
        """(network, scan) weights along a turned axis; None where voxels are the same."""
        return _weights(self.box_shape[axis], self.shape[axis], self.steps[axis])

    def weights_back(self, axis: int) -> Tensor | None:
        """(scan, network) weights along a turned axis; None where voxels are the same."""
        return _weights(self.shape[axis], self.box_shape[axis], 1 / self.steps[axis])

    def affine(self) -> NDArray[np.float64]:
        """(4, 4) from an index on the network's grid to RAS millimetres."""
        shape = np.array(turned_shape(self.native))
        turned = np.zeros((4, 4))
        turned[3, 3] = 1
        for axis, (source, flip) in enumerate(zip(self.turn.axes, self.turn.flipped, strict=True)):
            turned[:3, axis] = self.native.affine[:3, source] * (-1 if flip else 1)
        ends = np.where(self.turn.flipped, shape - 1, 0)  # stored index, along each turned axis, of turned index 0
        first = np.zeros(3)
        first[list(self.turn.axes)] = ends
        turned[:3, 3] = self.native.affine[:3, :3] @ first + self.native.affine[:3, 3]
        steps, start = np.array(self.steps), np.array([first for first, _ in self.box])
        own = np.eye(4)
        own[:3, :3] = np.diag(steps)
        own[:3, 3] = start + (np.array(self.box_shape) - 1) / 2 - steps * (np.array(self.shape) - 1) / 2
        grid: NDArray[np.float64] = turned @ own
        return grid


def turned_shape(native: Geometry) -> Shape:
    """The shape after turning to RAS."""
    i, j, k = (native.shape[axis] for axis in Turn.to_ras(native.affine).axes)
    return i, j, k


def _weights(count: int, wanted: int, step: float) -> Tensor | None:
    return None if step == 1 and count == wanted else linear_weights(count, wanted, step)


@lru_cache(maxsize=64)
def linear_weights(count: int, wanted: int, step: float) -> Tensor:
    """(wanted, count) float32: how much each old voxel counts for each new one, rows summing to 1.

    New voxels are `step` old ones apart, and both rows of voxels have the same centre; beyond the ends the end voxels go on.

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
