"""Promises about masks to come, made from validation cases alone, with what they rest on.

Two are made. **Which masks to look at**: a threshold of the predicted Dice such that at most a wanted share of the masks above it is
worse than a given Dice. **Where the outline lies**: probabilities from which on a pixel belongs to an outer mask, which covers the true
one, and to an inner mask, which lies within it, in a wanted share of the cases.

Both hold for cases that are exchangeable with validation's: drawn alike, one per patient, read by a network that has not learnt from
them. They promise nothing for pictures of another kind, nor for each kind of case by itself.

Sources: Angelopoulos et al., Conformal Risk Control, ICLR 2024, arXiv:2208.02814; Jin and Candès, Selection by Prediction with Conformal
p-values, JMLR 2023, arXiv:2210.01408, whose rule is the one used here for the share among those selected; Angelopoulos et al., Learn then
Test, 2021, arXiv:2110.01052, and Geifman and El-Yaniv, Selective Classification for Deep Neural Networks, NeurIPS 2017, for the one with
a confidence; Bates et al., Distribution-Free, Risk-Controlling Prediction Sets, J. ACM 2021, for nested masks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.quality.stored import from_json, is_number

Array = NDArray[np.float64]
Places = NDArray[np.intp]
DIGITS = 4
"""Decimals of a predicted Dice that are written, and compared."""


@dataclass(frozen=True)
class Promise:
    """From which predicted Dice on a mask may pass unseen.

    Args:
        threshold: cases above this predicted Dice are not flagged; None if no threshold keeps the promise.
        dice: a case below it is a failure.
        risk: the share of failures that is allowed among the cases that are not flagged.
        confidence: None: the share is at most ``risk`` on average over validation sets like this one. A number: with at least this
            probability the validation set was one whose threshold keeps ``risk``.
        cases: validation cases it was learnt from, one per patient.
        failures: failures among them.
        passed: those of them that are not flagged; 0 without a threshold.
        failures_passed: failures among those.
    """

    threshold: float | None
    dice: float
    risk: float
    confidence: float | None
    cases: int
    failures: int
    passed: int
    failures_passed: int

    def __post_init__(self) -> None:
        _check_share(self.dice, "dice")
        _check_share(self.risk, "risk")
        if self.confidence is not None:
            _check_share(self.confidence, "confidence")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"promise: the threshold is a Dice from 0 to 1, not {self.threshold}")
        counts = (self.failures_passed, self.passed, self.failures, self.cases)
        if not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError("promise: cases, failures, passed and failures_passed are numbers of cases")
        if (
            self.passed > self.cases
            or self.failures > self.cases
            or self.failures_passed > min(self.passed, self.failures)
        ):
            raise ValueError("promise: the numbers of cases, failures and passed do not fit each other")

    def flags(self, predicted: float) -> bool:
        """Whether a person should look at a case of this predicted Dice; False if there is no threshold."""
        return self.threshold is not None and round(predicted, DIGITS) <= self.threshold

    @property
    def words(self) -> str:
        """What is promised, as a sentence's end."""
        how = "on average" if self.confidence is None else f"with {self.confidence:.0%} confidence"
        return f"at most {self.risk:.1%} of the masks that are not flagged lie below Dice {self.dice:g}, {how}"

    def __str__(self) -> str:
        if self.threshold is None:
            return f"no promise that {self.words}: {self._why_not()}"
        return (
            f"{self.words}: flagged up to a predicted Dice of {self.threshold:.3f}, {self.cases - self.passed} of {self.cases} validation "
            f"cases; {self.failures_passed} of the {self.passed} others lie below"
        )

    def _why_not(self) -> str:
        least = least_cases(self.risk, self.confidence)
        if self.cases < least:
            return f"validation has {self.cases} cases, and at least {least} are needed"
        return (
            f"{self.failures} of {self.cases} validation cases fail, and the predicted Dice does not tell them apart well enough: "
            f"{least} cases without a failure would be needed at its upper end"
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Promise:
        """The inverse of `to_dict`; a ValueError for anything else."""
        return from_json(cls, content, "promise")


def least_cases(risk: float, confidence: float | None) -> int:
    """How many cases without a failure it takes to promise anything.

    >>> least_cases(0.02, None), least_cases(0.02, 0.9)
    (49, 114)
    """
    if confidence is None:
        return math.ceil(1 / risk - 1 - 1e-9)
    return math.ceil(math.log(1 - confidence) / math.log(1 - risk) - 1e-9)


def make_promise(
    predicted: Sequence[float],
    dices: Sequence[float],
    *,
    dice: float = 0.7,
    risk: float = 0.02,
    confidence: float | None = None,
) -> Promise:
    """The lowest threshold of the predicted Dice that keeps the risk.

    Without a confidence it is the lowest at which (failures above + 1) / (cases above + 1) is at most `risk`. With one, thresholds are
    tested from the strictest that could pass downwards, by the exact binomial test, until one does not.

    Args:
        predicted: of validation's cases, each by a fit that has not seen the case.
        dices: what they had.
        dice, risk, confidence: see `Promise`.

    Raises:
        ValueError: no cases, lists of different lengths, or shares out of range.
    """
    if not len(predicted) or len(predicted) != len(dices):
        raise ValueError(
            f"promise: {len(predicted)} predictions and {len(dices)} Dice came; one each per case is wanted"
        )
    scores = np.round(np.asarray(predicted, np.float64), DIGITS)
    failed = np.asarray(dices, np.float64) < dice
    # a threshold for each case, the strictest first; the last one flags nothing that was seen
    thresholds = np.append(np.unique(scores)[::-1], 0.0)
    passed = (scores > thresholds[:, None]).sum(axis=1)
    failures = (failed & (scores > thresholds[:, None])).sum(axis=1)
    keeps = _keeps(passed, failures, risk, confidence)
    counts = (len(scores), int(failed.sum()))
    if not keeps.any():
        return Promise(None, dice, risk, confidence, *counts, 0, 0)
    best = int(np.flatnonzero(keeps)[-1])
    threshold = float(thresholds[best].clip(0, 1))
    return Promise(threshold, dice, risk, confidence, *counts, int(passed[best]), int(failures[best]))


def _keeps(passed: Places, failures: Places, risk: float, confidence: float | None) -> NDArray[np.bool_]:
    """Which of the thresholds keep the risk, the strictest first."""
    if confidence is None:
        return np.asarray((failures + 1) / (passed + 1) <= risk + 1e-12)
    from scipy.special import bdtr  # only learning needs it, and it takes a while to import

    bounded = bdtr(failures, passed, risk) <= 1 - confidence + 1e-12
    tested = passed >= least_cases(risk, confidence)
    # the first that does not pass ends the sequence: what comes after it was never tested
    return np.asarray(tested & np.logical_and.accumulate(bounded | ~tested))


def one_per_group(groups: Sequence[str], *, seed: int = 0) -> list[int]:
    """Places of one case of each patient, drawn at random: several of one patient are not independent.

    >>> one_per_group(["a", "b", "c"])
    [0, 1, 2]
    """
    places: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    random = np.random.default_rng(seed)
    return sorted(int(random.choice(several)) for several in places.values())


@dataclass(frozen=True)
class Margins:
    """From which calibrated probability on a pixel belongs to the outer, and to the inner mask.

    Args:
        outer: of each class; the outer mask holds at least ``cover`` of the true one in ``rate`` of the cases. None if there are too few
            cases to say.
        inner: of each class; at least ``cover`` of the inner mask lies within the true one in ``rate`` of the cases. None likewise, or
            if no probability is high enough.
        rate: share of the cases, for each mask by itself.
        cover: share of the pixels.
        cases: learnt from, one per patient.
    """

    outer: tuple[float | None, ...]
    inner: tuple[float | None, ...]
    rate: float
    cover: float
    cases: int

    def __post_init__(self) -> None:
        for key in ("outer", "inner"):
            values = tuple(getattr(self, key))
            if not values or not all(value is None or (is_number(value) and 0 <= value <= 1) for value in values):
                raise ValueError(f"margins: {key} holds probabilities from 0 to 1 or null, not {values}")
            object.__setattr__(self, key, values)
        if len(self.outer) != len(self.inner):
            raise ValueError("margins: outer and inner hold a number each per class")
        _check_share(self.rate, "rate")
        if not (is_number(self.cover) and 0 < self.cover <= 1):
            raise ValueError(f"promise: cover is a share above 0 and at most 1, not {self.cover!r}")
        if type(self.cases) is not int or self.cases < 0:
            raise ValueError(f"margins: cases is a number of cases, not {self.cases!r}")

    @property
    def known(self) -> bool:
        """Whether anything could be learnt."""
        return any(value is not None for value in (*self.outer, *self.inner))

    def masks(self, probabilities: NDArray[Any]) -> Iterator[NDArray[np.bool_]]:
        """The outer mask of each class, then the inner ones, (*S) each.

        Where nothing could be learnt of a class the outer mask is everything and the inner one nothing: so much is certain.

        Args:
            probabilities: (C, *S), calibrated; the last channels are the classes'.
        """
        planes = probabilities[-len(self.outer) :]
        for limits, otherwise in ((self.outer, True), (self.inner, False)):
            for plane, limit in zip(planes, limits, strict=True):
                yield np.full(plane.shape, otherwise) if limit is None else plane >= limit

    def levels(self, probabilities: NDArray[Any]) -> NDArray[np.float32]:
        """(2 x classes, *S): by how much a pixel's probability exceeds what each of `masks` takes; the mask is where this is not below 0.

        Levels may be interpolated, as probabilities are, and unlike masks: the outlines stay smooth.
        """
        planes, limits = [*probabilities[-len(self.outer) :]] * 2, (*self.outer, *self.inner)
        otherwise = [1.0] * len(self.outer) + [-1.0] * len(self.inner)
        found = [
            np.full(plane.shape, certain, np.float32) if limit is None else plane.astype(np.float32) - np.float32(limit)
            for plane, limit, certain in zip(planes, limits, otherwise, strict=True)
        ]
        return np.stack(found)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "outer": list(self.outer), "inner": list(self.inner)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Margins:
        """The inverse of `to_dict`; a ValueError for anything else."""
        return from_json(cls, content, "margins")

    def __str__(self) -> str:
        said = (
            f"outer and inner masks: each holds for {self.cover:.0%} of the pixels in {self.rate:.0%} of the cases"
            f" ({self.cases} validation cases)"
        )
        return said if self.known else f"no {said}: too few cases"


class MarginCases:
    """Validation cases that margins are learnt from.

    Args:
        classes: how many.
        cover: see `Margins`.
    """

    def __init__(self, classes: int, *, cover: float = 0.95) -> None:
        self.classes = classes
        self.cover = cover
        self._outer: list[list[float]] = []
        self._inner: list[list[float]] = []

    def add(
        self, probabilities: NDArray[Any], truth: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None
    ) -> None:
        """Add a case.

        Args:
            probabilities: (classes, *S), calibrated, without the background.
            truth: (classes, *S).
            ignored: (1 or classes, *S).
        """
        counted = np.broadcast_to(True if ignored is None else ~ignored, truth.shape)
        planes = [(p[c], t[c]) for p, t, c in zip(probabilities, truth, counted, strict=True)]
        self._outer.append([outer_probability(p, t, self.cover) for p, t in planes])
        self._inner.append([inner_probability(p, t, self.cover) for p, t in planes])

    def learn(self, chosen: Sequence[int] | None = None, *, rate: float = 0.9) -> Margins:
        """The margins that validation's cases had in at least this share, as conformal quantiles.

        Args:
            chosen: places of the cases to learn from, see `one_per_group`; None for all.
            rate: see `Margins`.
        """
        places = range(len(self._outer)) if chosen is None else chosen
        outer, inner = (np.array([rows[place] for place in places]) for rows in (self._outer, self._inner))
        lowest = [_quantile(column[~np.isnan(column)], rate, lower=True) for column in outer.T] if len(outer) else []
        highest = [_quantile(column, rate, lower=False) for column in inner.T] if len(inner) else []
        none = (None,) * self.classes
        return Margins(tuple(lowest) or none, tuple(highest) or none, rate, self.cover, len(places))


def outer_probability(probabilities: NDArray[Any], truth: NDArray[np.bool_], cover: float) -> float:
    """The highest p at which the pixels of at least this probability hold `cover` of the truth; NaN if nothing is true.

    >>> outer_probability(np.array([0.9, 0.6, 0.2, 0.8]), np.array([True, True, True, False]), cover=0.6)
    0.6
    """
    inside = np.sort(probabilities[truth])[::-1]
    return float(inside[math.ceil(cover * len(inside) - 1e-9) - 1]) if len(inside) else math.nan


def inner_probability(probabilities: NDArray[Any], truth: NDArray[np.bool_], cover: float) -> float:
    """The lowest p from which on every set of pixels of at least that probability lies within the truth by `cover`; infinite if none.

    >>> inner_probability(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, True, False]), cover=0.9)
    0.7
    """
    flat = probabilities.ravel()
    order = np.argsort(-flat, kind="stable")
    values, right = flat[order], truth.ravel()[order]
    ends = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)  # equal probabilities stand or fall together
    precision = np.cumsum(right)[ends] / (ends + 1)
    wrong = np.flatnonzero(precision < cover)
    last = len(ends) if not len(wrong) else int(wrong[0])
    return float(values[ends[last - 1]]) if last else math.inf


def _quantile(values: Array, rate: float, *, lower: bool) -> float | None:
    """The conformal quantile of (cases,), which a new case lies at or beyond in at least this share; None if it is not there."""
    cases = len(values)
    place = math.floor((cases + 1) * (1 - rate) + 1e-9)
    if place < 1:
        return None
    ordered = np.sort(values)
    found = float(ordered[place - 1] if lower else ordered[cases - place])
    return found if math.isfinite(found) else None


def _check_share(value: object, key: str) -> None:
    if not (is_number(value) and 0 < float(value) < 1):  # type: ignore[arg-type]
        raise ValueError(f"promise: {key} is a share between 0 and 1, not {value!r}")
