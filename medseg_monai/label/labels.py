"""Labels for MONAI Label: masks as the single map that clients show, and saved labels converted to the form that training reads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.writing import file_part
from medseg_monai.formats.polygons import polygons
from medseg_monai.grids.kinds import kind_of
from medseg_monai.images.itk_files import simpleitk
from medseg_monai.images.label_volumes import (
    WRITTEN_SUFFIXES,
    read_label_numbers,
    read_label_volume,
    write_label_volume,
)
from medseg_monai.images.masks import read_mask, write_png
from medseg_monai.images.photos import SUFFIXES, Array, read_header
from medseg_monai.images.volumes import read_geometry
from medseg_monai.outputs.naming import file_rules

logger = logging.getLogger(__name__)

PICTURES = {
    ".png": ("uint8", "uint16"),
    ".bmp": ("uint8",),
    ".tif": ("uint8", "uint16", "int16", "uint32", "int32", "float32"),
    ".tiff": ("uint8", "uint16", "int16", "uint32", "int32", "float32"),
}
"""Formats and types of masks of photographs: those that preserve numbers and that MONAI Label's writer supports."""


def training_cases(saved: Iterable[Mapping[str, Any]], spec: DatasetSpec, folder: Path) -> list[dict[str, Any]]:
    """Cases to train on from the saved labels; a label that cannot be used is left out, with a warning.

    Args:
        saved: ``image`` and ``label``, paths; ``names``, the meaning of its numbers, if the annotator's tool sent it.
        spec: the data set.
        folder: folder for labels that must be converted.
    """
    cases = []
    for pair in saved:
        image, label = Path(pair["image"]), Path(pair["label"])
        try:
            files = usable_label(label, image, spec, folder, names=pair.get("names", ()))
        except (OSError, ValueError) as error:
            logger.warning("left out of training: %s", error)
            continue
        cases.append({"id": image.name, "image": str(image), "label": files})
    return cases


def usable_label(
    label: Path, image: Path, spec: DatasetSpec, folder: Path, *, names: Sequence[str] = ()
) -> str | list[str]:
    """The file, or the file per overlapping class, that training reads for a saved label; checked against the image.

    Overlapping classes are saved as one map of numbers, in which each pixel has one class: each becomes a separate mask. A
    photograph's label may be NIfTI or NRRD, as 3D Slicer saves it.

    Args:
        label: the saved file.
        image: the labelled image.
        spec: the data set.
        folder: folder for labels that must be converted.
        names: the meaning of the numbers 1, 2 …: 3D Slicer numbers segments in the order of its list, which an annotator may change.

    Raises:
        OSError, ValueError: the label is unusable, or on another grid than the image.
    """
    files, stored = [label], STORED[spec.spatial_dims](image)
    renamed = tuple(names) != spec.classes[: len(names)]
    if spec.task == "multilabel" or renamed or not stored.trains_on(label):
        numbers = _class_numbers(stored.numbers(label), label, spec, names)
        files = [stored.write(plane, folder / f"{image.name}{name}") for name, plane in _planes(numbers, spec).items()]
    stored.check(files, spec)
    return str(files[0]) if len(files) == 1 else [str(file) for file in files]


class StoredLabels(Protocol):
    """The labels of an image as files, of a format that people save or training reads."""

    def trains_on(self, label: Path) -> bool:
        """Whether training reads files of this format."""

    def numbers(self, label: Path) -> Array:
        """The numbers in a saved label, with the axes of its file."""

    def write(self, numbers: Array, stem: Path) -> Path:
        """Write numbers with these axes in a format that training reads."""

    def check(self, files: Sequence[Path], spec: DatasetSpec) -> None:
        """Raise OSError or ValueError if training could not read the files, or they do not fit the image."""


class PictureLabels:
    """Labels of a photograph: (H, W)."""

    def __init__(self, image: Path) -> None:
        self.header = read_header(image)

    def trains_on(self, label: Path) -> bool:
        """Pictures; not the NIfTI and NRRD files of 3D Slicer."""
        return label.suffix.lower() in SUFFIXES

    def numbers(self, label: Path) -> Array:
        """From a picture, or the single slice of a volume file."""
        return _picture_numbers(label)

    def write(self, numbers: Array, stem: Path) -> Path:
        """As PNG."""
        return write_png(numbers.T, stem.with_name(f"{stem.name}.png"))

    def check(self, files: Sequence[Path], spec: DatasetSpec) -> None:
        """Read them as training does."""
        read_mask(files, spec, image=self.header)


class VolumeLabels:
    """Labels of a volume: (I, J, K), on its grid."""

    def __init__(self, image: Path) -> None:
        self.geometry = read_geometry(image)

    def trains_on(self, label: Path) -> bool:
        """All formats."""
        return True

    def numbers(self, label: Path) -> Array:
        """From any format."""
        return read_label_numbers(label, self.geometry)

    def write(self, numbers: Array, stem: Path) -> Path:
        """As NIfTI."""
        return write_label_volume(numbers, self.geometry, stem.with_name(f"{stem.name}.nii.gz"))

    def check(self, files: Sequence[Path], spec: DatasetSpec) -> None:
        """Read them as training does."""
        read_label_volume(files, spec, self.geometry)


STORED: Mapping[int, Callable[[Path], StoredLabels]] = {2: PictureLabels, 3: VolumeLabels}
"""By number of spatial axes, as `medseg_monai.grids.kinds.KINDS`."""


def _picture_numbers(label: Path) -> Array:
    """(H, W) class numbers; from a volume file its single slice."""
    simple_itk = simpleitk()
    try:
        array: Array = np.squeeze(simple_itk.GetArrayFromImage(simple_itk.ReadImage(str(label))))
    except RuntimeError as error:
        raise ValueError(f"{label}: not a readable label; save it again") from error
    if array.ndim != 2:
        raise ValueError(
            f"{label}: a photograph's label must have one slice and one value per pixel, but its shape is {array.shape}"
        )
    return array


def _class_numbers(numbers: Array, label: Path, spec: DatasetSpec, names: Sequence[str]) -> Array:
    """A saved map converted to class numbers, uint8; with a single class 255 counts as 1.

    Raises:
        ValueError: a number belongs to no class.
    """
    if len(spec.classes) == 1 and set(np.unique(numbers)) <= {0, 255}:
        return (numbers > 0).astype(np.uint8)
    meant = dict(enumerate(names or spec.classes, start=1))
    renumbered = np.zeros(numbers.shape, np.uint8)
    for number in np.unique(numbers[numbers != 0]):
        name = meant.get(int(number))
        if name not in spec.classes:
            known = f"known: 0 background, {', '.join(f'{n} {name}' for n, name in enumerate(spec.classes, start=1))}"
            raise ValueError(
                f"{label}: contains the number {number}{f' ({name})' if name else ''}, which is not a class; {known}"
            )
        renumbered[numbers == number] = spec.classes.index(name) + 1
    return renumbered


def _planes(numbers: Array, spec: DatasetSpec) -> dict[str, Array]:
    """The planes to write, by the end of the file's name: a mask per class if classes may overlap, else the map itself."""
    if spec.task != "multilabel":
        return {"": numbers}
    return {f"_{file_part(name)}": (numbers == n).astype(np.uint8) for n, name in enumerate(spec.classes, start=1)}


def mask_extension(wanted: str, spec: DatasetSpec) -> str:
    """The suffix of a mask's file: as requested, or the image's, unless that format cannot store class numbers in one file.

    >>> spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(32, 32))
    >>> [mask_extension(ending, spec) for ending in (".JPG", ".nii.gz", ".1.png", "")]
    ['.png', '.nii.gz', '.png', '.png']
    """
    pictures = [ending for ending in PICTURES if ending in kind_of(spec).suffixes]
    endings = (".seg.nrrd", *sorted(WRITTEN_SUFFIXES, key=len, reverse=True), *pictures)
    return next((ending for ending in endings if wanted.lower().endswith(ending)), file_rules(spec).map_ending)


def check_number_type(ending: str, number_type: str) -> None:
    """Refuse a number type that files of this kind do not support; volumes support all.

    Raises:
        ValueError: the type is not supported; the message names the supported ones.
    """
    known = PICTURES.get(ending.lower(), (number_type,))
    if number_type not in known:
        raise ValueError(f"params: result_dtype {number_type} cannot be written as {ending}; {', '.join(known)} can")


def label_map(masks: Array, spec: DatasetSpec) -> Array:
    """One map of class numbers.

    >>> spec = DatasetSpec("x", "multilabel", classes=("a", "b"), channels=("grey",), size=(32, 32))
    >>> label_map(np.array([[[1, 1, 0, 0]], [[0, 1, 1, 0]]]), spec).tolist()
    [[1, 2, 2, 0]]
    """
    if spec.task != "multilabel":
        numbers: Array = masks[0].astype(np.uint8)
        return numbers
    merged = np.zeros(masks.shape[1:], np.uint8)
    for number, mask in enumerate(masks, start=1):
        merged[mask > 0] = number
    return merged


def outlines(numbers: Array, spec: DatasetSpec) -> dict[str, Any]:
    """The outlines of each class, in pixels, as tools for polygons (CVAT) expect them in an answer. Nothing for volumes.

    These formats cannot represent holes, so they are left out.

    Args:
        numbers: (W, H) class numbers.
        spec: the data set.

    >>> spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(32, 32))
    >>> outlines(np.ones((2, 1), np.uint8), spec)["annotations"][0]["annotation"]["elements"]
    [{'label': 'a', 'contours': [[[0, 0], [2, 0], [2, 1], [0, 1]]]}]
    """
    if spec.spatial_dims != 2:
        return {}
    elements = []
    for number, name in enumerate(spec.classes, start=1):
        contours = [[list(corner) for corner in part.outline] for part in polygons(numbers == number)]
        if contours:
            elements.append({"label": name, "contours": contours})
    size = [int(side) for side in numbers.shape]
    return {"annotations": [{"annotation": {"location": [0, 0], "size": size, "elements": elements}}]}
