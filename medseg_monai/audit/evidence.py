"""A label beside the probabilities of a network that has not seen it, as log-odds, on a grid around what either shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset.spec import Task
from medseg_monai.evaluation.surfaces import Mask

Odds = NDArray[np.float32]
SMALLEST = 1 / 512
"""Probabilities count as if they were this far from 0 and 1: kept ones have 255 steps."""
MOST_NATS = float(np.log((1 - SMALLEST) / SMALLEST))
"""The greatest log-odds."""
LONGEST_SIDE = {2: 192, 3: 80}
"""Of the grid, by number of axes: larger ones are reduced by a whole factor."""
MARGIN = 0.5
"""How far the grid reaches beyond label and prediction, as a share of their extent."""
LEAST_MARGIN = 4
"""The same, in pixels."""


@dataclass(frozen=True)
class Evidence:
    """A label and what the probabilities say of it.

    Args:
        masks: bool (classes, *S), the label.
        odds: float32 (classes, *S), nats: how much likelier each class is than the background, by the probabilities; 0 where pixels are
            ignored. Positive: the class.
        exclusive: whether a pixel has one class at most.
        step: pixels of the image per pixel of the grid, along each axis.
        start: the first pixel of the image that the grid covers, along each axis.
    """

    masks: Mask
    odds: Odds
    exclusive: bool
    step: int = 1
    start: tuple[int, ...] = ()

    @cached_property
    def expected(self) -> Mask:
        """The likeliest label, (classes, *S)."""
        if not self.exclusive:
            return self.odds > 0
        first = self.odds.argmax(axis=0)
        return np.stack([(first == number) & (self.odds[number] > 0) for number in range(len(self.odds))])

    @cached_property
    def likelihood(self) -> float:
        """Log-likelihood of the label, but for a constant of the case."""
        return self.likelihood_of(self.masks)

    def likelihood_of(self, masks: Mask) -> float:
        """The same of another label."""
        return float(self.odds.sum(where=masks, dtype=np.float64))

    def at(self, temperature: Sequence[float]) -> Evidence:
        """The same with all log-odds divided by a temperature, one per class or one for all."""
        divisor = np.asarray(temperature, np.float32).reshape(-1, *[1] * (self.odds.ndim - 1))
        return replace(self, odds=self.odds / divisor)

    def size(self, classes: Sequence[int] | None = None) -> float:
        """Pixels of these classes, all by default: the mean of label and likeliest label."""
        chosen = list(range(len(self.masks)) if classes is None else classes)
        return float(np.count_nonzero(self.masks[chosen]) + np.count_nonzero(self.expected[chosen])) / 2


def evidence_of(
    masks: Mask,
    probabilities: NDArray[Any],
    *,
    task: Task,
    ignored: Mask | None = None,
    longest: int | None = None,
) -> Evidence:
    """The evidence on a label, cut out around it and reduced.

    Args:
        masks: bool (classes, *S), on the image's own grid.
        probabilities: (classes, *S), 0 to 1, without the background.
        task: of the data set.
        ignored: bool (1 or classes, *S): pixels that say nothing.
        longest: longest side of the result, `LONGEST_SIDE` by default.
    """
    shown: Mask = np.logical_or.reduce(masks | (probabilities > 0.5))
    box = _box(shown)
    spatial = masks.ndim - 1
    extent = max(part.stop - part.start for part in box)
    step = max(1, -(-extent // (longest or LONGEST_SIDE[spatial])))
    inside = (slice(None), *box)
    small = block_means(probabilities[inside], step)
    odds = log_odds(small, exclusive=task == "multiclass")
    if ignored is not None:
        odds *= block_means(~np.broadcast_to(ignored, masks.shape)[inside], step) >= 0.5
    labels = reduced_masks(masks[inside], step)
    return Evidence(labels, odds, task == "multiclass", step, tuple(part.start for part in box))


def log_odds(probabilities: NDArray[np.float32], *, exclusive: bool) -> Odds:
    """Log-odds of each class against the background, at most `MOST_NATS`, from (classes, *S).

    >>> log_odds(np.array([[0.5, 1.0]], np.float32), exclusive=False).astype(float).round(2).tolist()
    [[0.0, 6.24]]
    """
    probs = probabilities.clip(SMALLEST, 1 - SMALLEST)
    none = (1 - probabilities.sum(axis=0, keepdims=True)).clip(SMALLEST, 1) if exclusive else 1 - probs
    odds: Odds = (np.log(probs) - np.log(none)).clip(-MOST_NATS, MOST_NATS).astype(np.float32)
    return odds


def block_means(maps: NDArray[Any], step: int) -> NDArray[np.float32]:
    """(C, *S) reduced by a whole factor; the last block of an axis may be smaller.

    >>> block_means(np.array([[0, 1, 1, 1, 0]]), 2).tolist()
    [[0.5, 1.0, 0.0]]
    """
    values: NDArray[Any] = np.asarray(maps, np.float32)
    for axis in range(1, values.ndim):
        places = np.arange(0, values.shape[axis], step)
        counts = np.diff([*places, values.shape[axis]]).astype(np.float32)
        shape = [-1 if place == axis else 1 for place in range(values.ndim)]
        values = np.add.reduceat(values, places, axis=axis) / counts.reshape(shape)
    return values


def reduced_masks(masks: Mask, step: int) -> Mask:
    """Masks (classes, *S) reduced by a whole factor: a block is inside if half of it is.

    >>> reduced_masks(np.array([[True, False, False, False, True]]), 2).tolist()
    [[True, False, True]]
    """
    return masks if step == 1 else block_means(masks, step) >= 0.5


def _box(shown: Mask) -> tuple[slice, ...]:
    """What is shown, with a margin; everything if nothing is."""
    if not shown.any():
        return tuple(slice(0, side) for side in shown.shape)
    box = []
    for axis, side in enumerate(shown.shape):
        others = tuple(other for other in range(shown.ndim) if other != axis)
        places = np.flatnonzero(shown.any(axis=others))
        margin = max(LEAST_MARGIN, round(MARGIN * (places[-1] - places[0] + 1)))
        box.append(slice(max(0, int(places[0]) - margin), min(side, int(places[-1]) + 1 + margin)))
    return tuple(box)
