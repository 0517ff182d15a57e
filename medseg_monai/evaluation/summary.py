"""From the scores of cases to means with intervals and counts, per class and over all classes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.evaluation.intervals import mean_interval, median_interval
from medseg_monai.evaluation.metrics import DISTANCE_METRICS, METRICS, OUTCOMES, SIZE_METRICS, CaseScores

UNKNOWN = "–"  # shown for a metric that an evaluation did not measure


@dataclass(frozen=True)
class Estimate:
    """A mean over cases with its 95 % interval; NaN if it was not measured. Too few cases have a mean but no interval: its ends are NaN."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """``0.812 (0.790 to 0.833)``, with fewer decimals for distances; ``0.812`` if there is no interval."""
        if math.isnan(self.mean):
            return UNKNOWN
        if math.isnan(self.low):
            return f"{self.mean:.{3 if abs(self.mean) <= 1 else 2}f}"
        digits = 3 if max(-self.low, self.high) <= 1 else 2
        return f"{self.mean:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


@dataclass(frozen=True)
class ClassSummary:
    """One class over all cases, or the mean over classes.

    Attributes:
        scores: by metric.
        outcomes: number of rows of ``cases.csv`` by outcome: ok, missed, spurious, absent.
        lesions: their sums over cases: ``true``, ``predicted`` and ``matched``; empty if they were not counted.
        medians: over cases, by metric, with intervals by order statistics; empty for an evaluation that is older than they.
    """

    scores: Mapping[str, Estimate]
    outcomes: Mapping[str, int]
    lesions: Mapping[str, int] = field(default_factory=dict)
    medians: Mapping[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """The results of an evaluation.

    Attributes:
        n_cases: number of cases.
        overall: mean over classes within each case, then over cases: every case counts the same.
        per_class: by class name.
        distance_unit: of HD95 and mean surface distance, ``px`` or ``mm``.
        n_bootstrap: resamples that the intervals come from.
        seed: of the resampling.
    """

    n_cases: int
    overall: ClassSummary
    per_class: Mapping[str, ClassSummary]
    distance_unit: str
    n_bootstrap: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON, which has no NaN: what is not known is None."""
        content = asdict(self)
        for part in (content["overall"], *content["per_class"].values()):
            for key in ("scores", "medians"):
                part[key] = {name: _without_nan(numbers) for name, numbers in part[key].items()}
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Summary:
        """The inverse of `to_dict`, for content from this, an earlier or a later version."""
        content = {column.name: content[column.name] for column in fields(cls)}
        per_class = {name: _class_from_dict(part) for name, part in content["per_class"].items()}
        return cls(**{**content, "overall": _class_from_dict(content["overall"]), "per_class": per_class})


def summarise(
    scores: Sequence[CaseScores], *, seed: int = 0, n_bootstrap: int = 2000, distance_unit: str = "px"
) -> Summary:
    """Means over cases with 95 % intervals, per class and over all classes.

    Whole cases are resampled, so that classes of one case stay together: see `medseg_monai.evaluation.intervals`.

    Args:
        scores: one entry per case and class, in any order.
        seed: of the resampling.
        n_bootstrap: number of resamples.
        distance_unit: ``px``, or ``mm`` if the cases were scored with a spacing in mm.

    Raises:
        ValueError: there are no scores or no resamples, a case is scored twice, or not all cases have the same classes.
    """
    if n_bootstrap < 1:
        raise ValueError(f"n_bootstrap must be at least 1, not {n_bootstrap}")
    values, _, classes = score_table(scores)
    columns = np.concatenate([values.mean(axis=1, keepdims=True), values], axis=1)
    least, most = _ranges()
    low, high = mean_interval(columns, seed=seed, n_bootstrap=n_bootstrap, least=least, most=most)
    mean = columns.mean(axis=0)
    parts = [
        {name: Estimate(float(m), float(a), float(b)) for name, m, a, b in zip(METRICS, *rows, strict=True)}
        for rows in zip(mean, low, high, strict=True)
    ]
    medians = [_medians(columns[:, number]) for number in range(columns.shape[1])]
    outcomes = {name: _count_outcomes(s for s in scores if s.class_name == name) for name in classes}
    lesions = {name: _sum_lesions([s for s in scores if s.class_name == name]) for name in classes}
    return Summary(
        n_cases=len(values),
        overall=ClassSummary(parts[0], _count_outcomes(scores), _sum_lesions(scores), medians[0]),
        per_class={
            name: ClassSummary(part, outcomes[name], lesions[name], middle)
            for name, part, middle in zip(classes, parts[1:], medians[1:], strict=True)
        },
        distance_unit=distance_unit,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )


def score_table(scores: Sequence[CaseScores]) -> tuple[NDArray[np.float64], list[str], list[str]]:
    """The scores as an array (cases, classes, metrics as in METRICS), with case ids and class names.

    Raises:
        ValueError: no scores, a case scored twice, or cases that do not all have the same classes.
    """
    if not scores:
        raise ValueError("there are no scores to summarise: was the split empty?")
    cases = list(dict.fromkeys(score.case for score in scores))
    classes = list(dict.fromkeys(score.class_name for score in scores))
    rows = {(score.case, score.class_name): score for score in scores}
    if len(rows) < len(scores):
        repeated = Counter((score.case, score.class_name) for score in scores).most_common(1)[0][0]
        raise ValueError(f"case {repeated[0]!r}, class {repeated[1]!r} is scored twice: case ids must differ")
    missing = [(case, name) for case in cases for name in classes if (case, name) not in rows]
    if missing:
        case, name = missing[0]
        raise ValueError(f"{len(missing)} scores are missing, first: case {case!r}, class {name!r}")
    values = [[[getattr(rows[case, name], metric) for metric in METRICS] for name in classes] for case in cases]
    return np.array(values, dtype=np.float64), cases, classes


def _ranges() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The smallest and largest possible value of each metric."""
    unbounded = (*DISTANCE_METRICS, *SIZE_METRICS)
    lowest = {"size_difference": -np.inf, "relative_size_difference": -1.0}
    return (
        np.array([lowest.get(name, 0.0) for name in METRICS]),
        np.array([np.inf if name in unbounded else 1.0 for name in METRICS]),
    )


def _count_outcomes(scores: Iterable[CaseScores]) -> dict[str, int]:
    """Number of rows by outcome, with all four outcomes named."""
    counts = Counter(score.outcome for score in scores)
    return {outcome: counts[outcome] for outcome in OUTCOMES}


def _medians(values: NDArray[np.float64]) -> dict[str, Estimate]:
    """Of (cases, metrics)."""
    pairs = zip(METRICS, values.T, strict=True)
    return {name: Estimate(float(np.median(column)), *median_interval(column)) for name, column in pairs}


def _sum_lesions(scores: Sequence[CaseScores]) -> dict[str, int]:
    """Lesions of all cases together; empty if one of the evaluations did not count them."""
    if any(math.isnan(score.lesion_f1) for score in scores):
        return {}
    return {
        kind: sum(getattr(score, f"{kind}_lesions") for score in scores) for kind in ("true", "predicted", "matched")
    }


def _class_from_dict(content: Mapping[str, Any]) -> ClassSummary:
    """One class from its part of `Summary.to_dict`; a metric newer than the evaluation is NaN."""
    found, medians = (
        {name: Estimate(**_with_nan(estimate)) for name, estimate in content.get(key, {}).items()}
        for key in ("scores", "medians")
    )
    scores = {**{name: Estimate(math.nan, math.nan, math.nan) for name in METRICS}, **found}
    return ClassSummary(scores, content["outcomes"], content.get("lesions", {}), medians)


def _without_nan(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(number) else number for name, number in numbers.items()}


def _with_nan(numbers: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if number is None else number for name, number in numbers.items()}
