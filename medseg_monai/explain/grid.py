"""Regions on their way to the network's grid, maps on their way back to the scan's own, in 2D and 3D."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.transforms.geometry import content_box
from medseg_monai.transforms.postprocessing import restore
from medseg_monai.transforms.volume_geometry import NetworkGrid, resample, turned_shape


def to_network(mask: NDArray[np.bool_], meta: Mapping[str, Any], spec: DatasetSpec) -> Tensor:
    """How much of each pixel of the network's input a region covers, float (*s): nothing in a photograph is so small that it vanishes.

    Args:
        mask: bool (W, H) or (I, J, K), on the scan's own grid.
        meta: the case's ``image_meta_dict``.
        spec: the data set.
    """
    values = torch.from_numpy(mask.astype(np.float32))
    if spec.spatial_dims == 3:
        grid = NetworkGrid.from_meta(meta, spec.spacing_mm)
        seen = torch.from_numpy(np.ascontiguousarray(grid.turn.apply(mask.astype(np.float32))[grid.cut]))
        return resample(seen, [grid.weights(axis) for axis in range(3)])
    box = content_box(mask.shape, spec)
    weights = torch.zeros(tuple(spec.size or mask.shape))
    weights[box.x : box.x + box.width, box.y : box.y + box.height] = F.interpolate(
        values[None, None], size=(box.width, box.height), mode="area"
    )[0, 0]
    return weights


def to_scan(values: Tensor, meta: Mapping[str, Any], spec: DatasetSpec) -> Tensor:
    """A map (*s) on the network's grid brought to the scan's own, float (*S).

    Where the network did not look (the air around a patient) a volume's map has its lowest value.
    """
    if spec.spatial_dims == 2:
        return restore(values[None], [int(side) for side in meta["spatial_shape"]], spec)[0]
    grid = NetworkGrid.from_meta(meta, spec.spacing_mm)
    seen = resample(values.cpu(), [grid.weights_back(axis) for axis in range(3)]).numpy()
    whole = np.full(turned_shape(grid.native), seen.min(), np.float32)
    whole[grid.cut] = seen
    return torch.from_numpy(np.ascontiguousarray(grid.turn.undo(whole)))
