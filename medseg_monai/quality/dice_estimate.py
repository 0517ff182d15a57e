"""The Dice that a mask is likely to have, from what is cheap to see of the answer: a small regression learnt on validation.

The Dice that the calibrated probabilities expect of the mask is a good estimate by itself. A ridge regression learns by how much it errs,
on the scale of logits, from `medseg_monai.quality.mask_numbers`. Its penalty is worth `PRIOR` cases, so that a few cases change little and
none change nothing; numbers are held within `FARTHEST` standard deviations, so that a strange picture is not extrapolated to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.quality.mask_numbers import VECTOR, VERSION, MaskNumbers, logit_of_dice
from medseg_monai.quality.stored import from_json

Array = NDArray[np.float64]
PRIOR = 100.0
"""Cases that the penalty on each weight is worth."""
PRIOR_OFFSET = 5.0
"""Cases that the wish for an error of 0 on average is worth."""
FARTHEST = 4.0
FIRST = 1
"""The version of the numbers before what was learnt named one."""
FOLDS = 10
DIGITS = 5
"""Significant digits of what is stored."""


@dataclass(frozen=True)
class ClassEstimate:
    """How the Dice of one class is predicted.

    Args:
        name: of the class.
        offset: mean error of the expected Dice, on the scale of logits.
        mean, scale: of the numbers on validation, in the order of `VECTOR`.
        weights: by how much the error changes with each number, in standard deviations.
        empty: what an empty mask is worth: 0 where validation never had a case without the class.

    Raises:
        ValueError: numbers that do not fit each other or cannot be.
    """

    name: str
    offset: float
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    empty: float

    def __post_init__(self) -> None:
        for key in ("mean", "scale", "weights"):
            values = tuple(map(float, getattr(self, key)))
            if len(values) != len(VECTOR) or not all(map(math.isfinite, values)):
                raise ValueError(f"dice: {self.name}: {key} holds {len(VECTOR)} finite numbers")
            object.__setattr__(self, key, values)
        if min(self.scale) <= 0 or not math.isfinite(self.offset) or not 0 <= self.empty <= 1:
            raise ValueError(f"dice: {self.name}: scales are above 0, the offset is finite, empty lies between 0 and 1")

    def predict(self, numbers: MaskNumbers) -> float:
        """The Dice of a mask with these numbers, 0 to 1."""
        if numbers.empty:
            return self.empty
        places = (numbers.vector() - self.mean) / self.scale
        logit = numbers.expected + self.offset + float(places.clip(-FARTHEST, FARTHEST) @ np.array(self.weights))
        return 1 / (1 + math.exp(-logit))


@dataclass(frozen=True)
class DiceEstimate:
    """How the Dice of each class is predicted.

    Args:
        classes: one each.
        cases: learnt from.
        error: mean distance between predicted and true Dice on these, each predicted by a fit without it.
        version: of the numbers that it was learnt from; files without one are of the first that had none.

    Raises:
        ValueError: values that cannot be.
    """

    classes: tuple[ClassEstimate, ...]
    cases: int
    error: float
    version: int = FIRST

    def __post_init__(self) -> None:
        if not self.classes or type(self.cases) is not int or not 0 <= self.error <= 1:
            raise ValueError("dice: an estimate for each class, a number of cases and an error from 0 to 1 are wanted")

    def predict(self, numbers: Sequence[MaskNumbers]) -> tuple[float, ...]:
        """The Dice of each class's mask."""
        return tuple(one.predict(mine) for one, mine in zip(self.classes, numbers, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> DiceEstimate:
        """The inverse of `to_dict`.

        Raises:
            ValueError: an unknown key, a missing one, or a wrong value.
        """
        if not isinstance(content, Mapping) or not isinstance(content.get("classes"), Sequence):
            raise ValueError(f"dice: a mapping with classes is expected, got {content!r}")
        classes = tuple(from_json(ClassEstimate, one, "dice") for one in content["classes"])
        return from_json(cls, {**content, "classes": classes}, "dice")

    def __str__(self) -> str:
        return f"predicted Dice: off by {self.error:.3f} on average on {self.cases} validation cases that the fit had not seen"


def is_of_other_numbers(content: Any) -> bool:
    """Whether what is stored was learnt of numbers with other meanings than those of this version."""
    return isinstance(content, Mapping) and content.get("version", FIRST) != VERSION


def learn_estimate(
    names: Sequence[str],
    numbers: Sequence[Sequence[MaskNumbers]],
    dices: Sequence[Sequence[float]],
    groups: Sequence[str],
    *,
    seed: int = 0,
) -> tuple[DiceEstimate, Array]:
    """The estimate, and for each case what a fit without its group predicts, (cases, classes).

    Args:
        names: of the classes.
        numbers: of each case, by class.
        dices: what the masks had, likewise.
        groups: of each case, what it must not be parted from: the patient.
        seed: of the division into `FOLDS` parts.

    Raises:
        ValueError: no cases, or lists of different lengths.
    """
    if not numbers or not len(numbers) == len(dices) == len(groups):
        raise ValueError("dice: numbers, Dice and a group are wanted of every case, and at least one case")
    table = np.asarray(dices, np.float64)
    part = _parts(groups, seed)
    held_out = np.empty_like(table)
    for number in sorted(set(part)):
        learnt = _fit(names, numbers, table, np.flatnonzero(part != number))
        for place in np.flatnonzero(part == number).tolist():
            held_out[place] = [one.predict(mine) for one, mine in zip(learnt, numbers[place], strict=True)]
    classes = _fit(names, numbers, table, np.arange(len(table)))
    error = float(np.abs(held_out - table).mean())
    return DiceEstimate(classes, len(table), round(error, 4), VERSION), held_out


def _parts(groups: Sequence[str], seed: int) -> NDArray[np.intp]:
    """The part of each case; cases of one group are in one part."""
    unique, place = np.unique(np.asarray(groups), return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(len(unique)) % FOLDS
    return np.asarray(shuffled[place.ravel()])


def _fit(
    names: Sequence[str], numbers: Sequence[Sequence[MaskNumbers]], dices: Array, places: NDArray[np.intp]
) -> tuple[ClassEstimate, ...]:
    return tuple(
        _fit_class(name, [numbers[place][index] for place in places], dices[places, index])
        for index, name in enumerate(names)
    )


def _fit_class(name: str, numbers: Sequence[MaskNumbers], dices: Array) -> ClassEstimate:
    """Ridge regression of the logit's error; without a mask that is not empty, the expected Dice alone."""
    empty = np.array([one.empty for one in numbers], bool)
    # the sum of 0 to 1 over one more case than there were: an empty mask is worth nothing until it has been right
    worth = float(dices[empty].sum() / (empty.sum() + 1)) if len(numbers) else 0.0
    plain = ClassEstimate(name, 0.0, (0.0,) * len(VECTOR), (1.0,) * len(VECTOR), (0.0,) * len(VECTOR), _rounded(worth))
    if empty.all():
        return plain
    vectors = np.stack([one.vector() for one in numbers if not one.empty])
    errors = np.array([logit_of_dice(dice) for dice in dices[~empty]]) - vectors[:, 0]
    mean, scale = vectors.mean(axis=0), vectors.std(axis=0)
    scale = np.where(scale > 1e-6, scale, 1.0)
    places = ((vectors - mean) / scale).clip(-FARTHEST, FARTHEST)
    offset = float(errors.sum() / (len(errors) + PRIOR_OFFSET))
    weights = np.linalg.solve(places.T @ places + PRIOR * np.eye(len(VECTOR)), places.T @ (errors - errors.mean()))
    return replace(
        plain,
        offset=_rounded(offset),
        mean=tuple(map(_rounded, mean)),
        scale=tuple(map(_rounded, scale)),
        weights=tuple(map(_rounded, weights)),
    )


def _rounded(value: float) -> float:
    return float(f"{float(value):.{DIGITS}g}")
