"""Whether a picture is of the kind that a network was trained on: its distance to training's pictures, part by part.

Each part of `medseg_monai.quality.descriptor.describe` has a Gaussian, fitted on training cases: mean, spread and a covariance that is
shrunk toward independence (Chen et al., Shrinkage algorithms for MMSE covariance estimation, 2010: OAS). Distances are skewed, so their
logarithms are set against those of validation's cases, and the most unusual part decides. The threshold is the one that at most a wanted
share of validation's cases exceeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medseg_monai.program.messages import refuse_unknown_keys

Array = NDArray[np.float64]
Description: TypeAlias = Mapping[str, Array]
"""Part -> its numbers, of one picture."""

LEAST_TRAINING, LEAST_VALIDATION = 30, 10
"""Smallest number of cases to learn from."""
DIGITS = 5
"""Significant digits of stored numbers."""
SMALLEST = 1e-6
"""Numbers that are the same in all training cases have at least this spread."""


@dataclass(frozen=True)
class Part:
    """What is usual in one part of the description.

    Args:
        name: the part's name.
        mean, scale: mean and spread of its numbers in training.
        covariance: covariance of the scaled numbers: the lower triangle, row by row.
        usual: mean and standard deviation of the logarithm of the validation cases' distances.

    Raises:
        ValueError: the numbers are inconsistent or invalid.
    """

    name: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    covariance: tuple[float, ...]
    usual: tuple[float, float]

    def __post_init__(self) -> None:
        for key in ("mean", "scale", "covariance", "usual"):
            object.__setattr__(self, key, _numbers(getattr(self, key), f"familiarity: {self.name}: {key}"))
        size = len(self.mean)
        if not (
            size and len(self.scale) == size and len(self.covariance) == size * (size + 1) // 2 and len(self.usual) == 2
        ):
            raise ValueError(f"familiarity: {self.name}: mean, scale, covariance and usual do not fit each other")
        if min(*self.scale, self.usual[1]) <= 0:
            raise ValueError(f"familiarity: {self.name}: a spread must be above 0")
        if np.linalg.eigvalsh(self._matrix())[0] <= 0:
            raise ValueError(f"familiarity: {self.name}: the covariance is not positive definite")

    def _matrix(self) -> Array:
        lower = np.zeros((len(self.mean), len(self.mean)))
        lower[np.tril_indices(len(self.mean))] = self.covariance
        full: Array = lower + np.tril(lower, -1).T
        return full

    @cached_property
    def _precision(self) -> Array:
        return np.asarray(np.linalg.inv(self._matrix()))

    def distance(self, numbers: Array) -> float:
        """Of a picture to training's mean, in standard deviations, of all numbers together: Mahalanobis', over the root of their count."""
        off = (np.asarray(numbers, np.float64) - self.mean) / self.scale
        return math.sqrt(max(0.0, float(off @ self._precision @ off)) / len(off))

    def unusualness(self, numbers: Array) -> float:
        """How far the distance is above those of validation, in standard deviations of its logarithm."""
        return (_log(self.distance(numbers)) - self.usual[0]) / self.usual[1]


@dataclass(frozen=True)
class Familiarity:
    """What is usual in all parts, and the threshold for a picture unlike those of training.

    Args:
        parts: the parts of the description.
        threshold: a picture whose most unusual part exceeds it is flagged.
        training: number of cases that the parts were fitted on.
        cases: number of validation cases.
        flagged: number of validation cases that the threshold flags.

    Raises:
        ValueError: a value is invalid.
    """

    parts: tuple[Part, ...]
    threshold: float
    training: int
    cases: int
    flagged: int

    def __post_init__(self) -> None:
        if not self.parts or len({part.name for part in self.parts}) < len(self.parts):
            raise ValueError("familiarity: expected one or more parts with different names")
        _numbers([self.threshold], "familiarity: threshold")
        for key in ("training", "cases", "flagged"):
            if type(getattr(self, key)) is not int:
                raise ValueError(f"familiarity: {key} must be a number of cases, not {getattr(self, key)!r}")
        if not 0 <= self.flagged <= self.cases or self.training < 1:
            raise ValueError("familiarity: the numbers of cases are inconsistent")

    def check(self, description: Description) -> None:
        """Raise a ValueError if this was learnt on descriptions of another kind."""
        ours = {part.name: len(part.mean) for part in self.parts}
        theirs = {name: len(numbers) for name, numbers in description.items()}
        if ours != theirs:
            raise ValueError(
                f"familiarity was learnt on other descriptions ({ours}) than those of this version ({theirs}): "
                "remove it from spec.json and run medseg review again"
            )

    def unusualness(self, description: Description) -> dict[str, float]:
        """Unusualness of each part, see `Part.unusualness`."""
        return {part.name: part.unusualness(description[part.name]) for part in self.parts}

    def unlike(self, description: Description) -> list[str]:
        """The parts above the threshold, most unusual first; none for a familiar picture."""
        found = self.unusualness(description)
        return sorted((name for name in found if found[name] > self.threshold), key=lambda name: -found[name])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Familiarity:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a key is unknown or missing, or a value is invalid.
        """
        try:
            _check_keys(content, cls)
            for part in content["parts"]:
                _check_keys(part, Part)
            return cls(**{**content, "parts": tuple(Part(**part) for part in content["parts"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"familiarity: {error}") from error

    def __str__(self) -> str:
        return f"unlike the {self.training} training pictures examined: {self.flagged} of {self.cases} validation cases flagged"


def learn_familiarity(
    training: Sequence[Description], validation: Sequence[Description], *, share: float = 0.01
) -> Familiarity:
    """Fit the parts on training cases and set the threshold by validation cases; neither's order matters.

    Args:
        training: descriptions, at least `LEAST_TRAINING`.
        validation: descriptions, at least `LEAST_VALIDATION`; at most this share of them is flagged.
        share: 0 to below 1.

    Raises:
        ValueError: too few cases, or a share out of range.
    """
    if len(training) < LEAST_TRAINING or len(validation) < LEAST_VALIDATION:
        raise ValueError(
            f"{len(training)} training and {len(validation)} validation cases are too few to learn what is usual: "
            f"{LEAST_TRAINING} and {LEAST_VALIDATION} are needed"
        )
    if not 0 <= share < 1:
        raise ValueError(f"the share of validation cases that may be flagged must be in [0, 1), not {share}")
    parts = tuple(_fit(name, _table(training, name), _table(validation, name)) for name in validation[0])
    scores = sorted((max(part.unusualness(case[part.name]) for part in parts) for case in validation), reverse=True)
    # rounded up: a case at the threshold stays below it if the last digits differ
    threshold = math.ceil(scores[math.floor(share * len(scores))] * 1000) / 1000
    flagged = sum(score > threshold for score in scores)
    return Familiarity(parts, threshold, training=len(training), cases=len(validation), flagged=flagged)


def _fit(name: str, training: Array, validation: Array) -> Part:
    mean = _rounded(training.mean(axis=0))
    scale = _rounded(np.maximum(training.std(axis=0), SMALLEST))
    covariance = shrunk_covariance((training - mean) / scale)
    triangle = _rounded(covariance[np.tril_indices(len(mean))])
    part = Part(name, tuple(mean), tuple(scale), tuple(triangle), (0.0, 1.0))
    distances = [_log(part.distance(row)) for row in validation]
    usual = _rounded(np.array([np.mean(distances), max(float(np.std(distances)), SMALLEST)]))
    return Part(name, part.mean, part.scale, part.covariance, (usual[0], usual[1]))


def shrunk_covariance(centred: Array) -> Array:
    """OAS covariance of (cases, numbers) with mean 0: the sample's, shrunk toward that of independent numbers, more with fewer cases."""
    cases, size = centred.shape
    sample = centred.T @ centred / cases
    even = np.trace(sample) / size
    power = float(np.mean(sample**2))
    above = (cases + 1) * (power - even**2 / size)
    share = 1.0 if above == 0 else min(1.0, (power + even**2) / above)
    return np.asarray((1 - share) * sample + share * even * np.eye(size))


def _table(cases: Sequence[Description], name: str) -> Array:
    """(cases, numbers) of a part, in an order that is the cases' own: sums then come out the same to the last digit."""
    rows = np.stack([np.asarray(case[name], np.float64) for case in cases])
    return rows[np.lexsort(rows.T)]


def _rounded(values: Array) -> Array:
    """Rounded to the stored digits."""
    return np.array([float(f"{value:.{DIGITS}g}") for value in values])


def _log(distance: float) -> float:
    return math.log(distance + SMALLEST)


def _numbers(values: Any, what: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise ValueError(f"{what}: expected numbers, not {values!r}") from None
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{what}: numbers must be finite")
    return numbers


def _check_keys(content: Any, kind: type[Part] | type[Familiarity]) -> None:
    if not isinstance(content, Mapping):
        raise TypeError(f"expected a mapping, got {content!r}")
    refuse_unknown_keys(content, [field.name for field in fields(kind)], "familiarity")
