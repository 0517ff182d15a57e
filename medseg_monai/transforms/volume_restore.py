"""From the network's answer on its own grid to a label on the scan's grid, a few slices at a time.

A scan of 512 x 512 x 300 voxels with 15 classes has 5 GB of probabilities at its own resolution. They are never there at once: a slab
of slices is brought to the scan's spacing, each voxel gets its class, and the next slab takes the memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms.transform import MapTransform
from torch import Tensor

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.photos import Array
from medseg_monai.transforms.cleaning import PLAIN, Cleaning, clean_labels
from medseg_monai.transforms.decision import probabilities, thresholded
from medseg_monai.transforms.volume_geometry import NetworkGrid, along_axis, turned_shape

SLAB_BYTES = 128 * 2**20
"""What the probabilities of a slab may take at the scan's own resolution."""


def restore_mask(
    logits: Tensor, grid: NetworkGrid, spec: DatasetSpec, *, cleaning: Cleaning = PLAIN, slab_bytes: int = SLAB_BYTES
) -> Tensor:
    """The label of a scan, on the scan's own grid.

    Args:
        logits: (C, i, j, k) on the network's grid, floating point of any precision, on any device.
        grid: both grids.
        spec: the data set.
        cleaning: thresholds for the slabs; components and holes are seen to in the whole scan, where sizes are in mm³.
        slab_bytes: memory for probabilities at the scan's resolution.

    Returns:
        uint8 on the CPU: (1, I, J, K) of class numbers, or (classes, I, J, K) of {0, 1} for multilabel. Outside the part that the
        network saw it is 0.

    Raises:
        ValueError: the logits are not on the network's grid.
    """
    mask = _restored(
        logits,
        grid,
        np.zeros((spec.label_channels, *turned_shape(grid.native)), np.uint8),
        functools.partial(probabilities, spec=spec),
        lambda probs: thresholded(probs, spec, cleaning),
        slab_bytes,
    )
    volume = float(abs(np.linalg.det(grid.native.affine[:3, :3])))
    return torch.from_numpy(clean_labels(mask, cleaning, spec.task, classes=len(spec.classes), voxel_volume=volume))


def restore_probabilities(
    logits: Tensor, grid: NetworkGrid, spec: DatasetSpec, *, slab_bytes: int = SLAB_BYTES
) -> Tensor:
    """Probabilities (C, I, J, K) on the scan's own grid, in float16: half the memory, and steps of at most 0.0005.

    Outside the part that the network saw, a class has 0 and the background of exclusive classes 1.
    """
    filled = np.zeros((spec.out_channels, *turned_shape(grid.native)), np.float16)
    if spec.task == "multiclass":
        filled[0] = 1
    start = functools.partial(probabilities, spec=spec)
    return torch.from_numpy(_restored(logits, grid, filled, start, Tensor.half, slab_bytes))


def restore_map(values: Tensor, grid: NetworkGrid, *, slab_bytes: int = SLAB_BYTES) -> Tensor:
    """Maps (C, i, j, k) of the network's grid on the scan's own, (C, I, J, K) float16; 0 outside the part that the network saw.

    Raises:
        ValueError: the maps are not on the network's grid.
    """
    filled = np.zeros((len(values), *turned_shape(grid.native)), np.float16)
    return torch.from_numpy(_restored(values, grid, filled, Tensor.float, Tensor.half, slab_bytes))


def _restored(
    values: Tensor,
    grid: NetworkGrid,
    filled: Array,
    start: Callable[[Tensor], Tensor],
    finish: Callable[[Tensor], Tensor],
    slab_bytes: int,
) -> Array:
    """`filled` (turned) with what `finish` makes of each slab, turned back; `start` makes of `values` what is interpolated."""
    if tuple(values.shape[1:]) != grid.shape:
        raise ValueError(f"a map of shape {tuple(values.shape)} came; (C, {', '.join(map(str, grid.shape))}) is wanted")
    inside = filled[grid.cut_channels]
    rows, columns, slices = grid.box_shape
    thickness = max(1, slab_bytes // (4 * len(values) * rows * columns))
    back = [grid.weights_back(axis) for axis in range(3)]
    for first in range(0, slices, thickness):
        last = min(slices, first + thickness)
        slab = _slab(values, start, back[2], first, last)
        slab = along_axis(along_axis(slab, back[1], 1), back[0], 0)
        inside[..., first:last] = finish(slab).cpu().numpy()
    restored: Array = grid.turn.undo(
        filled
    ).copy()  # a copy also of one slice, which may count as contiguous and run backwards
    return restored


def _slab(values: Tensor, start: Callable[[Tensor], Tensor], weights: Tensor | None, first: int, last: int) -> Tensor:
    """What `start` makes of slices `first` to `last` of the scan; the first two axes still on the network's grid."""
    if weights is None:
        return start(values[..., first:last])
    rows = weights[first:last]
    needed = torch.nonzero(rows.any(dim=0)).flatten()
    low, high = int(needed[0]), int(needed[-1]) + 1
    return along_axis(start(values[..., low:high]), rows[:, low:high], 2)


class RestoreVolumed(MapTransform):
    """`restore_mask` of the logits under `key`.

    Args:
        key: the logits; the mask takes their place.
        spec: the data set.
        cleaning: see `restore_mask`.
        keep_probabilities: keep `restore_probabilities` under ``probability``.
        image_key: the image whose grid is taken.
    """

    def __init__(
        self,
        key: str = "pred",
        *,
        spec: DatasetSpec,
        cleaning: Cleaning = PLAIN,
        keep_probabilities: bool = False,
        image_key: str = "image",
    ) -> None:
        super().__init__((key,))
        self.spec = spec
        self.cleaning = cleaning
        self.keep_probabilities = keep_probabilities
        self.meta_key = f"{image_key}_meta_dict"

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Needs the ``image_meta_dict`` that ``load`` adds."""
        case = dict(data)
        grid = NetworkGrid.from_meta(case[self.meta_key], self.spec.spacing_mm)
        for key in self.keys:
            logits = torch.as_tensor(case[key]).as_subclass(Tensor)
            if self.keep_probabilities:
                case["probability"] = restore_probabilities(logits, grid, self.spec)
            case[key] = restore_mask(logits, grid, self.spec, cleaning=self.cleaning)
        return case
