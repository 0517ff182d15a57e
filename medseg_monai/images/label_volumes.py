"""Label volumes: read as class numbers, and written on a scan's grid.

Arrays are (I, J, K) in the file's order, as in `medseg_monai.images.volumes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.geometry import Geometry
from medseg_monai.images import itk_files, nifti
from medseg_monai.images.label_codes import ignored_numbers, labels_by_value
from medseg_monai.images.photos import Array, PathLike
from medseg_monai.images.volumes import (
    NIFTI_SUFFIXES,
    READ_BY_NIBABEL,
    as_paths,
    check_grid,
    grid_of_voxels,
    read_geometry,
    read_voxels,
    volume_suffix,
)

WRITTEN_SUFFIXES = (*NIFTI_SUFFIXES, ".nrrd", ".mha")
"""Suffixes that label volumes are written with: one file each."""
WHOLE_NUMBER = 1e-3
"""Largest difference of a label from a whole number (rounding by a scaled header); with more it is not a label."""


def read_label_volume(
    path: PathLike | Sequence[PathLike], spec: DatasetSpec, geometry: Geometry | None = None
) -> NDArray[np.uint8]:
    """A case's label: (1, I, J, K) of class numbers, or (K, I, J, K) of {0, 1} for multilabel; uint8, `IGNORED` at ignored voxels.

    Args:
        path: one file of class numbers (or of the values in ``spec.label_values``); or one per class; for multilabel also one 4D file
            with the classes along its last axis; for binary also several, which are merged.
        spec: the data set.
        geometry: the image's grid; the label must be on it.

    Raises:
        FileNotFoundError, ValueError: a file is missing or unusable, a value is not a class, or the grids differ.
    """
    paths = as_paths(path)
    planes: list[Array] = []
    for file in paths:
        stored = read_label_numbers(file, geometry)
        if spec.label_values is not None:
            planes += _planes_by_value(stored, file, spec, alone=len(paths) == 1)
            continue
        parts = [stored] if stored.ndim == 3 else list(np.moveaxis(stored, -1, 0))
        numbers = 1 if len(paths) > 1 or spec.task != "multiclass" else len(spec.classes)
        planes += [_class_numbers(part, file, numbers, spec) for part in parts]
    if len({plane.shape for plane in planes}) > 1:
        raise ValueError(f"{paths[0]}: the labels of one case differ in shape")
    if spec.task == "multiclass" and len(planes) == len(spec.classes) > 1:
        return _merge_classes(planes, paths[0])
    if spec.task == "binary" and len(paths) == len(planes) > 1:
        return _united(planes)
    if len(planes) != spec.label_channels:
        raise ValueError(f"{paths[0]}: {len(planes)} label volumes for {len(spec.classes)} classes ({spec.task})")
    return np.stack(planes)


def _planes_by_value(stored: Array, file: PathLike, spec: DatasetSpec, *, alone: bool) -> list[Array]:
    """The labels in a file whose numbers ``spec.label_values`` explains."""
    if spec.label_values is None or stored.ndim != 3 or not (alone or spec.task == "binary"):
        raise ValueError(
            f"{file}: label_values are for one 3D file with all classes, but this case has a part for each; remove label_values"
        )
    return list(labels_by_value(stored, spec.label_values, spec, file))


def read_label_numbers(path: PathLike, geometry: Geometry | None = None) -> NDArray[np.int32]:
    """The whole numbers in a label file, whatever they mean: (I, J, K), or (I, J, K, C) from a 4D file.

    Raises:
        FileNotFoundError, ValueError: the file is missing or unusable, contains fractions, or is not on the grid `geometry`.
    """
    volume = read_voxels(path)
    if geometry is not None:
        check_grid(path, grid_of_voxels(volume), geometry)
    whole: Array = np.rint(volume.array) if volume.array.dtype.kind == "f" else volume.array
    if volume.array.dtype.kind == "f":
        off = np.abs(volume.array - whole)
        if off.max() > WHOLE_NUMBER:
            value = volume.array.flat[int(off.argmax())]
            raise ValueError(
                f"{path}: contains {value:.4g}, but labels must be whole numbers; was it resampled with interpolation?"
            )
    return whole.astype(np.int32)


def _class_numbers(array: Array, file: PathLike, highest: int, spec: DatasetSpec) -> NDArray[np.uint8]:
    """uint8 of 0 to `highest`, and `IGNORED`; with a single class, 255 counts as 1 unless it is ignored."""
    if spec.ignore:
        ignored = np.isin(array, ignored_numbers(spec))
        label = _class_numbers(np.where(ignored, 0, array), file, highest, replace(spec, ignore=()))
        label[ignored] = IGNORED
        return label
    lowest_found, highest_found = int(array.min()), int(array.max())
    if highest == 1 and lowest_found == 0 and highest_found == 255 and not ((array > 0) & (array < 255)).any():
        return (array > 0).astype(np.uint8)
    if lowest_found < 0 or highest_found > highest:
        wrong = [int(v) for v in np.unique(array) if v < 0 or v > highest]
        names = ", ".join(f"{number} {name}" for number, name in enumerate(spec.classes, 1)) if highest > 1 else "1"
        raise ValueError(
            f"{file}: contains the labels {wrong[:6]}, which are not classes; known: 0 background, {names}"
        )
    return array.astype(np.uint8)


def _merge_classes(planes: Sequence[Array], file: PathLike) -> NDArray[np.uint8]:
    """Files of {0, 1} without overlap as (1, I, J, K) of class numbers."""
    merged = np.zeros(planes[0].shape, np.uint8)
    for number, plane in enumerate(planes, 1):
        there = plane == 1
        if np.any((merged > 0) & (merged < IGNORED) & there):
            raise ValueError(f"{file}: the classes' labels overlap; make the data set's task multilabel")
        merged[(plane == IGNORED) & (merged == 0)] = IGNORED
        merged[there] = number
    return merged[None]


def _united(planes: Sequence[Array]) -> NDArray[np.uint8]:
    """Files of {0, 1} as (1, I, J, K): 1 where any is 1; `IGNORED` where none is and any is ignored."""
    merged = np.zeros(planes[0].shape, np.uint8)
    for plane in planes:
        merged[(plane == IGNORED) & (merged == 0)] = IGNORED
        merged[plane == 1] = 1
    return merged[None]


def write_label_volume(
    array: Array, geometry: Geometry, path: PathLike, classes: Sequence[str] = (), *, like: PathLike | None = None
) -> Path:
    """Write (I, J, K) class numbers as uint8 on a grid, whole or not at all; the suffix decides the format.

    Args:
        array: class numbers.
        geometry: the grid, the scan's own.
        path: the file; its folder is created.
        classes: names of the classes 1, 2, … for the header.
        like: the scan, if there is one: the NIfTI label of a NIfTI scan copies the grid from its header.

    Raises:
        ValueError: the shape is not the grid's, or the suffix is unknown.
    """
    file = Path(path)
    if tuple(array.shape) != geometry.shape:
        raise ValueError(f"{file}: got a label of shape {array.shape} for a grid of {geometry.shape}")
    suffix = volume_suffix(file)
    if suffix not in WRITTEN_SUFFIXES:
        raise ValueError(f"{file}: volumes can be written as {', '.join(WRITTEN_SUFFIXES)}; change the suffix")
    labels = np.asarray(array, np.uint8)
    if suffix in NIFTI_SUFFIXES:
        return nifti.write_labels(labels, geometry, file, classes, like=nifti_on_grid(like, geometry))
    return itk_files.write_labels(labels, geometry, file, classes)


def nifti_on_grid(scan: PathLike | None, geometry: Geometry) -> Path | None:
    """The scan's file, if it is a NIfTI file of this grid; else None."""
    if scan is None or volume_suffix(scan) not in READ_BY_NIBABEL or not Path(scan).is_file():
        return None
    own = read_geometry(scan)
    same = own.shape == geometry.shape and np.allclose(own.affine, geometry.affine, rtol=0, atol=1e-5)
    return Path(scan) if same else None


def read_label_names(path: PathLike) -> dict[int, str]:
    """{class number: name} from the file's header; empty if it has none."""
    file = Path(path)
    if volume_suffix(file) in READ_BY_NIBABEL:
        return nifti.read_label_names(file)
    return itk_files.read_label_names(file)
