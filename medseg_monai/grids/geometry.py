"""A volume's grid in the patient: shape and affine, in RAS and millimetres, as in nibabel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import nibabel
import numpy as np
from numpy.typing import ArrayLike, NDArray

SHEAR_TOLERANCE = 1e-3
"""Largest cosine of the angle between two axes that still count as perpendicular (0.06 degrees)."""
SAME_GRID = 0.1
"""Two grids are the same if no corner voxel is displaced by more than this share of the smallest voxel side."""
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From RAS (nibabel, MONAI) to LPS (DICOM, ITK) or back: the first two axes change sign."""


@dataclass(frozen=True)
class Geometry:
    """A volume's grid.

    Args:
        shape: voxels along (I, J, K).
        affine: (4, 4) float64, from a voxel's index (i, j, k, 1) to its centre in millimetres, right-anterior-superior.

    Raises:
        ValueError: the affine is not finite, has a voxel side of 0, or axes that are not perpendicular.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64] = field(compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "affine", np.array(self.affine, np.float64))
        _check_shape(self.shape)
        _check_affine(self.affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel sides along (I, J, K)."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def orientation(self) -> str:
        """The directions of the three axes, e.g. ``RAS`` or ``LPI``: the nearest letters."""
        return "".join(nibabel.aff2axcodes(self.affine))  # type: ignore[no-untyped-call]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000


@dataclass(frozen=True)
class Header:
    """A file's header: the grid, the channels (1, or more in a 4D file), and the stored type."""

    geometry: Geometry
    channels: int
    stored: str


def _check_shape(shape: Sequence[int]) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"has {len(shape)} axes ({shape_text(shape)}); a volume must have 3")


def _check_affine(affine: NDArray[np.float64]) -> None:
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise ValueError("its affine is not a 4 x 4 matrix of finite numbers; correct the header")
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    if sides.min() <= 0:
        raise ValueError(f"its voxel sides are {numbers_text(sides)} mm: none may be 0; correct the header")
    directions = affine[:3, :3] / sides
    cosines = np.abs(directions.T @ directions - np.eye(3))
    if cosines.max() > SHEAR_TOLERANCE:
        angle = np.degrees(np.arccos(min(1.0, float(cosines.max()))))
        raise ValueError(
            f"its axes are not perpendicular (two meet at {angle:.1f} degrees): a sheared grid, as from a tilted "
            "gantry; resample it to a straight one first"
        )


def grid_distance(one: Geometry, other: Geometry) -> float:
    """The largest distance in millimetres between corner voxels of the same index of two grids of equal shape."""
    corners = np.array([(*corner, 1) for corner in product(*((0, n - 1) for n in one.shape))], np.float64)
    offsets = corners @ (one.affine - other.affine).T
    return float(np.linalg.norm(offsets[:, :3], axis=1).max())


def check_same_grid(label: Geometry, image: Geometry) -> None:
    """Raise ValueError if a label is not on its image's grid; `SAME_GRID` is the tolerance."""
    if label.shape != image.shape:
        raise ValueError(
            f"has {shape_text(label.shape)} voxels, but its image {shape_text(image.shape)}; they must be the same"
        )
    limit = SAME_GRID * min(image.spacing_mm)
    distance = grid_distance(label, image)
    if distance > limit:
        raise ValueError(
            f"is up to {distance:.4g} mm away from its image (at most {limit:.2g} mm, a tenth of a voxel, is allowed; "
            f"orientation {label.orientation}, image {image.orientation}); resample it to the image's grid"
        )


def shape_text(shape: Sequence[int]) -> str:
    """A shape as text for messages.

    >>> shape_text((512, 512, 90))
    '512x512x90'
    """
    return "x".join(str(int(n)) for n in shape)


def numbers_text(values: ArrayLike) -> str:
    """A few numbers as text for messages.

    >>> numbers_text([0.75, 0, 3])
    '0.75, 0, 3'
    """
    return ", ".join(f"{value:.4g}" for value in np.asarray(values).ravel())
