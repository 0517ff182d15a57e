"""What is known of a class before anybody clicks: log-odds whose sign is the mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, distance_transform_edt, label

Floats = NDArray[np.floating[Any]]
CERTAIN = 1e-3
"""Probabilities are kept this far from 0 and 1."""
DISTANCE_SHARE = 0.4
"""Weight of the distance to the outline beside the probability: a saturated network still has a near and a far."""
DISTANCE_SCALE = 7.0
"""Log-odds of one radius of the object."""
UNDECIDED = 0.25
"""Log-odds, towards the mask, of pixels whose probability says otherwise: cleaning has added or removed them."""
SMALLEST_RADIUS = 3.0
"""Of an object, in pixels (in volumes: in voxel sides of the finest axis)."""
EMPTY_SHARE = 0.01
"""Part of the image that an object is assumed to fill if the mask is empty."""


def evidence(mask: Floats, probability: Floats, *, radius: float, steps: Sequence[float]) -> Floats:
    """Log-odds of a class, positive where the mask is.

    Args:
        mask: (*S), the share of each pixel that the class has.
        probability: (*S).
        radius: of the object, in the unit of `steps`.
        steps: distances of neighbouring pixels along each axis.
    """
    has = mask >= 0.5
    odds = logit(probability)
    odds = odds - _on_outline(odds, has)  # whatever threshold made the mask
    odds = np.where((odds > 0) == has, odds, np.where(has, UNDECIDED, -UNDECIDED))
    limit = np.log((1 - CERTAIN) / CERTAIN)
    distance = np.clip(_signed_distance(has, steps) * (DISTANCE_SCALE / radius), -limit, limit)
    together: Floats = ((1 - DISTANCE_SHARE) * odds + DISTANCE_SHARE * distance).astype(np.float32)
    return together


def logit(probability: Floats) -> Floats:
    """Log-odds of probabilities, limited to those of `CERTAIN`."""
    clipped = np.clip(probability, CERTAIN, 1 - CERTAIN)
    odds: Floats = np.log(clipped / (1 - clipped))
    return odds


def object_radius(mask: NDArray[np.bool_], points: Sequence[Sequence[int]], spacing: Sequence[float]) -> float:
    """Radius of a disc or ball of the size of the objects that were clicked: of each click the part it lies in, or the nearest one.

    Args:
        mask: (*S) of the image's own grid.
        points: indices of the clicks.
        spacing: sides of a pixel.
    """
    stride = max(1, round((mask.size / 2**16) ** (1 / mask.ndim)))
    every = (slice(None, None, stride),) * mask.ndim
    coarse = mask[every]
    sides = np.array(spacing, np.float64) * stride
    smallest = SMALLEST_RADIUS * float(np.min(spacing))
    if not coarse.any():
        return max(smallest, _radius(EMPTY_SHARE * mask.size * float(np.prod(spacing)), mask.ndim))
    parts, _ = label(coarse)
    nearest = distance_transform_edt(~coarse, sampling=sides, return_distances=False, return_indices=True)
    sizes = np.bincount(parts.ravel())
    at = [tuple(place // stride for place in point) for point in points]
    clicked = [parts[tuple(axis[index] for axis in nearest)] for index in at]
    found = [_radius(float(sizes[part] * np.prod(sides)), mask.ndim) for part in clicked]
    return max(smallest, float(np.mean(found)))


def _radius(size: float, axes: int) -> float:
    """Of a disc of this area, or a ball of this volume."""
    return float(np.sqrt(size / np.pi)) if axes == 2 else float(np.cbrt(size * 3 / (4 * np.pi)))


def _on_outline(odds: Floats, has: NDArray[np.bool_]) -> float:
    """Median log-odds on both sides of the outline; 0 if there is none."""
    within, beyond = has & ~binary_erosion(has, border_value=1), binary_dilation(has) & ~has
    if not within.any() or not beyond.any():
        return 0.0
    return float(np.median(odds[within]) + np.median(odds[beyond])) / 2


def _signed_distance(has: NDArray[np.bool_], steps: Sequence[float]) -> Floats:
    """Distance to the outline, negative outside; of an empty or full mask infinite."""
    if has.all() or not has.any():
        return np.full(has.shape, np.inf if has.any() else -np.inf)
    half = min(steps) / 2  # the outline runs between pixels
    signed: Floats = np.where(
        has,
        distance_transform_edt(has, sampling=steps) - half,
        half - distance_transform_edt(~has, sampling=steps),
    )
    return signed
