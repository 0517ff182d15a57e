"""Where an image's pixels lie, and the ways to the network's grid and back: the room in which photographs and volumes differ.

`PhotoGrid` and `VolumeGrid` answer the same questions: ``restore``, ``to_network``, ``own_shape``, ``network_shape``, ``spacing``,
``unit``, ``pixel_size``, ``geometry``. Whoever holds a grid need not ask how many axes it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.geometry import Geometry

if TYPE_CHECKING:  # they bring torch; readers of files need the geometry alone
    from medseg_monai.grids.photo import PhotoGrid
    from medseg_monai.grids.volume import VolumeGrid

Grid: TypeAlias = "PhotoGrid | VolumeGrid"


def grid_of(meta: Mapping[str, Any], spec: DatasetSpec) -> Grid:
    """The grid of a loaded case.

    Args:
        meta: the ``image_meta_dict`` that ``load`` added: ``spatial_shape``, and of volumes ``affine`` and ``box`` (without it the
            network saw all).
        spec: what the network was trained on.
    """
    from medseg_monai.grids.photo import PhotoGrid

    if spec.spatial_dims == 2:
        return PhotoGrid.of(meta["spatial_shape"], spec)
    return volume_grid_of(meta, spec)


def volume_grid_of(meta: Mapping[str, Any], spec: DatasetSpec) -> VolumeGrid:
    """`grid_of` for what is a volume anyway."""
    from medseg_monai.grids.volume import VolumeGrid

    i, j, k = (int(side) for side in meta["spatial_shape"])
    geometry = Geometry((i, j, k), np.asarray(meta["affine"], np.float64))
    if "box" not in meta:
        return VolumeGrid.whole(geometry, spec.spacing_mm)
    along_i, along_j, along_k = ((int(first), int(last)) for first, last in meta["box"])
    return VolumeGrid(geometry, (along_i, along_j, along_k), spec.spacing_mm)
