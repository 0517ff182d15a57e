"""Scores by kind of case: lesion size, contrast, touching the border, scanner, centre; and the kind in which the network is worst.

A mean over all cases hides a kind in which the network fails. Maier-Hein et al. 2024
(doi:10.1038/s41592-023-02151-z) recommend to report strata.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg_monai.evaluation.intervals import LEAST_CASES, mean_interval
from medseg_monai.evaluation.metrics import CaseScores
from medseg_monai.evaluation.significance import group_permutation_p
from medseg_monai.evaluation.summary import Estimate
from medseg_monai.files.csv_tables import csv_text, read_records
from medseg_monai.files.markdown import markdown_table
from medseg_monai.files.writing import write_whole

STRATA_FILE = "strata.csv"
SCORES = ("dice", "jaccard", "surface_dice")
"""What is averaged in each stratum, all between 0 and 1; the first decides which is worst."""
EVERY_CLASS = "all classes"
MOST_NAMES = 12
"""Values of a column that have a stratum each; the rarest of more share one."""
MANY_NUMBERS = 6
"""A column of numbers with more different ones is divided into ranges."""
_RANGES = {2: ("lower half", "upper half"), 3: ("lowest third", "middle third", "highest third")}
_SIZES = {2: ("smaller half", "larger half"), 3: ("small", "medium", "large")}


@dataclass(frozen=True)
class Stratum:
    """Cases of one kind.

    Attributes:
        class_name: the class that is scored, or `EVERY_CLASS`: the mean over classes of each case.
        attribute: what the kind is about: ``size``, ``contrast``, ``border``, ``class`` or a column of the data set.
        name: the kind, with its limits if it is a range.
        cases: how many.
        scores: mean over these cases with its interval, by metric of `SCORES`.
        others: the mean of the first of these metrics over the cases of the attribute's other strata.
        p: probability of a difference as large by chance (permutation test), of the worst stratum alone, times the number of strata
            that were looked at; NaN for all others.
    """

    class_name: str
    attribute: str
    name: str
    cases: int
    scores: Mapping[str, Estimate]
    others: float
    p: float = math.nan

    @property
    def title(self) -> str:
        """What is in it, for people: ``size: small (below 3.1 %)``."""
        return f"{self.attribute}: {self.name}"

    @property
    def score(self) -> Estimate:
        """The first score."""
        return self.scores[SCORES[0]]


@dataclass(frozen=True)
class _Kinds:
    """An attribute of some of the rows: the stratum of each, empty for a row that has none."""

    attribute: str
    names: tuple[str, ...]
    of_rows: tuple[str, ...]


def stratify(
    scores: Sequence[CaseScores],
    columns: Mapping[str, Mapping[str, str]] | None = None,
    *,
    size_unit: str,
    seed: int = 0,
) -> list[Stratum]:
    """Divide the cases by what is known of them, and score each stratum; the worst is the one whose ``p`` is a number.

    A structure that a case lacks has no size, contrast or border; such cases are in strata of columns only. Several classes are strata
    too. An attribute whose cases are
    all of one kind is left out.

    Args:
        scores: one entry per case and class.
        columns: by case id, its values by column: centre, scanner … A case or value may be missing.
        size_unit: of ``truth_size``, ``% of the image`` or ``ml``.
        seed: of the resampling.
    """
    classes = list(dict.fromkeys(score.class_name for score in scores))
    strata: list[Stratum] = []
    tested: dict[int, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}

    def add(name: str, values: NDArray[np.float64], kinds: _Kinds) -> None:
        known = np.array([bool(kind) for kind in kinds.of_rows])
        for kind in kinds.names:
            members = np.array([one == kind for one in kinds.of_rows])
            tested[len(strata)] = (values[known, 0], members[known])
            others = values[known & ~members, 0]
            estimates = dict(zip(SCORES, _estimates(values[members], seed), strict=True))
            strata.append(Stratum(name, kinds.attribute, kind, int(members.sum()), estimates, float(others.mean())))

    for name in classes:
        rows = [score for score in scores if score.class_name == name]
        values = _values(rows)
        for kinds in _own_kinds(rows, size_unit):
            add(name, values, kinds)
    if len(classes) > 1:  # organs
        there = [score for score in scores if score.outcome != "absent"]
        names = tuple(name for name in classes if any(score.class_name == name for score in there))
        if len(names) > 1:
            add(EVERY_CLASS, _values(there), _Kinds("class", names, tuple(score.class_name for score in there)))
    cases, values = _by_case(scores)
    for kinds in _column_kinds(cases, columns or {}):
        add(EVERY_CLASS if len(classes) > 1 else classes[0], values, kinds)
    return _with_p_of_worst(strata, tested, seed)


def worst(strata: Sequence[Stratum]) -> Stratum | None:
    """The stratum with the lowest mean of those with enough cases for an interval; None if there is none."""
    judged = [stratum for stratum in strata if stratum.cases >= LEAST_CASES]
    return min(judged, key=lambda stratum: stratum.score.mean) if judged else None


def worst_in_words(strata: Sequence[Stratum]) -> str:
    """A sentence that names the worst stratum; empty without strata."""
    found = worst(strata)
    if found is None:
        return ""
    of_class = f" of {found.class_name}" if len({one.class_name for one in strata}) > 1 else ""
    chance = "within what chance gives" if found.p > 0.05 else "beyond chance"
    return (
        f"Worst: {found.title}{of_class}, Dice {found.score}, {found.cases} cases; the others have {found.others:.3f} "
        f"(p = {found.p:.2g}, corrected for {len(strata)} strata: {chance})."
    )


def strata_lines(strata: Sequence[Stratum]) -> list[str]:
    """The section of a summary, as Markdown; empty without strata."""
    if not strata:
        return []
    rows = [[one.class_name, one.title, one.cases, *(str(one.scores[metric]) for metric in SCORES)] for one in strata]
    header = ["class", "stratum", "cases", "Dice", "Jaccard", "surface Dice"]
    words = worst_in_words(strata)
    return ["", "## Strata", "", *([words, ""] if words else []), *markdown_table(header, rows)]


def write_strata(folder: str | Path, strata: Sequence[Stratum]) -> Path:
    """Write ``strata.csv``."""
    names = [column.name for column in fields(Stratum) if column.name not in ("scores", "others", "p")]
    ends = [f"{metric}{end}" for metric in SCORES for end in ("", "_low", "_high")]
    rows = [
        [
            *(getattr(one, name) for name in names),
            *(_cell(number) for metric in SCORES for number in asdict(one.scores[metric]).values()),
            _cell(one.others),
            _cell(one.p),
        ]
        for one in strata
    ]
    path = Path(folder) / STRATA_FILE
    write_whole(path, csv_text([[*names, *ends, "others", "p"], *rows]).encode())
    return path


def read_strata(folder: str | Path) -> list[Stratum]:
    """The table written by `write_strata`; empty if there is none.

    Raises:
        ValueError: the file is not such a table.
    """
    path = Path(folder) / STRATA_FILE
    if not path.is_file():
        return []
    try:
        return [_from_row(row) for row in read_records(path)]
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is not a table of strata: {error}") from error


def _from_row(row: Mapping[str, str]) -> Stratum:
    numbers = {
        name: float(text or "nan") for name, text in row.items() if name not in ("class_name", "attribute", "name")
    }
    scores = {m: Estimate(*(numbers[f"{m}{end}"] for end in ("", "_low", "_high"))) for m in SCORES}
    who = (row["class_name"], row["attribute"], row["name"], int(numbers["cases"]))
    return Stratum(*who, scores, numbers["others"], numbers["p"])


def _cell(number: float) -> float | None:
    return None if math.isnan(number) else number


def _estimates(values: NDArray[np.float64], seed: int) -> list[Estimate]:
    """Mean and interval of each column."""
    low, high = mean_interval(values, seed=seed, n_bootstrap=2000, least=0, most=1)
    return [Estimate(*map(float, numbers)) for numbers in zip(values.mean(axis=0), low, high, strict=True)]


def _values(rows: Sequence[CaseScores]) -> NDArray[np.float64]:
    """Their scores, (rows, metrics)."""
    return np.array([[getattr(row, metric) for metric in SCORES] for row in rows])


def _by_case(scores: Sequence[CaseScores]) -> tuple[list[str], NDArray[np.float64]]:
    """Case ids, and their mean scores over classes, (cases, metrics)."""
    rows: dict[str, list[list[float]]] = {}
    for score in scores:
        rows.setdefault(score.case, []).append([getattr(score, metric) for metric in SCORES])
    return list(rows), np.array([np.mean(of_case, axis=0) for of_case in rows.values()])


def _own_kinds(rows: Sequence[CaseScores], size_unit: str) -> list[_Kinds]:
    """What masks and images say themselves, of the rows that have the structure."""
    sizes = [row.truth_size if row.truth_pixels else math.nan for row in rows]
    kinds = [
        _ranges("size", sizes, _SIZES, size_unit),
        _ranges("contrast", [row.contrast for row in rows], _RANGES, "SD"),
        _names("border", [row.border for row in rows]),
    ]
    return [one for one in kinds if one is not None]


def _column_kinds(cases: Sequence[str], columns: Mapping[str, Mapping[str, str]]) -> list[_Kinds]:
    """What a table or the data set says of cases, column by column."""
    names = list(dict.fromkeys(name for case in cases for name in columns.get(case, {})))
    kinds = []
    for name in names:
        values = [columns.get(case, {}).get(name, "").strip() for case in cases]
        numbers = _numbers(values)
        if numbers is not None and len({value for value in values if value}) > MANY_NUMBERS:
            kinds.append(_ranges(name, numbers, _RANGES, ""))
        else:
            kinds.append(_names(name, values))
    return [one for one in kinds if one is not None]


def _numbers(values: Sequence[str]) -> list[float] | None:
    """The values as numbers, NaN for empty ones; None if one is something else."""
    try:
        return [float(value or "nan") for value in values]
    except ValueError:
        return None


def _names(attribute: str, values: Sequence[str]) -> _Kinds | None:
    """A stratum for each value, in alphabetical order; None if there is only one."""
    counts = Counter(value for value in values if value)
    if len(counts) < 2:
        return None
    kept = {name for name, _ in counts.most_common(MOST_NAMES if len(counts) <= MOST_NAMES else MOST_NAMES - 1)}
    rest = f"{len(counts) - len(kept)} others"
    of_rows = tuple(value if value in kept or not value else rest for value in values)
    return _Kinds(attribute, (*sorted(kept), *([rest] if rest in of_rows else [])), of_rows)


def _ranges(attribute: str, values: Sequence[float], names: Mapping[int, tuple[str, ...]], unit: str) -> _Kinds | None:
    """Thirds of the rows by their value, halves if they are too few; None if too few even for halves, or all equal."""
    numbers = np.asarray(values, dtype=np.float64)
    known = np.isfinite(numbers)
    parts = min(3, int(known.sum()) // LEAST_CASES)
    if parts < 2:
        return None
    limits = np.quantile(numbers[known], np.arange(1, parts) / parts)
    place = np.searchsorted(limits, numbers, side="left")  # a value equal to a limit is below it
    words = [f"{name} ({between})" for name, between in zip(names[parts], _between(limits, unit), strict=True)]
    of_rows = tuple(
        words[index] if there else "" for index, there in zip(place.clip(max=parts - 1), known, strict=True)
    )
    used = tuple(word for word in words if word in of_rows)
    return _Kinds(attribute, used, of_rows) if len(used) > 1 else None


def _between(limits: NDArray[np.float64], unit: str) -> list[str]:
    """The limits of ranges in words."""
    texts, after = [f"{limit:.3g}" for limit in limits], f" {unit}" if unit else ""
    inner = [f"{low} to {high}{after}" for low, high in pairwise(texts)]
    return [f"up to {texts[0]}{after}", *inner, f"above {texts[-1]}{after}"]


def _with_p_of_worst(
    strata: Sequence[Stratum], tested: Mapping[int, tuple[NDArray[np.float64], NDArray[np.bool_]]], seed: int
) -> list[Stratum]:
    """The strata, the worst with its p value."""
    found = worst(strata)
    if found is None:
        return list(strata)
    place = next(number for number, one in enumerate(strata) if one is found)
    p = min(1.0, group_permutation_p(*tested[place], seed=seed) * len(strata))
    return [replace(one, p=p) if one is found else one for one in strata]
