"""A DICOM series' slices as one straight grid: what makes a stack of slices none is named here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.images.grid import LPS, Geometry, numbers_text
from medseg_monai.leaks import listed

POSITION_TOLERANCE = 0.1
"""A slice may lie so far from its even place, as a share of the distance between slices; scanners round positions."""
TILT_TOLERANCE_DEGREES = 0.06
"""Between the normal of the slices and the way from one to the next; as `grid.SHEAR_TOLERANCE`."""


@dataclass(frozen=True)
class Slice:
    """One file of a series, by its header.

    Args:
        position: of the first pixel's centre, LPS, mm.
        orientation: (6,) direction cosines of a row, then of a column, LPS.
        spacing: mm between (columns, rows).
        size: (columns, rows).
        thickness: mm from one slice to the next as the header has it, or 0.
        stored: bits of a stored value, and whether it is signed.
    """

    file: Path
    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing: tuple[float, float]
    size: tuple[int, int]
    thickness: float
    slope: float
    intercept: float
    stored: tuple[int, bool]
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
        ValueError: a file is no slice, or the slices make no straight volume.
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
    """What a header says of its slice; ValueError where it is none with a place in the patient."""
    name = Path(header.filename).name
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise ValueError(
            f"{name} is a multi-frame file of {header.NumberOfFrames} frames; convert it with dcm2niix first"
        )
    if int(header.get("SamplesPerPixel") or 1) != 1:
        raise ValueError(f"{name} holds colours; one grey value per voxel is wanted")
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        if not header.get(tag):
            raise ValueError(f"{name} has no {tag}: it is no slice with a place in the patient")
    rows, columns = (float(side) for side in header.PixelSpacing)
    if min(rows, columns) <= 0:
        raise ValueError(f"{name} gives pixel sides of {rows:g} and {columns:g} mm; all must be above 0")
    return Slice(
        file=Path(header.filename),
        position=np.array(header.ImagePositionPatient, np.float64),
        orientation=np.array(header.ImageOrientationPatient, np.float64),
        spacing=(columns, rows),
        size=(int(header.Columns), int(header.Rows)),
        thickness=abs(float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 0)),
        slope=float(header.get("RescaleSlope") or 1),
        intercept=float(header.get("RescaleIntercept") or 0),
        stored=(int(header.get("BitsAllocated") or 0), bool(header.get("PixelRepresentation"))),
        syntax=str(header.file_meta.get("TransferSyntaxUID", "")),
    )


def _check_alike(slices: Sequence[Slice]) -> None:
    """One orientation, one size and one spacing."""
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
            raise ValueError("a single slice without a thickness in its header; a series is wanted")
        return normal * slices[0].thickness
    places = np.array([one.position @ normal for one in slices])
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    same = int((gaps < max(1e-3, POSITION_TOLERANCE * usual)).sum())
    if same:
        raise ValueError(
            f"{same} of {len(slices)} slices lie where another one lies already: several echoes, time points or copies in one series"
        )
    uneven = np.flatnonzero(np.abs(gaps - usual) > POSITION_TOLERANCE * usual)
    if len(uneven):
        where = [f"{places[n]:.4g} and {places[n + 1]:.4g} mm ({gaps[n]:.4g} mm)" for n in uneven]
        missing = int(np.rint(gaps[uneven] / usual - 1).clip(0).sum())
        raise ValueError(
            f"uneven slice positions, {missing} slices seem to be missing: usually {usual:.4g} mm apart, but between {listed(where)}"
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
            f"{slices[int(off.argmax())].file.name} lies {off.max():.3g} mm beside the line of the other slices"
        )
    return step
