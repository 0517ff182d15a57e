"""The truth of a case, and its image as displayed to people, both on the image's own grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset.cases import label_spec, main_file
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids import Grid
from medseg_monai.images.label_volumes import read_label_volume
from medseg_monai.images.masks import read_mask
from medseg_monai.images.photos import read_image
from medseg_monai.images.volumes import read_geometry, read_image_volume


def read_truth(case: Mapping[str, Any], grid: Grid | None, spec: DatasetSpec) -> NDArray[np.uint8]:
    """A case's label, (1, *S) of class numbers or (classes, *S) of {0, 1}; `IGNORED` at ignored pixels.

    Args:
        case: with ``image`` and ``label``.
        grid: the image's grid, which the label must have; None to read it from the image's header.
        spec: the weights' spec; the label's values are defined in the case.

    Raises:
        OSError, ValueError: it cannot be read, has another grid, or has values that are not classes.
    """
    reading = label_spec(case, spec)
    if spec.spatial_dims == 2:
        return read_mask(case["label"], reading, image=main_file(case["image"]))
    geometry = grid.geometry if grid else read_geometry(case["image"])
    return read_label_volume(case["label"], reading, geometry)


class Shown(NamedTuple):
    """An image for figures.

    Attributes:
        image: (C, *S).
        affine: (4, 4), a volume's voxel index to RAS millimetres; None for photographs.
        colour: whether three channels are red, green and blue.
    """

    image: NDArray[Any]
    affine: NDArray[np.float64] | None
    colour: bool


def read_shown(case: Mapping[str, Any], spec: DatasetSpec, *, in_colour: bool = False) -> Shown:
    """A case's image for figures; for a stack of slices only the slice itself, since channels are not colours.

    Args:
        case: with ``image``.
        spec: the data set.
        in_colour: read photographs with three channels, whatever the network sees of them.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    if spec.spatial_dims == 3:
        volume = read_image_volume(case["image"], spec.in_channels)
        return Shown(volume.array, volume.affine, colour=False)
    if in_colour:
        return Shown(read_image(main_file(case["image"]), 3), None, colour=True)
    if spec.slice_stride:
        return Shown(read_image(main_file(case["image"]), 1), None, colour=False)
    return Shown(read_image(case["image"], spec.in_channels), None, colour=True)
