"""Corrections of whole pictures, on a coarse grid that all share: masks of other pictures, mirrored and turned ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from medseg_monai.audit.corrections import Correction
from medseg_monai.audit.evidence import Evidence, log_odds
from medseg_monai.dataset.spec import Task
from medseg_monai.evaluation.surfaces import Mask

SIDES = {2: (48, 48), 3: (20, 20, 20)}
"""Of the coarse grid, by number of axes."""
ROWS = 256
"""Labels that are compared with all pictures at once."""


def thumbnail_of(masks: Mask, probabilities: NDArray[Any], *, task: Task, ignored: Mask | None = None) -> Evidence:
    """The evidence on a label over the whole picture, stretched to `SIDES`. The arguments are those of `evidence_of`."""
    spatial = masks.ndim - 1
    odds = log_odds(_stretched(probabilities, spatial), exclusive=task == "multiclass")
    if ignored is not None:
        odds *= _stretched(~np.broadcast_to(ignored, masks.shape), spatial) >= 0.5
    return Evidence(_stretched(masks, spatial) >= 0.5, odds, task == "multiclass")


def _stretched(maps: NDArray[Any], spatial: int) -> NDArray[np.float32]:
    # one class at a time: floats of a whole CT are large
    planes = (torch.from_numpy(np.asarray(plane, np.float32))[None, None] for plane in maps)
    found: NDArray[np.float32] = np.stack([F.interpolate(one, SIDES[spatial], mode="area")[0, 0] for one in planes])
    return found


def turns_of(thumbnail: Evidence, *, square: bool) -> list[Correction]:
    """The best mirrored or turned version of a label, if one fits better.

    Args:
        thumbnail: from `thumbnail_of`.
        square: whether a picture's two sides are equal, so that a mask may lie on its side.
    """
    masks, own = thumbnail.masks, thumbnail.likelihood
    best = max(_turned(masks, square=square), key=lambda one: thumbnail.likelihood_of(one[1]))
    gain = thumbnail.likelihood_of(best[1]) - own
    if gain <= 0:
        return []
    changed = float((masks != best[1]).any(axis=0).sum())
    classes = tuple(range(len(masks)))
    return [Correction("mirrored or turned", classes, gain, changed, thumbnail.size(), f"fits better {best[0]}")]


def _turned(masks: Mask, *, square: bool) -> Iterator[tuple[str, Mask]]:
    spatial = tuple(range(1, masks.ndim))
    for axes in chain.from_iterable(combinations(spatial, count) for count in range(1, len(spatial) + 1)):
        named = " and ".join(f"axis {axis}" for axis in axes)
        words = "turned by 180 degrees" if len(axes) == len(spatial) == 2 else f"mirrored along {named}"
        yield words, np.flip(masks, axes)
        if square:
            yield f"{words} and with its axes exchanged", np.flip(masks, axes).swapaxes(1, 2)
    if square:
        yield "with its axes exchanged", masks.swapaxes(1, 2)


@dataclass(frozen=True)
class Elsewhere:
    """Where a label fits better than in its own picture.

    Args:
        correction: see `Correction`; its gain is what the label contradicts here and does not contradict there.
        other: number of the other picture.
    """

    correction: Correction
    other: int


def find_exchanged(thumbnails: Sequence[Evidence], groups: Sequence[str]) -> list[Elsewhere | None]:
    """For each label the picture of another patient that it fits best, if it fits that one better than its own.

    Args:
        thumbnails: of all cases, from `thumbnail_of`.
        groups: their patients.
    """
    count = len(thumbnails)
    if not count:
        return []
    odds = np.stack([one.odds.ravel() for one in thumbnails])
    best = np.array([one.likelihood_of(one.expected) for one in thumbnails])
    patients = np.unique(np.array(groups), return_inverse=True)[1]
    found: list[Elsewhere | None] = []
    for start in range(0, count, ROWS):
        rows = range(start, min(start + ROWS, count))
        labels = np.stack([thumbnails[row].masks.ravel() for row in rows]).astype(np.float32)
        contradicted = best[None] - labels @ odds.T
        for row, nats in zip(rows, contradicted, strict=True):
            elsewhere = np.where(patients == patients[row], np.inf, nats)
            found.append(_elsewhere(thumbnails[row], float(nats[row]), elsewhere))
    return found


def _elsewhere(thumbnail: Evidence, here: float, elsewhere: NDArray[np.float64]) -> Elsewhere | None:
    other = int(elsewhere.argmin())
    gain = here - float(elsewhere[other])
    if not thumbnail.masks.any() or not gain > 0:
        return None
    changed = float((thumbnail.masks != thumbnail.expected).any(axis=0).sum())
    classes = tuple(range(len(thumbnail.masks)))
    return Elsewhere(Correction("another picture's mask", classes, gain, changed, thumbnail.size()), other)
