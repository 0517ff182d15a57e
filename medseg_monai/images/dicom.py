"""DICOM series as volumes: headers by pydicom, pixels by SimpleITK, both imported only when DICOM is met.

A series is a folder's slices of one SeriesInstanceUID, sorted along their normal. What makes a stack of slices no straight volume
(missing or double slices, mixed orientations or sizes, a tilted gantry, several patients) is an error that names it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.images.dicom_stack import Slice, stacked
from medseg_monai.images.grid import Geometry
from medseg_monai.images.itk_files import plain_reason, simpleitk
from medseg_monai.images.photos import Array
from medseg_monai.leaks import listed

SERIES_MARK = "#"
"""Between a folder and a series' UID in a path: ``FOLDER#UID``."""
OTHER_MODALITIES = ("SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "PR", "KO", "SR", "REG", "DOC", "AU")
"""DICOM objects that lie beside images and are none."""
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
_TAGS = [
    "SeriesInstanceUID",
    "SeriesDescription",
    "SeriesNumber",
    "PatientID",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "RescaleSlope",
    "RescaleIntercept",
    "BitsAllocated",
    "PixelRepresentation",
]


@dataclass(frozen=True)
class Series:
    """The files of one SeriesInstanceUID in a folder."""

    uid: str
    description: str
    number: str
    patients: tuple[str, ...]
    headers: tuple[Any, ...]

    def __str__(self) -> str:
        """For lists of series to choose from."""
        return f"{self.uid} '{self.description}' ({len(self.headers)} slices)"


def pydicom() -> Any:
    """The package pydicom.

    Raises:
        ImportError: it is not installed; the message names the extra.
    """
    try:
        import pydicom
    except ImportError:
        raise ImportError("DICOM files need pydicom: pip install 'medseg-monai[volumes]'") from None
    return pydicom


def split_path(path: str | Path) -> tuple[Path, str]:
    """(folder, series UID or "") of ``FOLDER#UID``; a folder whose own name has a ``#`` is left whole."""
    text = str(path)
    folder, mark, uid = text.rpartition(SERIES_MARK)
    return (Path(folder), uid) if mark and not Path(text).exists() else (Path(text), "")


def is_dicom_file(file: Path) -> bool:
    """Whether the file has DICOM's mark behind its preamble."""
    try:
        with file.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def is_dicom_folder(path: str | Path) -> bool:
    """Whether a folder (``FOLDER`` or ``FOLDER#UID``) directly holds DICOM files."""
    folder, _ = split_path(path)
    return folder.is_dir() and any(_looks_dicom(file) for file in _files(folder))


def _looks_dicom(file: Path) -> bool:
    return file.suffix.lower() in DICOM_SUFFIXES or (
        (file.suffix == "" or file.suffix[1:].isdigit()) and is_dicom_file(file)
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def find_series(folder: str | Path) -> list[Series]:
    """The image series that a folder directly holds, by number and UID.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: the folder is empty or holds no DICOM image, or a file that calls itself DICOM is none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    files = _files(folder)
    if not files:
        raise ValueError(f"{folder}: the folder is empty; DICOM files are wanted")
    found: dict[str, list[Any]] = defaultdict(list)
    for file in files:
        header = _header(file)
        if header is not None:
            found[str(header.get("SeriesInstanceUID", ""))].append(header)
    if not found:
        raise ValueError(f"{folder}: no DICOM image among its {len(files)} files")
    series = [_series(uid, headers) for uid, headers in found.items()]
    return sorted(series, key=lambda one: (one.number.zfill(9), one.uid))


def _header(file: Path) -> Any | None:
    """The tags that matter, or None for a file that is no DICOM image.

    Raises:
        ValueError: a file with DICOM's ending or mark that cannot be read.
    """
    named = file.suffix.lower() in DICOM_SUFFIXES
    if not is_dicom_file(file):
        if named:
            raise ValueError(f"{file}: is no DICOM file, whatever its name says; is it encrypted or damaged?")
        return None
    try:
        header = pydicom().dcmread(file, stop_before_pixels=True, specific_tags=_TAGS)
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, pydicom().errors.InvalidDicomError) as error:
        raise ValueError(f"{file}: its DICOM header cannot be read ({error}); copy it again from its source") from None
    if "Rows" not in header or str(header.get("Modality", "")) in OTHER_MODALITIES:
        return None
    return header


def _series(uid: str, headers: Sequence[Any]) -> Series:
    first = headers[0]
    patients = tuple(sorted({str(header.get("PatientID", "")) for header in headers}))
    number = first.get("SeriesNumber")
    text = " ".join(str(first.get("SeriesDescription", "")).split())
    return Series(uid, text, "" if number is None else str(number), patients, tuple(headers))


def choose_series(path: str | Path) -> Series:
    """The series that ``FOLDER`` or ``FOLDER#UID`` means.

    Raises:
        FileNotFoundError, ValueError: there is none of that UID; or no UID is given and the folder holds several series or patients.
    """
    folder, uid = split_path(path)
    series = find_series(folder)
    if uid:
        chosen = [one for one in series if one.uid == uid]
        if not chosen:
            raise ValueError(f"{folder}: holds no series {uid}; there are {listed(series, limit=20)}")
        series = chosen
    if patients := _several_patients(series):
        raise ValueError(f"{folder}: {patients}")
    if len(series) > 1:
        raise ValueError(
            f"{folder}: holds {len(series)} series; choose one as {folder.name}{SERIES_MARK}UID, or take all with --series all: "
            f"{listed(series, limit=20)}"
        )
    return series[0]


def _several_patients(series: Sequence[Series]) -> str:
    """What to say of files of several patients, or ""."""
    patients = sorted({patient for one in series for patient in one.patients})
    if len(patients) < 2:
        return ""
    return f"holds images of {len(patients)} patients ({listed(patients)}); give each patient a folder, or choose a series by UID"


def series_paths(folder: str | Path, rule: str) -> list[str]:
    """The paths that a rule picks from a DICOM folder.

    Args:
        folder: the folder.
        rule: ``one`` (the folder itself: reading it fails where it holds several), ``all``, ``largest`` (most slices), or a UID.

    Raises:
        ValueError: the folder holds no such series, or several patients' files.
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
    """A series' grid from its headers, pixels unread. Raises as `read` does."""
    return _stack(path)[1]


def read(path: str | Path) -> tuple[Array, NDArray[np.float64], str]:
    """Voxels (I, J, K) with the header's slope and intercept applied, affine (RAS, mm), and the type's name.

    Args:
        path: ``FOLDER``, or ``FOLDER#UID`` where the folder holds several series.

    Raises:
        FileNotFoundError, ValueError: the folder holds no series or several, or the slices make no straight volume.
        ImportError: pydicom or SimpleITK is not installed.
    """
    slices, geometry = _stack(path)
    sitk = simpleitk()
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(one.file) for one in slices])
    if not _one_whole_type(slices):
        reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise ValueError(f"{path}: {_unreadable(slices, error)}") from None
    array = sitk.GetArrayFromImage(image).transpose()  # (K, J, I) -> (I, J, K)
    if array.shape != geometry.shape:
        raise ValueError(f"{path}: SimpleITK reads {array.shape} voxels, the headers say {geometry.shape}")
    return array, geometry.affine, image.GetPixelIDTypeAsString()


def _one_whole_type(slices: Sequence[Slice]) -> bool:
    """Whether the first slice's type of whole numbers, which SimpleITK takes for all, holds the values of the others too."""
    kinds = {(one.slope, one.intercept, one.stored) for one in slices}
    return len(kinds) == 1 and slices[0].slope.is_integer() and slices[0].intercept.is_integer()


def _unreadable(slices: Sequence[Slice], error: Exception) -> str:
    """What to say of pixels that SimpleITK cannot decode: of the first such file, if a single one can be told."""
    bad = next((one for one in slices if not _can_be_read(one.file)), slices[0])
    syntax = pydicom().uid.UID(bad.syntax)
    cure = "it is damaged or cut short: copy it again from its source"
    if syntax.is_compressed or syntax.is_private:
        cure = "it is damaged, encrypted or of a compression that SimpleITK does not know: decompress it first (gdcmconv --raw)"
    reason = plain_reason(error).removeprefix("ITK ERROR: ")
    return f"the pixels of {bad.file.name} cannot be read ({syntax.name}; {reason}); {cure}"


def _can_be_read(file: Path) -> bool:
    try:
        simpleitk().ReadImage(str(file))
    except RuntimeError:
        return False
    return True


def _stack(path: str | Path) -> tuple[list[Slice], Geometry]:
    """A series' slices in order, and their grid."""
    series = choose_series(path)
    try:
        return stacked(series.headers)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
