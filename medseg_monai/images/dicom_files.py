"""Which files are DICOM images, whatever their names, and their headers. pydicom is imported only when needed."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from medseg_monai.images.photos import SUFFIXES as PICTURE_SUFFIXES

SERIES_MARK = "#"
"""Between a folder and a series' UID in a path: ``FOLDER#UID``."""
OTHER_MODALITIES = ("SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "PR", "KO", "SR", "REG", "DOC", "AU")
"""DICOM objects that accompany images but are not images."""
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
"""A file with such a suffix that is not DICOM is an error; any other file is skipped."""
OTHER_SUFFIXES = frozenset(
    {
        *PICTURE_SUFFIXES,
        *(".nii", ".gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr", ".raw", ".zraw", ".stl", ".vtk"),
        *(
            ".txt",
            ".csv",
            ".tsv",
            ".json",
            ".md",
            ".html",
            ".htm",
            ".xml",
            ".pdf",
            ".log",
            ".yaml",
            ".yml",
            ".ini",
            ".inf",
        ),
        *(".py", ".pt", ".pth", ".npy", ".npz", ".onnx", ".zip", ".tar", ".7z", ".exe", ".dll", ".jar", ".so"),
    }
)
"""Suffixes of files that are never opened to see whether they are DICOM: a folder may contain ten thousand of them."""
_PREAMBLE, _MARK = 128, b"DICM"
_FIRST_GROUPS = (0x0002, 0x0008)
_FIRST_VRS = (b"UL", b"OB", b"UI", b"CS", b"DA", b"TM", b"DT", b"SH", b"LO", b"AE")
"""The types of the first elements of groups 2 and 8."""
_LONGEST_FIRST = 128
"""Bytes that may occur in the first element of a data set without a preamble: a number, a UID, or names of character sets."""
_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "ImageType",
    "SeriesInstanceUID",
    "SeriesDescription",
    "SeriesNumber",
    "PatientID",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "AcquisitionNumber",
    "AcquisitionTime",
    "EchoTime",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "DiffusionBValue",
]


def pydicom() -> Any:
    """The package pydicom.

    Raises:
        ImportError: it is not installed; the message names the extra.
    """
    try:
        import pydicom
    except ImportError:
        raise ImportError("DICOM files need pydicom, which is not installed: pip install pydicom") from None
    return pydicom


def split_path(path: str | Path) -> tuple[Path, str]:
    """(folder, series UID or "") from ``FOLDER#UID``; a folder whose own name contains ``#`` is not split."""
    text = str(path)
    folder, mark, uid = text.rpartition(SERIES_MARK)
    return (Path(folder), uid) if mark and not Path(text).exists() else (Path(text), "")


def is_dicom_file(file: Path) -> bool:
    """Whether a file is DICOM by its first bytes: the mark after a preamble, or a data set without one."""
    head = _head(file)
    return _has_mark(head) or _begins_at_once(head)


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(_PREAMBLE + len(_MARK))
    except OSError:
        return b""


def _has_mark(head: bytes) -> bool:
    return head[_PREAMBLE:] == _MARK


def _begins_at_once(head: bytes) -> bool:
    """Whether the bytes look like the first element of group 2 or 8, in any of DICOM's three encodings."""
    if len(head) < _PREAMBLE:
        return False
    for order in "<>":
        group, _ = struct.unpack_from(f"{order}HH", head)
        if group not in _FIRST_GROUPS:
            continue
        if head[4:6] in _FIRST_VRS:
            return True
        length: int = struct.unpack_from(f"{order}I", head, 4)[0]
        return order == "<" and length % 2 == 0 and length <= _LONGEST_FIRST
    return False


def is_dicom_folder(path: str | Path) -> bool:
    """Whether a folder (``FOLDER`` or ``FOLDER#UID``) directly contains DICOM images, or files with a DICOM suffix that cannot be read.

    A disc's index (DICOMDIR), reports, presentation states and the like do not count as images.
    """
    folder, _ = split_path(path)
    return folder.is_dir() and any(_image_or_damaged(file) for file in candidates(folder))


def _image_or_damaged(file: Path) -> bool:
    try:
        return image_header(file) is not None
    except ValueError:
        return True


def candidates(folder: Path) -> list[Path]:
    """The files of a folder that may be DICOM: neither hidden nor with another format's suffix."""
    files = (path for path in folder.iterdir() if path.suffix.lower() not in OTHER_SUFFIXES)
    return sorted(path for path in files if not path.name.startswith(".") and path.is_file())


def image_header(file: Path) -> Any | None:
    """The relevant tags, or None for a file that is not a DICOM image.

    Raises:
        ValueError: a file with DICOM's suffix or mark cannot be read.
        ImportError: pydicom is not installed.
    """
    head = _head(file)
    marked = _has_mark(head)
    if not marked and not _begins_at_once(head):
        if file.suffix.lower() in DICOM_SUFFIXES:
            raise ValueError(f"{file}: is not a DICOM file despite its name; is it encrypted or damaged?")
        return None
    try:
        # without the mark pydicom reads a file as DICOM only if forced
        header = pydicom().dcmread(file, stop_before_pixels=True, specific_tags=_TAGS, force=not marked)
        image = "Rows" in header and (marked or "SOPClassUID" in header)
        return header if image and str(header.get("Modality", "")) not in OTHER_MODALITIES else None
    except ImportError:
        raise
    except Exception as error:  # pydicom passes on whatever a damaged file makes its parser raise, even struct.error
        if not marked and file.suffix.lower() not in DICOM_SUFFIXES:
            return None
        raise ValueError(f"{file}: its DICOM header cannot be read ({error}); copy it again from its source") from None
