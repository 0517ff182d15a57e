"""Labels for MONAI Label: masks as the one map that clients show, and labels as they save them in the form that training reads."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medseg_monai.itk_files import simpleitk
from medseg_monai.masks import class_file, read_mask, write_png
from medseg_monai.readers import SUFFIXES, Array, read_header
from medseg_monai.spec import DatasetSpec, file_part
from medseg_monai.volumes import (
    VOLUME_SUFFIXES,
    read_geometry,
    read_label_numbers,
    read_label_volume,
    write_label_volume,
)

logger = logging.getLogger(__name__)

LOSSY = (".jpg", ".jpeg", ".webp")


def training_cases(saved: Iterable[Mapping[str, str]], spec: DatasetSpec, folder: Path) -> list[dict[str, Any]]:
    """Cases to train on from MONAI Label's list of images and labels; a label that cannot be used is left out, with a warning.

    Args:
        saved: ``image`` and ``label``, paths.
        spec: the data set.
        folder: for labels that have to be written anew.
    """
    cases = []
    for pair in saved:
        image, label = Path(pair["image"]), Path(pair["label"])
        try:
            files = usable_label(label, image, spec, folder)
        except (OSError, ValueError) as error:
            logger.warning("left out of training: %s", error)
            continue
        cases.append({"id": image.name, "image": str(image), "label": files})
    return cases


def usable_label(label: Path, image: Path, spec: DatasetSpec, folder: Path) -> str | list[str]:
    """The file, or the file per overlapping class, that training reads for a saved label; checked against the image.

    Overlapping classes are saved as one map of class numbers, in which each pixel has one class: each becomes a mask of its own.
    A photograph's label may come as NIfTI or NRRD, as 3D Slicer saves it.

    Raises:
        OSError, ValueError: the label is unusable, or on another grid than the image.
    """
    files = [label]
    if spec.spatial_dims == 3:
        geometry = read_geometry(image)
        if spec.task == "multilabel":
            numbers = _known(read_label_numbers(label, geometry), label, spec)
            files = [
                write_label_volume(
                    (numbers == n).astype(np.uint8), geometry, folder / f"{image.name}_{file_part(name)}.nii.gz"
                )
                for n, name in enumerate(spec.classes, start=1)
            ]
        read_label_volume(files, spec, geometry)
    else:
        if spec.task == "multilabel" or label.suffix.lower() not in SUFFIXES:
            files = _pictures(_known(_picture_numbers(label), label, spec), folder / f"{image.name}.png", spec)
        read_mask(files, spec, image=read_header(image))
    return str(files[0]) if len(files) == 1 else [str(file) for file in files]


def _picture_numbers(label: Path) -> Array:
    """(H, W) class numbers; of a volume file its one slice."""
    simple_itk = simpleitk()
    try:
        array: Array = np.squeeze(simple_itk.GetArrayFromImage(simple_itk.ReadImage(str(label))))
    except RuntimeError as error:
        raise ValueError(f"{label}: no label that can be read") from error
    if array.ndim != 2:
        raise ValueError(
            f"{label}: a photograph's label has one slice and one value per pixel, not shape {array.shape}"
        )
    return array


def _known(numbers: Array, label: Path, spec: DatasetSpec) -> Array:
    """The numbers, all of which are classes; with one class 255 counts as 1."""
    if len(spec.classes) == 1 and set(np.unique(numbers)) <= {0, 255}:
        return (numbers > 0).astype(np.uint8)
    if numbers.min() < 0 or numbers.max() > len(spec.classes):
        names = ", ".join(f"{number} {name}" for number, name in enumerate(spec.classes, start=1))
        raise ValueError(f"{label}: holds the number {numbers.max()}; known: 0 background, {names}")
    return numbers


def _pictures(numbers: Array, file: Path, spec: DatasetSpec) -> list[Path]:
    """As PNG: a mask per class where classes may overlap, else one of class numbers."""
    if spec.task != "multilabel":
        return [write_png(numbers.T.astype(np.uint8), file)]
    masks = [(number == numbers.T).astype(np.uint8) * np.uint8(255) for number in range(1, len(spec.classes) + 1)]
    return [write_png(mask, class_file(file, name)) for mask, name in zip(masks, spec.classes, strict=True)]


def mask_extension(wanted: str, spec: DatasetSpec) -> str:
    """The ending of a mask's file: as asked for, or as the image's, unless that cannot hold class numbers.

    >>> spec = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(32, 32))
    >>> [mask_extension(ending, spec) for ending in (".JPG", ".nii.gz", ".1.png", "")]
    ['.png', '.nii.gz', '.png', '.png']
    """
    own, known = (".png", SUFFIXES) if spec.spatial_dims == 2 else (".nii.gz", ())
    endings = (".seg.nrrd", *sorted(VOLUME_SUFFIXES, key=len, reverse=True), *known)
    found = next((ending for ending in endings if wanted.lower().endswith(ending)), own)
    return own if found in LOSSY else found


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
