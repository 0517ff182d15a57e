"""What photographs and volumes are called, measured in and stored as: a table, so that whoever needs a word need not ask which it is."""

from __future__ import annotations

from dataclasses import dataclass

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.formats import SUFFIXES
from medseg_monai.images.volumes import VOLUME_SUFFIXES


@dataclass(frozen=True)
class ImageKind:
    """Facts about photographs or about volumes.

    Attributes:
        noun: what one is called in messages.
        elements: what it is made of, in the plural.
        relative_size: unit of a mask's size that can be compared between images.
        axes: names of the spatial axes, in the order of tensors.
        interpolation: torch's name for linear interpolation along them.
        suffixes: of files that are read, in lower case.
        description: what the files are, for a model card.
        first_bundle: the bundle to begin with.
        least_side: a smaller side of the network's input leaves nothing to see.
    """

    noun: str
    elements: str
    relative_size: str
    axes: tuple[str, ...]
    interpolation: str
    suffixes: tuple[str, ...]
    description: str
    first_bundle: str
    least_side: int


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
        least_side=8,
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
        least_side=4,
    ),
}
"""By number of spatial axes."""


def kind_of(spec: DatasetSpec) -> ImageKind:
    """The kind of a data set's images.

    >>> kind_of(DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(4, 4))).elements
    'pixels'
    """
    return KINDS[spec.spatial_dims]
