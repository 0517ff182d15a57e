"""A class made to fit into a box: nothing outside, and inside the level of probability whose mask reaches the box's sides best."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import label

from medseg_monai.clicks.answer import Answer, Bools
from medseg_monai.clicks.click import Index
from medseg_monai.clicks.evidence import logit

LEVELS = 64
"""How many levels of the probabilities in the box are tried."""
FILLED = 0.97
"""Share of the box from which a mask's own bounding box counts as the same."""


def fit_to_box(answer: Answer, number: int, corners: tuple[Index, Index]) -> None:
    """Change a class so that it lies in the box and touches its sides as well as a level of the probabilities can.

    Args:
        answer: what is changed.
        number: of the class.
        corners: first and last pixel of the box.
    """
    cut = tuple(slice(low, high + 1) for low, high in zip(*corners, strict=True))
    outside = answer.has(number).copy()
    parts, _ = label(outside)
    outside[cut] = False
    crosses = np.intersect1d(parts[cut], parts[outside]).any()
    whole = tuple(slice(0, side) for side in outside.shape)
    answer.remove(number, whole, outside)
    odds, has = logit(answer.probabilities[number][cut].astype(np.float32)), answer.has(number, cut).copy()
    if _fit(has) >= FILLED and not crosses:
        return
    # from the highest level down: the tightest mask that fills the box, as that of the lowest level always does
    levels = np.unique(np.quantile(odds, np.linspace(0, 1, LEVELS + 1)))[::-1]
    found = next(mask for mask in (odds >= level for level in levels) if _fit(mask) >= FILLED)
    answer.remove(number, cut, has & ~found)
    answer.add(number, cut, found & ~has)


def _fit(mask: Bools) -> float:
    """Share of the box that the mask's own bounding box fills."""
    if not mask.any():
        return 0.0
    sides: list[float] = []
    for axis in range(mask.ndim):
        at = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        sides.append(float(at[-1] - at[0] + 1) / mask.shape[axis])
    return math.prod(sides)
