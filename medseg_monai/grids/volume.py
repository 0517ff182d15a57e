"""The grid of a scan and the network's grid, and the mapping between them.

It has three invertible steps: the axes are reoriented to right-anterior-superior (RAS), the volume is cropped to the part
around the patient, and that part is resampled to the network's spacing. Resampling is linear and one matrix per axis;
if voxels grow, the weights widen with them (anti-aliasing). Both grids have the same centre.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.kinds import KINDS, ImageKind
from medseg_monai.grids.resampling import along_axis, resample, weights_between
from medseg_monai.grids.turn import Shape, Turn, turned_shape

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
SAME_SPACING = 1e-3
"""Spacings that differ by less than this share count as equal: voxels are then copied, not interpolated."""
SLAB_BYTES = 128 * 2**20
"""Memory for the values of a slab at the scan's own resolution, in bytes."""


@dataclass(frozen=True)
class VolumeGrid:
    """A scan's own grid and the network's, and the mapping between them.

    Args:
        geometry: the scan's own grid.
        box: first voxel, and the one after the last, of the part that the network sees; per axis, after reorientation.
        network_spacing_mm: spacing of the network's grid along (R, A, S); None for the scan's own.
    """

    geometry: Geometry
    box: Box
    network_spacing_mm: tuple[float, ...] | None = None
    kind: ClassVar[ImageKind] = KINDS[3]
    """What all volumes have in common."""
    unit: ClassVar[str] = "mm"
    """Of distances."""
    content: ClassVar[tuple[slice, ...]] = (slice(None),)
    """All that the network sees, (C, i, j, k), is part of the volume."""
    map_dtype: ClassVar[torch.dtype] = torch.float16
    """Type of maps of a whole image until they are written: half the memory, with steps of at most 0.0005."""

    @classmethod
    def whole(cls, geometry: Geometry, network_spacing_mm: Sequence[float] | None = None) -> VolumeGrid:
        """The grid over the whole scan."""
        i, j, k = turned_shape(geometry)
        spacing = None if network_spacing_mm is None else tuple(network_spacing_mm)
        return cls(geometry, ((0, i), (0, j), (0, k)), spacing)

    @property
    def own_shape(self) -> Shape:
        """Voxels of the scan along (I, J, K)."""
        return self.geometry.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel sides of the scan along (I, J, K), in millimetres."""
        return self.geometry.spacing_mm

    @property
    def sides_mm(self) -> tuple[float, float, float]:
        """The same: they are known."""
        return self.spacing

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4), from an index of the scan to RAS millimetres."""
        return self.geometry.affine

    @property
    def pixel_size(self) -> float:
        """Volume of one of the scan's voxels, in mm³."""
        return float(abs(np.linalg.det(self.geometry.affine[:3, :3])))

    @cached_property
    def turn(self) -> Turn:
        """From the stored axes to RAS."""
        return Turn.to_ras(self.geometry.affine)

    @property
    def box_shape(self) -> Shape:
        """Voxels of the part that is seen, at the scan's own spacing."""
        i, j, k = (last - first for first, last in self.box)
        return i, j, k

    @property
    def steps(self) -> tuple[float, ...]:
        """The network's voxel side in voxels of the scan, per turned axis; exactly 1 where they are the same."""
        own = [self.spacing[axis] for axis in self.turn.axes]
        ratios = [to / side for to, side in zip(self.network_spacing_mm or own, own, strict=True)]
        return tuple(1.0 if abs(ratio - 1) < SAME_SPACING else ratio for ratio in ratios)

    @property
    def network_shape(self) -> Shape:
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
        return weights_between(self.box_shape[axis], self.network_shape[axis], self.steps[axis])

    def weights_back(self, axis: int) -> Tensor | None:
        """(scan, network) weights along a turned axis; None where voxels are the same."""
        return weights_between(self.network_shape[axis], self.box_shape[axis], 1 / self.steps[axis])

    def network_affine(self) -> NDArray[np.float64]:
        """(4, 4) from an index on the network's grid to RAS millimetres."""
        shape, own_affine = np.array(turned_shape(self.geometry)), self.geometry.affine
        turned = np.zeros((4, 4))
        turned[3, 3] = 1
        for axis, (source, flip) in enumerate(zip(self.turn.axes, self.turn.flipped, strict=True)):
            turned[:3, axis] = own_affine[:3, source] * (-1 if flip else 1)
        ends = np.where(self.turn.flipped, shape - 1, 0)  # stored index, along each turned axis, of turned index 0
        first = np.zeros(3)
        first[list(self.turn.axes)] = ends
        turned[:3, 3] = own_affine[:3, :3] @ first + own_affine[:3, 3]
        steps, start = np.array(self.steps), np.array([first for first, _ in self.box])
        own = np.eye(4)
        own[:3, :3] = np.diag(steps)
        own[:3, 3] = start + (np.array(self.box_shape) - 1) / 2 - steps * (np.array(self.network_shape) - 1) / 2
        grid: NDArray[np.float64] = turned @ own
        return grid

    def to_network(self, mask: NDArray[np.bool_]) -> Tensor:
        """The share of each voxel of the network's grid that a mask (I, J, K) covers, float32 (i, j, k)."""
        seen = torch.from_numpy(np.ascontiguousarray(self.turn.apply(mask.astype(np.float32))[self.cut]))
        return resample(seen, [self.weights(axis) for axis in range(3)])

    def restore(
        self, values: Tensor, *, outside: float | None = 0.0, dtype: torch.dtype = torch.float32,
        slab_bytes: int = SLAB_BYTES,
    ) -> Tensor:  # fmt: skip
        """Maps on the network's grid, mapped to the scan's own.

        Args:
            values: (C, i, j, k), of any precision, on any device.
            outside: the value outside the part that the network saw (the air around a patient); None for the maps' lowest value.
            dtype: type of the result: float32 or float16.
            slab_bytes: memory for values at the scan's resolution, in addition to the result.

        Returns:
            (C, I, J, K) on the CPU.

        Raises:
            ValueError: the maps are not on the network's grid.
        """
        turned = torch.zeros((len(values), *turned_shape(self.geometry)), dtype=dtype).numpy()
        restored = self.fill(turned, values, Tensor.float, lambda slab: slab.to(dtype), slab_bytes=slab_bytes)
        value = float(turned[self.cut_channels].min()) if outside is None else outside
        if value:
            unseen = np.ones(turned.shape[1:], bool)
            unseen[self.cut] = False
            restored[:, self.turn.undo(unseen)] = value
        return torch.from_numpy(restored)

    def relative_size(self, pixels: int) -> float:
        """Volume of so many of the scan's voxels, in ml."""
        return pixels * self.geometry.voxel_ml

    def size_text(self, pixels: int) -> str:
        """The size of a mask of so many voxels, for people."""
        return f"{self.relative_size(pixels):.2f} ml"

    def meta(self) -> dict[str, Any]:
        """What `medseg_monai.grids.grid_of` makes this grid of."""
        return {"spatial_shape": self.own_shape, "affine": self.affine, "box": self.box}

    def fill(
        self,
        turned: NDArray[Any],
        values: Tensor,
        start: Callable[[Tensor], Tensor],
        finish: Callable[[Tensor], Tensor],
        *,
        slab_bytes: int = SLAB_BYTES,
    ) -> NDArray[Any]:
        """Fill the part that the network saw of a turned volume, a few slices at a time.

        A scan of 512 x 512 x 300 voxels with 15 classes has 5 GB of probabilities at its own resolution. They are never in memory
        together: a slab of slices is mapped to the scan's spacing and finished, and the next slab reuses the memory.

        Args:
            turned: (K, ...) of `turned_shape`; written to.
            values: (C, i, j, k) on the network's grid.
            start: from a part of `values` to the values to interpolate.
            finish: from a slab (C, ...) at the scan's spacing to its part of `turned`.
            slab_bytes: memory for a slab.

        Returns:
            A copy of `turned` with the axes as stored in the scan.

        Raises:
            ValueError: `values` are not on the network's grid.
        """
        if tuple(values.shape[1:]) != self.network_shape:
            wanted = ", ".join(map(str, self.network_shape))
            raise ValueError(f"got a map of shape {tuple(values.shape)}, expected (C, {wanted})")
        inside = turned[self.cut_channels]
        rows, columns, slices = self.box_shape
        thickness = max(1, slab_bytes // (4 * len(values) * rows * columns))
        back = [self.weights_back(axis) for axis in range(3)]
        for first in range(0, slices, thickness):
            last = min(slices, first + thickness)
            slab = _slab(values, start, back[2], first, last)
            slab = along_axis(along_axis(slab, back[1], 1), back[0], 0)
            inside[..., first:last] = finish(slab).cpu().numpy()
        # copy even a single slice, which may count as contiguous but run backwards
        restored: NDArray[Any] = self.turn.undo(turned).copy()
        return restored


def _slab(values: Tensor, start: Callable[[Tensor], Tensor], weights: Tensor | None, first: int, last: int) -> Tensor:
    """The result of `start` for slices `first` to `last` of the scan; the first two axes still on the network's grid."""
    if weights is None:
        return start(values[..., first:last])
    rows = weights[first:last]
    needed = torch.nonzero(rows.any(dim=0)).flatten()
    low, high = int(needed[0]), int(needed[-1]) + 1
    return along_axis(start(values[..., low:high]), rows[:, low:high], 2)
