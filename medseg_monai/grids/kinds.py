"""Names, units, file formats and axis orders of photographs and of volumes, as a table, so that other code needs no branches for them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.formats import SUFFIXES
from medseg_monai.images.volumes import VOLUME_SUFFIXES


@dataclass(frozen=True)
class ImageKind:
    """Facts about photographs or about volumes.

    Attributes:
        noun: its name in messages.
        elements: its elements, in the plural.
        relative_size: unit of a mask's size that can be compared between images.
        axes: names of the spatial axes, in the order of tensors.
        shown_axes: the same axes by number, in the order in which people index an array.
        channel_axis: of the channels in an image as people index it.
        interpolation: torch's name for linear interpolation along them.
        suffixes: suffixes of files that are read, in lower case.
        description: of the files, for a model card.
        first_bundle: the bundle to begin with.
        default_bundle: the bundle that is trained if none is named: the one that is planned soonest.
        least_side: smallest side of the network's input.
        most_at_once: images in a batch, or read ahead, at most: volumes differ in shape and fill the memory.
        in_patches: whether networks are trained on patches of an image, of any size; else on the whole image.
        measures_all: whether an evaluation measures calibration and contrast unless told otherwise: with photographs it takes no time.
    """

    noun: str
    elements: str
    relative_size: str
    axes: tuple[str, ...]
    shown_axes: tuple[int, ...]
    channel_axis: int
    interpolation: str
    suffixes: tuple[str, ...]
    description: str
    first_bundle: str
    default_bundle: str
    least_side: int
    most_at_once: int
    in_patches: bool
    measures_all: bool

    def as_shown(self, maps: NDArray[Any]) -> NDArray[Any]:
        """Maps (C, *S) with the spatial axes in the order of pictures: (C, H, W) of photographs; its own inverse.

        >>> KINDS[2].as_shown(np.zeros((1, 640, 480))).shape, KINDS[3].as_shown(np.zeros((1, 5, 6, 7))).shape
        ((1, 480, 640), (1, 5, 6, 7))
        """
        return np.ascontiguousarray(maps.transpose(0, *(axis + 1 for axis in self.shown_axes)))

    def as_image(self, channels: NDArray[Any]) -> NDArray[Any]:
        """An image (C, *S) as people index it: (H, W, C), of volumes (C, I, J, K); a single channel without its axis.

        >>> KINDS[2].as_image(np.zeros((3, 640, 480))).shape, KINDS[2].as_image(np.zeros((1, 640, 480))).shape
        ((480, 640, 3), (480, 640))
        """
        shown = self.as_shown(channels)
        return shown[0] if len(shown) == 1 else np.ascontiguousarray(np.moveaxis(shown, 0, self.channel_axis))


KINDS = {
    2: ImageKind(
        noun="image",
        elements="pixels",
        relative_size="% of the image",
        axes=("width", "height"),
        shown_axes=(1, 0),
        channel_axis=-1,
        interpolation="bilinear",
        suffixes=SUFFIXES,
        description="photograph (JPEG, PNG)",
        first_bundle="unetpp",
        default_bundle="unet",
        least_side=8,
        most_at_once=sys.maxsize,
        in_patches=False,
        measures_all=True,
    ),
    3: ImageKind(
        noun="volume",
        elements="voxels",
        relative_size="ml",
        axes=("i", "j", "k"),
        shown_axes=(0, 1, 2),
        channel_axis=0,
        interpolation="trilinear",
        suffixes=VOLUME_SUFFIXES,
        description="volume (NIfTI, DICOM, NRRD, MHA)",
        first_bundle="unet3d",
        default_bundle="unet3d",
        least_side=4,
        most_at_once=1,
        in_patches=True,
        measures_all=False,
    ),
}
"""By number of spatial axes."""


def kind_of(spec: DatasetSpec) -> ImageKind:
    """The kind of a data set's images.

    >>> kind_of(DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(4, 4))).elements
    'pixels'
    """
    return KINDS[spec.spatial_dims]
