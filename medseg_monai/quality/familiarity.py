"""Whether an image is of the kind that a network was trained on: how far its description is from those of training's images.

All numbers of a description (`medseg_monai.quality.descriptor`, `volume_descriptor`) together have one Gaussian, fitted on training cases:
what gives other images away is less often a single number than several that do not go together. Distances are skewed, so their logarithms
are set against those of cases that the Gaussian was not fitted on: validation's, and if these are few, training's by cross-fitting. The
threshold is the one that at most a wanted share of them exceeds. Each part alone, by its share of the same Gaussian, tells what is unusual.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from medseg_monai.program.messages import refuse_unknown_keys
from medseg_monai.quality import descriptor, volume_descriptor
from medseg_monai.quality.gaussian import SMALLEST, Description, Gaussian, joined, rounded, symmetric

LEAST_TRAINING = 30
"""Smallest number of cases to learn from."""
ENOUGH_VALIDATION = 50
"""With fewer validation cases, training's join them, each judged by a Gaussian that was fitted without it."""
FOLDS = 10
DESCRIPTORS: Mapping[int, int] = {2: descriptor.VERSION, 3: volume_descriptor.VERSION}
"""By number of spatial axes the version of what describes images now."""
FIRST = 1
"""The version of the descriptors before what was learnt named one."""
NAMED = 2.0
"""A part is named if it is unusual by more than this."""


@dataclass(frozen=True)
class Part:
    """What is usual in one part of the description.

    Args:
        name: the part's name.
        mean, scale: mean and spread of its numbers in training.
        usual: mean and standard deviation of the logarithm of the distances of cases that it was not fitted on.

    Raises:
        ValueError: the numbers are inconsistent or invalid.
    """

    name: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    usual: tuple[float, float]

    def __post_init__(self) -> None:
        for key in ("mean", "scale", "usual"):
            object.__setattr__(self, key, _numbers(getattr(self, key), f"familiarity: {self.name}: {key}"))
        if not (self.mean and len(self.scale) == len(self.mean) and len(self.usual) == 2):
            raise ValueError(f"familiarity: {self.name}: mean, scale and usual do not fit each other")
        if min(*self.scale, self.usual[1]) <= 0:
            raise ValueError(f"familiarity: {self.name}: a spread must be above 0")


@dataclass(frozen=True)
class Familiarity:
    """What is usual in images, and the threshold for one unlike those of training.

    Args:
        parts: the parts of the description.
        covariance: of all numbers, over their spread, part after part: the lower triangle, row by row.
        usual: mean and standard deviation of the logarithm of the distances of cases that it was not fitted on.
        threshold: an image whose unusualness exceeds it is flagged.
        training: number of cases that it was fitted on.
        cases: number of cases that set the threshold, see `learn_familiarity`.
        flagged: number of these that the threshold flags.
        descriptor: version of the descriptor that it was learnt with; files without one are of the first that had none.

    Raises:
        ValueError: a value is invalid.
    """

    parts: tuple[Part, ...]
    covariance: tuple[float, ...]
    usual: tuple[float, float]
    threshold: float
    training: int
    cases: int
    flagged: int
    descriptor: int = FIRST

    def __post_init__(self) -> None:
        if not self.parts or len({part.name for part in self.parts}) < len(self.parts):
            raise ValueError("familiarity: expected one or more parts with different names")
        for key in ("covariance", "usual"):
            object.__setattr__(self, key, _numbers(getattr(self, key), f"familiarity: {key}"))
        _numbers([self.threshold], "familiarity: threshold")
        for key in ("training", "cases", "flagged", "descriptor"):
            if type(getattr(self, key)) is not int:
                raise ValueError(f"familiarity: {key} must be a whole number, not {getattr(self, key)!r}")
        if not 0 <= self.flagged <= self.cases or self.training < 1:
            raise ValueError("familiarity: the numbers of cases are inconsistent")
        size = sum(len(part.mean) for part in self.parts)
        if len(self.covariance) != size * (size + 1) // 2 or len(self.usual) != 2 or self.usual[1] <= 0:
            raise ValueError("familiarity: parts, covariance and usual do not fit each other")
        if np.linalg.eigvalsh(self._gaussian.covariance)[0] <= 0:
            raise ValueError("familiarity: the covariance is not positive definite")

    @cached_property
    def _gaussian(self) -> Gaussian:
        mean, scale = (np.concatenate([getattr(part, key) for part in self.parts]) for key in ("mean", "scale"))
        sizes = {part.name: len(part.mean) for part in self.parts}
        return Gaussian(sizes, mean, scale, symmetric(self.covariance, len(mean)))

    def check(self, description: Description) -> None:
        """Raise a ValueError if this was learnt on descriptions of another kind."""
        ours = dict(self._gaussian.sizes)
        theirs = {name: len(numbers) for name, numbers in description.items()}
        if ours != theirs:
            raise ValueError(
                f"familiarity was learnt on other descriptions ({ours}) than those of this version ({theirs}): "
                "remove it from spec.json and run medseg review again"
            )

    def unusualness(self, description: Description) -> float:
        """How far an image's distance is above usual ones, in standard deviations of its logarithm."""
        return _score(self._gaussian.distance(description), self.usual)

    def unusual_parts(self, description: Description) -> dict[str, float]:
        """The same of each part alone."""
        distances = self._gaussian.distances(description)
        return {part.name: _score(distances[part.name], part.usual) for part in self.parts}

    def unlike(self, description: Description) -> list[str]:
        """Of a familiar image nothing; else the parts that are unusual, at least one, most unusual first."""
        if self.unusualness(description) <= self.threshold:
            return []
        found = self.unusual_parts(description)
        ordered = sorted(found, key=lambda name: -found[name])
        return [name for place, name in enumerate(ordered) if place == 0 or found[name] > NAMED]

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
        return (
            f"unlike the {self.training} training images examined: {self.flagged} of {self.cases} other cases flagged"
        )


def is_of_another_descriptor(content: Any, version: int) -> bool:
    """Whether what is stored was learnt of numbers with other meanings than those of this version of the descriptor.

    So was what the earliest versions stored: a covariance of each part.
    """
    if not isinstance(content, Mapping):
        return False
    parts = content.get("parts")
    by_part = isinstance(parts, list) and any(isinstance(part, Mapping) and "covariance" in part for part in parts)
    return by_part or content.get("descriptor", FIRST) != version


def learn_familiarity(
    training: Sequence[Description],
    validation: Sequence[Description],
    *,
    share: float = 0.01,
    groups: Sequence[str] | None = None,
    version: int = FIRST,
) -> Familiarity:
    """Fit the Gaussian on training cases and set the threshold by cases that it was not fitted on; neither's order matters.

    Args:
        training: descriptions, at least `LEAST_TRAINING`.
        validation: descriptions; if there are fewer than `ENOUGH_VALIDATION`, training's join them, see `_cross_fitted`.
        share: at most this share of these cases is flagged, 0 to below 1.
        groups: of each training case, such as its patient: cases of one group are never judged by each other. None if each is its own.
        version: of the descriptor, see `DESCRIPTORS`.

    Raises:
        ValueError: too few cases or groups, or a share out of range.
    """
    if len(training) < LEAST_TRAINING:
        raise ValueError(
            f"{len(training)} training cases are too few to learn what is usual: {LEAST_TRAINING} are needed"
        )
    if not 0 <= share < 1:
        raise ValueError(f"the share of cases that may be flagged must be in [0, 1), not {share}")
    known, others = _ordered(training), _ordered(validation)
    named: Sequence[str | int] = groups or range(len(training))
    of_case = {id(case): group for case, group in zip(training, named, strict=True)}
    gaussian = Gaussian.fitted(known)
    distances = [_distances(gaussian, case) for case in others]
    distances += _cross_fitted(known, [of_case[id(case)] for case in known]) if len(others) < ENOUGH_VALIDATION else []
    logs = np.log(np.array(distances) + SMALLEST)  # (cases, whole and parts)
    means, spreads = rounded(logs.mean(axis=0)), rounded(np.maximum(logs.std(axis=0), SMALLEST))
    usual = [(float(mean), float(spread)) for mean, spread in zip(means, spreads, strict=True)]
    scores = sorted(((logs[:, 0] - means[0]) / spreads[0]).tolist(), reverse=True)
    # rounded up: a case at the threshold stays below it if the last digits differ
    threshold = math.ceil(scores[math.floor(share * len(scores))] * 1000) / 1000
    return Familiarity(
        _parts(gaussian, usual[1:]),
        tuple(gaussian.covariance[np.tril_indices(len(gaussian.mean))].tolist()),
        usual[0],
        threshold,
        training=len(training),
        cases=len(scores),
        flagged=sum(score > threshold for score in scores),
        descriptor=version,
    )


def _parts(gaussian: Gaussian, usual: Sequence[tuple[float, float]]) -> tuple[Part, ...]:
    ends = np.cumsum(list(gaussian.sizes.values()))[:-1]
    pieces = zip(gaussian.sizes, np.split(gaussian.mean, ends), np.split(gaussian.scale, ends), usual, strict=True)
    return tuple(Part(name, tuple(mean.tolist()), tuple(scale.tolist()), pair) for name, mean, scale, pair in pieces)


def _distances(gaussian: Gaussian, case: Description) -> list[float]:
    """Of the whole, then of each part."""
    return [gaussian.distance(case), *gaussian.distances(case).values()]


def _cross_fitted(cases: Sequence[Description], groups: Sequence[str | int]) -> list[list[float]]:
    """The distances of each case by a Gaussian that was fitted without its fold, which holds whole groups.

    Raises:
        ValueError: all cases are of one group.
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    if len(numbers) < 2:
        raise ValueError(f"all {len(cases)} training cases belong to one group, so none can be judged by others")
    folds = [numbers[group] % FOLDS for group in groups]
    found = []
    for fold in range(min(FOLDS, len(numbers))):
        gaussian = Gaussian.fitted([case for case, its in zip(cases, folds, strict=True) if its != fold])
        found += [_distances(gaussian, case) for case, its in zip(cases, folds, strict=True) if its == fold]
    return found


def _ordered(cases: Sequence[Description]) -> list[Description]:
    """In an order that is the cases' own: sums then come out the same to the last digit, and folds hold the same cases."""
    return sorted(cases, key=lambda case: tuple(joined(case)))


def _score(distance: float, usual: tuple[float, float]) -> float:
    return (math.log(distance + SMALLEST) - usual[0]) / usual[1]


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
