"""Slices that lie in one place: of copies one is enough, of anything else it is said what they differ in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from medseg_monai.images.dicom_pixels import read_pixels
from medseg_monai.images.dicom_stack import slice_of
from medseg_monai.program.messages import listed

TELLING = (
    *("EchoTime", "TemporalPositionIdentifier", "TriggerTime", "DiffusionBValue", "AcquisitionNumber"),
    *("ImageType", "AcquisitionTime", "PixelSpacing"),
)
"""What may tell slices of one place apart, the most telling first."""


def without_copies(headers: Sequence[Any]) -> list[Any]:
    """A series' headers, one of each slice.

    Two files are copies if place, size and all values are the same, whatever else their headers say.

    Raises:
        ValueError: files of different values lie in one place; pixels cannot be decoded.
        ImportError: SimpleITK, which compares them, is not installed.
    """
    places: dict[str, list[Any]] = defaultdict(list)
    for header in headers:
        places[_place(header)].append(header)
    kept = {place: _distinct(found) for place, found in places.items()}
    mixed = [found for found in kept.values() if len(found) > 1]
    if mixed:
        count, total = sum(len(found) - 1 for found in mixed), sum(map(len, kept.values()))
        raise ValueError(
            f"{count} of {total} slices lie where another one lies already{_difference(mixed[0])}: several echoes, time points or "
            "acquisitions in one series; give each a folder of its own"
        )
    return [found[0] for found in kept.values()]


def _place(header: Any) -> str:
    """Position, directions and size as text; the file's name if there is no position, which is an error of its own."""
    tags = ("ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns")
    return repr([str(header.get(tag)) for tag in tags]) if header.get(tags[0]) else str(header.filename)


def _distinct(headers: Sequence[Any]) -> list[Any]:
    """One header of each content."""
    if len(headers) == 1:
        return list(headers)
    kept: list[Any] = []
    contents: list[Any] = []
    for header in headers:
        pixels = read_pixels(slice_of(header))
        if not any(np.array_equal(pixels, content) for content in contents):
            kept.append(header)
            contents.append(pixels)
    return kept


def _difference(headers: Sequence[Any]) -> str:
    """By which tag the slices of one place differ, for a message, or ""."""
    for tag in TELLING:
        values = dict.fromkeys(str(header.get(tag, "")) for header in headers)
        if len(values) == len(headers):
            return f" (they differ in {tag}: {listed(list(values))})"
    return ""
