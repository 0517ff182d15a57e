"""DICOM series as volumes: headers by pydicom, pixels by SimpleITK, both imported only when needed.

A series is a folder's slices of one SeriesInstanceUID, sorted along their normal. If they are not a straight volume
(missing slices, two in one place, mixed orientations or sizes, a tilted gantry, several patients), an error says why.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.grids.geometry import Geometry
from medseg_monai.images.dicom_copies import without_copies
from medseg_monai.images.dicom_files import SERIES_MARK, candidates, image_header, split_path
from medseg_monai.images.dicom_pixels import read_voxels
from medseg_monai.images.dicom_stack import Slice, stacked
from medseg_monai.images.photos import Array
from medseg_monai.program.messages import listed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Series:
    """The files of one SeriesInstanceUID in a folder."""

    uid: str
    description: str
    number: str
    patients: tuple[str, ...]
    headers: tuple[Any, ...]

    def __str__(self) -> str:
        """One line of a list of series to choose from."""
        return f"{self.uid} '{self.description}' ({len(self.headers)} slices)"


def find_series(folder: str | Path) -> list[Series]:
    """The image series directly in a folder, by number and UID.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: the folder is empty or contains no DICOM image, or a file with a DICOM suffix is something else.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    files = candidates(folder)
    found: dict[str, list[Any]] = defaultdict(list)
    for file in files:
        header = image_header(file)
        if header is not None:
            found[str(header.get("SeriesInstanceUID", ""))].append(header)
    if not found:
        others = sum(1 for _ in folder.iterdir())
        among = (
            f"no DICOM image among its {others} files and folders"
            if others
            else "the folder is empty; expected DICOM files"
        )
        raise ValueError(f"{folder}: {among}")
    series = [_series(uid, headers) for uid, headers in found.items()]
    return sorted(series, key=lambda one: (one.number.zfill(9), one.uid))


def _series(uid: str, headers: Sequence[Any]) -> Series:
    first = headers[0]
    patients = tuple(sorted({str(header.get("PatientID", "")) for header in headers}))
    number = first.get("SeriesNumber")
    text = " ".join(str(first.get("SeriesDescription", "")).split())
    return Series(uid, text, "" if number is None else str(number), patients, tuple(headers))


def choose_series(path: str | Path) -> Series:
    """The series that ``FOLDER`` or ``FOLDER#UID`` denotes.

    Raises:
        FileNotFoundError, ValueError: no series has that UID; or no UID is given and the folder contains several series or patients.
    """
    folder, uid = split_path(path)
    series = find_series(folder)
    if uid:
        chosen = [one for one in series if one.uid == uid]
        if not chosen:
            raise ValueError(f"{folder}: contains no series {uid}; its series are {listed(series, limit=20)}")
        series = chosen
    if patients := _several_patients(series):
        raise ValueError(f"{folder}: {patients}")
    if len(series) > 1:
        raise ValueError(
            f"{folder}: contains {len(series)} series; choose one as {folder.name}{SERIES_MARK}UID, or all with --series all: "
            f"{listed(series, limit=20)}"
        )
    return series[0]


def _several_patients(series: Sequence[Series]) -> str:
    """A message about files of several patients, or ""."""
    patients = sorted({patient for one in series for patient in one.patients})
    if len(patients) < 2:
        return ""
    return f"contains images of {len(patients)} patients ({listed(patients)}); give each patient a folder, or choose a series by UID"


def series_paths(folder: str | Path, rule: str) -> list[str]:
    """The paths that a rule selects from a DICOM folder.

    Args:
        folder: the folder.
        rule: ``one`` (the folder itself: reading it fails if it contains several), ``all``, ``largest`` (most slices), or a UID.

    Raises:
        ValueError: the folder has no such series, or files of several patients.
    """
    if rule == "one":
        return [str(folder)]
    if rule not in ("all", "largest"):
        return [f"{folder}{SERIES_MARK}{rule}"]
    series = find_series(folder)
    if patients := _several_patients(series):
        raise ValueError(f"{folder}: {patients}")
    if rule == "largest":
        series = [max(series, key=lambda one: len(one.headers))]
    return [f"{folder}{SERIES_MARK}{one.uid}" for one in series]


def read_geometry(path: str | Path) -> Geometry:
    """A series' grid from its headers; pixels are read only if two slices are in the same place. Raises as `read` does."""
    return sorted_slices(path)[1]


def read(path: str | Path) -> tuple[Array, NDArray[np.float64], str]:
    """Voxels (I, J, K) with the header's slope and intercept applied, affine (RAS, mm), and the type's name.

    Args:
        path: ``FOLDER``, or ``FOLDER#UID`` if the folder contains several series.

    Raises:
        FileNotFoundError, ValueError: the folder contains no series or several, or the slices are not a straight volume.
        ImportError: pydicom or SimpleITK is not installed.
    """
    slices, geometry = sorted_slices(path)
    try:
        array = read_voxels(slices)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return array, geometry.affine, array.dtype.name


def sorted_slices(path: str | Path) -> tuple[list[Slice], Geometry]:
    """A series' slices in order along their normal, without copies, and their grid. Raises as `read` does."""
    series = choose_series(path)
    try:
        headers = without_copies(series.headers)
        slices, geometry = stacked(headers)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if copies := len(series.headers) - len(headers):
        logger.warning(
            "%s: %d of %d files are copies of a slice; each slice is read once", path, copies, len(series.headers)
        )
    return slices, geometry
