"""The grid of an image's pixels, and the mapping to the network's grid and back: the only package in which photographs and volumes differ.

`PhotoGrid` and `VolumeGrid` have the same interface: ``restore``, ``to_network``, ``own_shape``, ``network_shape``, ``spacing``,
``unit``, ``pixel_size``, ``relative_size``, ``size_text``, ``sides_mm``, ``geometry``, ``affine``, ``content``, ``meta``, and the ``kind``
with names and axis orders. Code that has a grid need not know its number of axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.geometry import Geometry

if TYPE_CHECKING:  # they import torch; readers of files need only the geometry
    from medseg_monai.grids.photo import PhotoGrid
    from medseg_monai.grids.volume import VolumeGrid

Grid: TypeAlias = "PhotoGrid | VolumeGrid"


def grid_of(meta: Mapping[str, Any], spec: DatasetSpec) -> Grid:
    """The grid of a loaded case.

    Args:
        meta: the ``image_meta_dict`` that ``load`` added: ``spatial_shape``, and for volumes ``affine`` and ``box`` (without it the
            network saw everything).
        spec: what the network was trained on.
    """
    from medseg_monai.grids.photo import PhotoGrid

    if spec.spatial_dims == 2:
        return PhotoGrid.of(meta["spatial_shape"], spec)
    return volume_grid_of(meta, spec)


def volume_grid_of(meta: Mapping[str, Any], spec: DatasetSpec) -> VolumeGrid:
    """`grid_of` for a case that is known to be a volume."""
    from medseg_monai.grids.volume import VolumeGrid

    i, j, k = (int(side) for side in meta["spatial_shape"])
    geometry = Geometry((i, j, k), np.asarray(meta["affine"], np.float64))
    if "box" not in meta:
        return VolumeGrid.whole(geometry, spec.spacing_mm)
    along_i, along_j, along_k = ((int(first), int(last)) for first, last in meta["box"])
    return VolumeGrid(geometry, (along_i, along_j, along_k), spec.spacing_mm)
