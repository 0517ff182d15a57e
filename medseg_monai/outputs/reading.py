"""What was predicted, read back from its files: masks and probabilities, by a reader for photographs and one for volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.label_volumes import read_label_volume
from medseg_monai.images.masks import read_mask
from medseg_monai.images.probability_maps import CERTAIN, read_photo_map, read_volume_map
from medseg_monai.images.volumes import read_geometry
from medseg_monai.outputs.naming import file_rules, mask_files

Image: TypeAlias = "str | Path | Sequence[str | Path]"
Probabilities: TypeAlias = "NDArray[np.floating[Any]]"


class Reader(Protocol):
    """Reads the files of one kind of image."""

    def mask(self, files: Sequence[str], spec: DatasetSpec, image: Image) -> NDArray[np.uint8]:
        """A label map, (1 or classes, *S); ValueError if it is not one, or is not on the image's grid."""

    def probabilities(self, file: Path, image: Image) -> Probabilities:
        """A class's map, (*S) of 0 to 1; ValueError if it is not one, or is not on the image's grid."""


class PhotoReader:
    """Reads what `medseg_monai.outputs.photos.PhotoWriter` writes."""

    def mask(self, files: Sequence[str], spec: DatasetSpec, image: Image) -> NDArray[np.uint8]:
        """(1 or classes, W, H); `image` is not looked at, which may be gone."""
        return read_mask(files, spec)

    def probabilities(self, file: Path, image: Image) -> Probabilities:
        """(W, H) float32; `image` is not looked at."""
        plane: Probabilities = read_photo_map(file).astype(np.float32) / CERTAIN
        return plane


class VolumeReader:
    """Reads what `medseg_monai.outputs.volumes.VolumeWriter` writes."""

    def mask(self, files: Sequence[str], spec: DatasetSpec, image: Image) -> NDArray[np.uint8]:
        """(1 or classes, I, J, K), on the image's grid."""
        return read_label_volume(files, spec, read_geometry(image))

    def probabilities(self, file: Path, image: Image) -> Probabilities:
        """(I, J, K) float16, on the image's grid."""
        return read_volume_map(file, read_geometry(image))


READERS: Mapping[int, Reader] = {2: PhotoReader(), 3: VolumeReader()}
"""By number of spatial axes, as `medseg_monai.grids.kinds.KINDS`."""


def read_predicted_mask(case_id: str, spec: DatasetSpec, folder: Path, *, image: Path) -> NDArray[np.uint8]:
    """The mask of a case from whichever label map was written: (1 or classes, W, H), of a volume (1 or classes, I, J, K).

    Args:
        case_id: of the case.
        spec: what the network was trained for.
        folder: the output folder.
        image: the case's image, on whose grid the mask is.

    Raises:
        FileNotFoundError: no label map was written.
        ValueError: the file is not such a mask.
    """
    stem = folder / case_id
    for ending in file_rules(spec).label_endings.values():
        files = [str(file) for file in mask_files(stem, spec, ending)]
        if all(Path(file).is_file() for file in files):
            return READERS[spec.spatial_dims].mask(files, spec, image)
    raise FileNotFoundError(f"{folder}: there is no label map of {case_id}, only other formats")


def read_probabilities(files: Sequence[Path], spec: DatasetSpec, *, image: Image) -> Probabilities:
    """The probabilities of a case, (classes, *S), from a file for each class.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: one is not such a map, is not on the image's grid, or they differ in size.
    """
    planes = [READERS[spec.spatial_dims].probabilities(file, image) for file in files]
    if len({plane.shape for plane in planes}) > 1:
        raise ValueError(f"{files[0]}: the probabilities of the classes differ in size")
    return np.stack(planes)
