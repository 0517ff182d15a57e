"""Names, units and file formats of photographs and of volumes, as a table, so that other code needs no branches for them."""

from __future__ import annotations

import sys
from dataclasses import dataclass

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
        interpolation: torch's name for linear interpolation along them.
        suffixes: suffixes of files that are read, in lower case.
        description: of the files, for a model card.
        first_bundle: the bundle to begin with.
        default_bundle: the bundle that is trained if none is named: the one that is planned soonest.
        least_side: smallest side of the network's input.
        most_at_once: images in a batch, or read ahead, at most: volumes differ in shape and fill the memory.
    """

    noun: str
    elements: str
    relative_size: str
    axes: tuple[str, ...]
    interpolation: str
    suffixes: tuple[str, ...]
    description: str
    first_bundle: str
    default_bundle: str
    least_side: int
    most_at_once: int


KINDS = {
    2: ImageKind(
        noun="image",
        elements="pixels",
        relative_size="% of the image",
        axes=("width", "height"),
        interpolation="bilinear",
        suffixes=SUFFIXES,
        description="photograph (JPEG, PNG)",
        first_bundle="unetpp",
        default_bundle="unet",
        least_side=8,
        most_at_once=sys.maxsize,
    ),
    3: ImageKind(
        noun="volume",
        elements="voxels",
        relative_size="ml",
        axes=("i", "j", "k"),
        interpolation="trilinear",
        suffixes=VOLUME_SUFFIXES,
        description="volume (NIfTI, DICOM, NRRD, MHA)",
        first_bundle="unet3d",
        default_bundle="unet3d",
        least_side=4,
        most_at_once=1,
    ),
}
"""By number of spatial axes."""


def kind_of(spec: DatasetSpec) -> ImageKind:
    """The kind of a data set's images.

    >>> kind_of(DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(4, 4))).elements
    'pixels'
    """
    return KINDS[spec.spatial_dims]
