"""Slices in the same place: one of several copies is enough; otherwise the error says in which tag they differ."""

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
"""Tags in which slices of one place may differ, the most informative first."""


def without_copies(headers: Sequence[Any]) -> list[Any]:
    """A series' headers, one for each slice.

    Two files are copies if place, size and all values are the same, whatever else their headers say.

    Raises:
        ValueError: files with different values are in the same place, or pixels cannot be decoded.
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
            f"{count} of {total} slices are in the same place as another one{_difference(mixed[0])}: several echoes, time points or "
            "acquisitions in one series; put each into its own folder"
        )
    return [found[0] for found in kept.values()]


def _place(header: Any) -> str:
    """Position, directions and size as text; the file's name if there is no position, which is reported elsewhere."""
    tags = ("ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns")
    return repr([str(header.get(tag)) for tag in tags]) if header.get(tags[0]) else str(header.filename)


def _distinct(headers: Sequence[Any]) -> list[Any]:
    """One header for each content."""
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
    """The tag in which the slices of one place differ, for a message, or ""."""
    for tag in TELLING:
        values = dict.fromkeys(str(header.get(tag, "")) for header in headers)
        if len(values) == len(headers):
            return f" (they differ in {tag}: {listed(list(values))})"
    return ""
