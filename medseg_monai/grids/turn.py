"""Reorienting axes to right-anterior-superior (RAS) and back, without changing any voxel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from medseg_monai.grids.geometry import Geometry

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Turn:
    """A permutation of the three axes, and which of them run backwards.

    Args:
        axes: reoriented axis a is the axis ``axes[a]`` of the volume as stored.
        flipped: whether reoriented axis a runs in the opposite direction.
    """

    axes: Shape
    flipped: tuple[bool, bool, bool]

    @classmethod
    def to_ras(cls, affine: NDArray[np.float64]) -> Turn:
        """The reorientation after which the axes point right, anterior, superior as closely as whole axes can."""
        orientation = nibabel.io_orientation(affine)  # type: ignore[no-untyped-call]
        axes = tuple(int(np.flatnonzero(orientation[:, 0] == axis)[0]) for axis in range(3))
        i, j, k = (bool(orientation[axis, 1] < 0) for axis in axes)
        return cls((axes[0], axes[1], axes[2]), (i, j, k))

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view of (..., I, J, K), turned."""
        leading = array.ndim - 3
        turned: NDArray[Any] = array.transpose(*range(leading), *(leading + axis for axis in self.axes))[
            self._directions
        ]
        return turned

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view of a turned (..., I, J, K), as the volume is stored."""
        leading = array.ndim - 3
        order = [*range(leading), *(leading + self.axes.index(axis) for axis in range(3))]
        stored: NDArray[Any] = array[self._directions].transpose(order)
        return stored

    @property
    def _directions(self) -> tuple[Any, ...]:
        directions = [slice(None, None, -1 if flip else 1) for flip in self.flipped]
        return (..., *directions)


def turned_shape(geometry: Geometry) -> Shape:
    """The shape after turning to RAS."""
    i, j, k = (geometry.shape[axis] for axis in Turn.to_ras(geometry.affine).axes)
    return i, j, k
