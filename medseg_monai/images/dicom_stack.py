"""A DICOM series' slices as one straight grid, or an error that says why they are not one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.grids.geometry import LPS, Geometry, numbers_text
from medseg_monai.program.messages import listed

POSITION_TOLERANCE = 0.1
"""How far a slice may be from its regular place, as a share of the distance between slices; scanners round positions."""
DIRECTION_TOLERANCE = 0.01
"""Tolerance of a direction's length, and of the dot product of two perpendicular ones."""
TILT_TOLERANCE_DEGREES = 0.06
"""Tolerance between the slices' normal and the direction from one slice to the next; as `grid.SHEAR_TOLERANCE`."""


@dataclass(frozen=True)
class Slice:
    """One file of a series, by its header.

    Args:
        position: the first pixel's centre, LPS, mm.
        orientation: (6,) direction cosines of a row, then of a column, LPS.
        spacing: mm between (columns, rows).
        size: (columns, rows).
        thickness: mm from one slice to the next according to the header, or 0.
        stored: bits allocated per value, bits used, and 1 if values are signed, else 0.
        inverted: whether low values are displayed bright (MONOCHROME1); the values themselves are unaffected.
    """

    file: Path
    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing: tuple[float, float]
    size: tuple[int, int]
    thickness: float
    slope: float
    intercept: float
    stored: tuple[int, ...]
    inverted: bool
    syntax: str

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the slice."""
        return np.cross(self.orientation[:3], self.orientation[3:])


def stacked(headers: Sequence[Any]) -> tuple[list[Slice], Geometry]:
    """The slices of a series in order along their normal, and their grid.

    Args:
        headers: pydicom data sets of one series, without pixels.

    Raises:
        ValueError: a file is not a slice, or the slices are not a straight volume.
    """
    slices = [slice_of(header) for header in headers]
    _check_alike(slices)
    normal = slices[0].normal
    slices.sort(key=lambda one: float(one.position @ normal))
    first, step = slices[0], _step(slices)
    affine = np.eye(4)
    affine[:3, 0] = first.orientation[:3] * first.spacing[0]
    affine[:3, 1] = first.orientation[3:] * first.spacing[1]
    affine[:3, 2] = step
    affine[:3, 3] = first.position
    return slices, Geometry((*first.size, len(slices)), LPS @ affine)


def slice_of(header: Any) -> Slice:
    """The slice that a header describes; ValueError if it is not one grey slice with a position in the patient."""
    name = Path(header.filename).name
    try:
        _check_grey_slice(header)
        rows, columns = _numbers(header, "PixelSpacing", 2)
        if min(rows, columns) <= 0:
            raise ValueError(f"gives pixel sides of {rows:g} and {columns:g} mm; all must be above 0")
        size = (int(_number(header, "Columns")), int(_number(header, "Rows")))
        return Slice(
            file=Path(header.filename),
            position=_numbers(header, "ImagePositionPatient", 3),
            orientation=_directions(header),
            spacing=(float(columns), float(rows)),
            size=size,
            thickness=_thickness(header),
            slope=_number(header, "RescaleSlope") or 1.0,
            intercept=_number(header, "RescaleIntercept"),
            stored=tuple(int(_number(header, tag)) for tag in ("BitsAllocated", "BitsStored", "PixelRepresentation")),
            inverted=str(header.get("PhotometricInterpretation", "")) == "MONOCHROME1",
            syntax=str(header.file_meta.get("TransferSyntaxUID", "")),
        )
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _check_grey_slice(header: Any) -> None:
    """Check that the file is one picture of grey values, not several and not colours."""
    frames = int(_number(header, "NumberOfFrames") or 1)
    if frames > 1:
        raise ValueError(f"is a multi-frame file of {frames} frames; convert it with dcm2niix first")
    if "MOSAIC" in str(header.get("ImageType", "")):
        raise ValueError("contains many slices side by side in one picture (mosaic); convert it with dcm2niix first")
    colours = str(header.get("PhotometricInterpretation", ""))
    if (_number(header, "SamplesPerPixel") or 1) != 1 or colours == "PALETTE COLOR":
        raise ValueError(
            f"contains colours ({colours or 'several values per pixel'}); expected one grey value per voxel"
        )
    if header.get("ModalityLUTSequence"):
        raise ValueError("maps its values by a lookup table (ModalityLUTSequence); expected a slope and an intercept")


def _number(header: Any, tag: str) -> float:
    """A tag's number, 0 if it is missing or empty; ValueError if it is not one finite number."""
    return float(_numbers(header, tag, 1)[0]) if header.get(tag) not in (None, "") else 0.0


def _thickness(header: Any) -> float:
    """Millimetres to the next slice by the header, or 0: positions are more reliable, and only a single slice needs it."""
    for tag in ("SpacingBetweenSlices", "SliceThickness"):
        with suppress(ValueError):
            if distance := abs(_number(header, tag)):
                return distance
    return 0.0


def _numbers(header: Any, tag: str, count: int) -> NDArray[np.float64]:
    """A tag's numbers, float64 (count,); ValueError if they are missing, not numbers or not `count` of them."""
    value = header.get(tag)
    if value is None or value == "" or (isinstance(value, Sequence) and len(value) == 0):
        raise ValueError(f"has no {tag}: it is not a slice with a position in the patient")
    try:
        numbers = np.atleast_1d(np.array(value, np.float64))
    except (ValueError, TypeError):
        numbers = np.array([np.nan])
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        wanted = "a finite number" if count == 1 else f"{count} finite numbers"
        raise ValueError(f"has the {tag} {value}; expected {wanted}")
    return numbers


def _directions(header: Any) -> NDArray[np.float64]:
    """(6,) direction cosines; ValueError if they are not two perpendicular directions."""
    cosines = _numbers(header, "ImageOrientationPatient", 6)
    row, column = cosines[:3], cosines[3:]
    off = max(abs(float(np.linalg.norm(row)) - 1), abs(float(np.linalg.norm(column)) - 1), abs(float(row @ column)))
    if off > DIRECTION_TOLERANCE:
        raise ValueError(
            f"has the ImageOrientationPatient {numbers_text(cosines)}; expected two perpendicular directions of length 1"
        )
    return cosines


def _check_alike(slices: Sequence[Slice]) -> None:
    """Check that all slices have one orientation, one size and one spacing."""
    planes = Counter(_plane(one) for one in slices)
    apart = max(float(np.abs(one.orientation - slices[0].orientation).max()) for one in slices)
    if len(planes) > 1 or apart > 1e-3:
        kinds = ", ".join(f"{count} {plane}" for plane, count in planes.most_common())
        raise ValueError(
            f"mixed orientations in one series ({kinds} slices, directions differ by up to {apart:.2g}): is it a localizer?"
        )
    if len({one.size for one in slices}) > 1 or np.ptp([one.spacing for one in slices], axis=0).max() > 1e-4:
        sizes = sorted({f"{one.size[0]}x{one.size[1]} at {numbers_text(one.spacing)} mm" for one in slices})
        raise ValueError(f"slices of several sizes in one series: {listed(sizes)}")


def _plane(one: Slice) -> str:
    return ("sagittal", "coronal", "axial")[int(np.abs(one.normal).argmax())]


def _step(slices: Sequence[Slice]) -> NDArray[np.float64]:
    """The vector from one slice to the next (LPS, mm) of slices sorted along their normal.

    Raises:
        ValueError: positions repeat, leave gaps, or drift sideways.
    """
    normal = slices[0].normal
    if len(slices) == 1:
        if not slices[0].thickness:
            raise ValueError("a single slice without a thickness in its header; expected a series")
        return normal * slices[0].thickness
    places = np.array([one.position @ normal for one in slices])
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    same = int((gaps < max(1e-3, POSITION_TOLERANCE * usual)).sum())
    if same:
        raise ValueError(
            f"{same} of {len(slices)} slices are in the same place as another one: several echoes, time points or copies in one series"
        )
    uneven = np.flatnonzero(np.abs(gaps - usual) > POSITION_TOLERANCE * usual)
    if len(uneven):
        where = [f"{places[n]:.4g} and {places[n + 1]:.4g} mm ({gaps[n]:.4g} mm)" for n in uneven]
        missing = int(np.rint(gaps[uneven] / usual - 1).clip(0).sum())
        raise ValueError(
            f"uneven slice positions, {missing} slices seem to be missing: {usual:.4g} mm apart, except between {listed(where)}"
        )
    step: NDArray[np.float64] = (slices[-1].position - slices[0].position) / (len(slices) - 1)
    tilt = float(np.degrees(np.arccos(min(1.0, float(step @ normal / np.linalg.norm(step))))))
    if tilt > TILT_TOLERANCE_DEGREES:
        raise ValueError(
            f"the slices are shifted against each other by {tilt:.1f} degrees (gantry tilt): resample to a straight grid first, as "
            "dcm2niix does"
        )
    even = slices[0].position + np.arange(len(slices))[:, None] * step
    off = np.linalg.norm(np.array([one.position for one in slices]) - even, axis=1)
    if off.max() > POSITION_TOLERANCE * usual:
        raise ValueError(
            f"{slices[int(off.argmax())].file.name} is {off.max():.3g} mm off the line of the other slices"
        )
    return step
