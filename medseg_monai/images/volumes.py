"""Volumes as arrays: image volumes and their grids; label volumes are in `medseg_monai.images.label_volumes`.

Arrays are (I, J, K) in the file's order; the affine gives their position (RAS, mm). Nothing is reoriented or resampled here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg_monai.grids.geometry import Geometry, Header, check_same_grid, shape_text
from medseg_monai.images import dicom, dicom_files, itk_files, nifti
from medseg_monai.images.paired import header_of
from medseg_monai.images.photos import Array, PathLike

NIFTI_SUFFIXES = (".nii", ".nii.gz")
READ_BY_NIBABEL = (*NIFTI_SUFFIXES, ".hdr", ".hdr.gz")
"""NIfTI in one file, and the header of NIfTI in two."""
VOLUME_SUFFIXES = (*READ_BY_NIBABEL, *itk_files.SUFFIXES)
"""Suffixes, in lower case, of files that are taken for volumes."""


@dataclass(frozen=True)
class Volume:
    """An image volume.

    Args:
        array: (I, J, K), or (C, I, J, K) from `read_image_volume`; the stored type, or float32 if the header scales the values.
        affine: (4, 4) float64, voxel index to RAS millimetres.
        path: the file or folder it came from.
        stored: the type of the stored voxels, e.g. ``int16``.
    """

    array: Array
    affine: NDArray[np.float64]
    path: Path
    stored: str

    @property
    def geometry(self) -> Geometry:
        """The grid."""
        i, j, k = self.array.shape[-3:]
        return Geometry((i, j, k), self.affine)


def volume_suffix(path: PathLike) -> str:
    """The suffix of a volume file's name, in lower case, or "" for another file.

    >>> volume_suffix("a/b.NII.GZ"), volume_suffix("b.gz")
    ('.nii.gz', '')
    """
    name = Path(path).name.lower()
    return next((suffix for suffix in sorted(VOLUME_SUFFIXES, key=len, reverse=True) if name.endswith(suffix)), "")


def is_volume(path: PathLike) -> bool:
    """Whether a path names a volume file, or a folder that directly contains DICOM files (also ``FOLDER#SERIES_UID``)."""
    return bool(volume_suffix(path)) or dicom_files.is_dicom_folder(Path(path))


def read_volume(path: PathLike) -> Volume:
    """An image volume, (I, J, K), from a file or a DICOM folder (``FOLDER#SERIES_UID`` if it contains several series).

    Raises:
        FileNotFoundError, ValueError: the file is missing, damaged, not three-dimensional, or has an unusable grid or values.
    """
    volume = read_voxels(path)
    if volume.array.ndim != 3:
        raise ValueError(
            f"{path}: has 4 axes ({shape_text(volume.array.shape)}); expected one volume: save each as a separate file"
        )
    return volume


def read_image_volume(path: PathLike | Sequence[PathLike], channels: int) -> Volume:
    """A case's image, (C, I, J, K): one file, a file per channel, or one 4D file whose last axis is the channels.

    Raises:
        FileNotFoundError, ValueError: a file is missing or unusable, the number of channels is wrong, or the files' grids differ.
    """
    paths = as_paths(path)
    volumes = [read_voxels(file) for file in paths]
    planes = [v.array[None] if v.array.ndim == 3 else np.moveaxis(v.array, -1, 0) for v in volumes]
    found = sum(len(plane) for plane in planes)
    if found != channels:
        raise ValueError(f"{paths[0]}: has {found} channels, but the data set has {channels}")
    first = volumes[0]
    grids = [grid_of_voxels(volume) for volume in volumes]
    for file, grid in zip(paths[1:], grids[1:], strict=True):
        check_grid(file, grid, grids[0])
    return Volume(np.concatenate(planes) if len(planes) > 1 else planes[0], first.affine, first.path, first.stored)


def read_geometry(path: PathLike | Sequence[PathLike]) -> Geometry:
    """Shape and affine from the header (of the first file if there are several), without the voxels. Raises as `read_volume`."""
    return read_volume_header(as_paths(path)[0]).geometry


def read_volume_header(path: PathLike) -> Header:
    """Grid, number of channels and stored type, without the voxels. Raises as `read_volume`."""
    file = Path(path)
    if volume_suffix(file) in READ_BY_NIBABEL:
        return nifti.read_header(file)
    if volume_suffix(file):
        return itk_files.read_header(file)
    _check_known(file)
    return Header(dicom.read_geometry(file), 1, "")


def read_voxels(path: PathLike) -> Volume:
    """A file's voxels as stored: (I, J, K), or (I, J, K, C) from a 4D file. Raises as `read_volume`."""
    file = Path(path)
    if volume_suffix(file) in READ_BY_NIBABEL:
        array, affine, stored = nifti.read(file)
    elif volume_suffix(file):
        array, affine, stored = itk_files.read(file)
    else:
        _check_known(file)
        array, affine, stored = dicom.read(file)
    volume = Volume(array, affine, file, stored)
    if array.dtype.kind == "f" and (broken := int(array.size - np.isfinite(array).sum())):
        raise ValueError(f"{file}: {broken} of {array.size} voxels are NaN or infinite; replace them first")
    return volume


def _check_known(file: Path) -> None:
    """Raise an error for a path that neither its name nor its content says how to read."""
    folder, _ = dicom_files.split_path(file)
    if not folder.exists():
        raise FileNotFoundError(f"{file}: no such file or folder")
    if folder.is_file() and dicom_files.is_dicom_file(folder):
        raise ValueError(f"{file}: is a single DICOM file; name its folder, which contains the series")
    if folder.is_file() and (header := header_of(folder)):
        raise ValueError(f"{file}: contains only the voxels of {header.name}; name that file instead")
    if folder.is_file():
        raise ValueError(
            f"{file}: is not a volume; supported are {', '.join(VOLUME_SUFFIXES)} and folders of DICOM files"
        )


def grid_of_voxels(volume: Volume) -> Geometry:
    """The grid of what `read_voxels` gives, whose first three axes are spatial."""
    i, j, k = volume.array.shape[:3]
    return Geometry((i, j, k), volume.affine)


def check_grid(file: PathLike, own: Geometry, wanted: Geometry) -> None:
    """Raise a ValueError that names the file if its grid is not the wanted one."""
    try:
        check_same_grid(own, wanted)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def as_paths(path: PathLike | Sequence[PathLike]) -> list[PathLike]:
    """The path or paths as a list."""
    return [path] if isinstance(path, str | os.PathLike) else list(path)
