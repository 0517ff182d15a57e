"""What the measures of a case leave open: how near counts as near, and how much overlap makes a lesion found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

IMAGE_TOLERANCE = 0.01
"""Of a photograph's diagonal. Photographs have no scale and those of one data set have many sizes, so a number of pixels would mean
something else in each; half the band of Boundary IoU, whose width was chosen so that outlines by two people pass."""
VOLUME_TOLERANCE_MM = 2.0
"""Millimetres: the strictest tolerance of FLARE 2022's evaluation, that of vessels, adrenal glands and the gallbladder."""
BOUNDARY_SHARE = 0.02
"""Of the image's diagonal: the band of Boundary IoU as its authors define it."""


@dataclass(frozen=True)
class MeasureOptions:
    """Choices of the measures; None for the default.

    Args:
        tolerance: distance that the surface Dice forgives, in the unit of distances (mm, or px of the image). Choose what two experts
            differ by. Default: 2 mm for volumes, 1 % of the image's diagonal for photographs.
        boundary_width: width of the band of Boundary IoU, in the same unit. Default: 2 % of the diagonal.
        lesion_iou: a true and a predicted lesion match if their IoU is above it: 0.5 allows one partner at most, 0 is any overlap.

    Raises:
        ValueError: a value is not a number, or out of range.
    """

    tolerance: float | None = None
    boundary_width: float | None = None
    lesion_iou: float = 0.5

    def __post_init__(self) -> None:
        for name in ("tolerance", "boundary_width"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value > 0):
                raise ValueError(f"{name} is a distance above 0, or null for the default, not {value!r}")
        if not _is_number(self.lesion_iou) or not 0 <= self.lesion_iou < 1:
            raise ValueError(f"lesion_iou is a number from 0 (any overlap) to below 1, not {self.lesion_iou!r}")

    def tolerance_of(self, shape: Sequence[int], spacing: Sequence[float]) -> float:
        """The tolerance for an image of a shape, in the unit of the spacing.

        >>> MeasureOptions().tolerance_of((300, 400), (1, 1)), MeasureOptions().tolerance_of((30, 40, 9), (1, 1, 3))
        (5.0, 2.0)
        """
        if self.tolerance is not None:
            return float(self.tolerance)
        return VOLUME_TOLERANCE_MM if len(shape) == 3 else IMAGE_TOLERANCE * diagonal(shape, spacing)

    def boundary_width_of(self, shape: Sequence[int], spacing: Sequence[float]) -> float:
        """The width of the band of Boundary IoU for an image of a shape, in the unit of the spacing."""
        return BOUNDARY_SHARE * diagonal(shape, spacing) if self.boundary_width is None else float(self.boundary_width)

    def to_dict(self) -> dict[str, Any]:
        """For the facts of a run."""
        return asdict(self)


def diagonal(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """The image's diagonal, in the unit of the spacing."""
    return float(np.linalg.norm(np.multiply(shape, spacing)))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
