"""What a report says of strata and of several annotators: rows of tables, with dots and intervals in the units of an SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg_monai.evaluation.agreement import in_words, read_agreement
from medseg_monai.evaluation.strata import Stratum, read_strata, worst, worst_in_words
from medseg_monai.evaluation.summary import Estimate

WIDTH, MARGIN = 200, 8


@dataclass(frozen=True)
class Dot:
    """A mean with its interval on an axis, in SVG units; without an interval both ends are at the mean."""

    low: float
    mean: float
    high: float
    text: str


@dataclass(frozen=True)
class Axis:
    """A range of scores, which all rows of a table share.

    >>> axis = Axis.around([Estimate(0.8, 0.7, 0.9), Estimate(0.5, math.nan, math.nan)])
    >>> axis.start, axis.end, axis.dot(Estimate(0.75, 0.5, 1.0)).mean
    (0.5, 0.9, 123.0)
    """

    start: float
    end: float
    width: int = WIDTH

    @classmethod
    def around(cls, estimates: Sequence[Estimate]) -> Axis:
        """From the lowest to the highest end, to the tenth."""
        ends = [number for one in estimates for number in (one.low, one.mean, one.high) if not math.isnan(number)]
        start, end = math.floor(10 * min(ends) + 1e-9) / 10, math.ceil(10 * max(ends) - 1e-9) / 10
        return cls(start, end if end > start else start + 0.1)

    def dot(self, estimate: Estimate) -> Dot:
        """Where an estimate lies."""
        ends = [estimate.mean if math.isnan(number) else number for number in (estimate.low, estimate.high)]
        low, mean, high = (self.place(number) for number in (ends[0], estimate.mean, ends[1]))
        return Dot(low, mean, high, str(estimate))

    def place(self, value: float) -> float:
        """Where a value lies."""
        return round(MARGIN + (value - self.start) / (self.end - self.start) * (self.width - 2 * MARGIN), 2)


def strata_content(folder: Path) -> dict[str, Any] | None:
    """The table of strata; None if there are none."""
    strata = read_strata(folder)
    if not strata:
        return None
    axis, lowest = Axis.around([one.score for one in strata]), worst(strata)
    return {
        "words": worst_in_words(strata),
        "several": len({one.class_name for one in strata}) > 1,
        "axis": axis,
        "rows": [_row(one, axis, one is lowest) for one in strata],
    }


def _row(one: Stratum, axis: Axis, is_worst: bool) -> dict[str, Any]:
    others = [str(one.scores[metric]) for metric in list(one.scores)[1:]]
    return {
        "class_name": one.class_name,
        "title": one.title,
        "cases": one.cases,
        "dot": axis.dot(one.score),
        "others": others,
        "worst": is_worst,
    }


def agreement_content(folder: Path) -> dict[str, Any] | None:
    """The table of annotators; None if masks of several were not compared."""
    found = read_agreement(folder)
    if not found:
        return None
    rows = [
        [one.class_name, one.who or "all", str(one.cases), *map(str, (one.network, one.annotators, one.difference))]
        for one in found
    ]
    return {"words": [in_words(one) for one in found if not one.who], "rows": rows}
