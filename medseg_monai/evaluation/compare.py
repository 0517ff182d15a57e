"""Finished evaluations of several networks on the same cases, side by side: scores, cost, and which is better."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medseg_monai.evaluation.intervals import mean_interval
from medseg_monai.evaluation.metrics import LOWER_IS_BETTER, METRICS, SIGNED_METRICS
from medseg_monai.evaluation.significance import holm, paired_permutation_p
from medseg_monai.evaluation.summary import Estimate, score_table
from medseg_monai.evaluation.tables import Evaluation, metric_label, read_evaluation
from medseg_monai.figures.cases import save_figure
from medseg_monai.figures.plots import compare_scores
from medseg_monai.files.csv_tables import csv_text
from medseg_monai.files.markdown import markdown_table
from medseg_monai.files.writing import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLE_METRICS = ("dice", "jaccard", "thresholded_jaccard", "hd95")
COMPARED = tuple(metric for metric in METRICS if metric not in SIGNED_METRICS)  # of a signed one none is best
COSTS = ("parameters", "train_seconds", "inference_ms_per_image")


@dataclass(frozen=True)
class Entry:
    """One evaluation in a comparison.

    Attributes:
        name: the bundle's name, or the folder if two have the same name.
        evaluation: as read.
        values: the metric of the comparison, one per case: mean over classes.
    """

    name: str
    evaluation: Evaluation
    values: NDArray[np.float64]

    def score(self, metric: str) -> Estimate:
        """Mean over classes and cases, with its interval."""
        return self.evaluation.summary.overall.scores[metric]

    def cost(self, fact: str) -> float | None:
        """``parameters``, ``train_seconds`` or ``inference_ms_per_image``; None if the run did not record it."""
        value = self.evaluation.run.get(fact)
        return None if value is None else float(value)


@dataclass(frozen=True)
class PairedTest:
    """Two entries on the same cases.

    Attributes:
        first: the name of the one with the better mean.
        second: the other's.
        difference: mean of first minus second, with its 95 % interval.
        p: two-sided p value of the paired permutation test.
        p_holm: the same, corrected for the number of pairs.
    """

    first: str
    second: str
    difference: Estimate
    p: float
    p_holm: float


@dataclass(frozen=True)
class Comparison:
    """Entries, the best mean first, and every pair of them tested."""

    metric: str
    entries: tuple[Entry, ...]
    tests: tuple[PairedTest, ...]


def compare(folders: Sequence[str | Path], *, metric: str = "dice", seed: int = 0) -> Comparison:
    """Compare finished evaluations of the same cases.

    Args:
        folders: folders of the evaluations, two or more.
        metric: the metric to sort by and to test; one of COMPARED.
        seed: seed of the resampling.

    Raises:
        FileNotFoundError: a folder contains no finished evaluation.
        ValueError: fewer than two folders, an unknown metric, or evaluations of different cases, classes or truth.
    """
    if metric not in COMPARED:
        raise ValueError(f"metric must be one of {', '.join(COMPARED)}, not {metric!r}")
    if len({Path(folder).resolve() for folder in folders}) < max(2, len(folders)):
        raise ValueError("a comparison needs two or more different evaluation folders")
    evaluations = [read_evaluation(folder) for folder in folders]
    for evaluation in evaluations:
        if math.isnan(evaluation.summary.overall.scores[metric].mean):
            raise ValueError(
                f"{evaluation.folder} did not measure {metric}, or is from a version that did not: evaluate again, "
                "or compare another metric"
            )
    for evaluation in evaluations[1:]:
        _check_same_cases(evaluations[0], evaluation)
    names = _names(evaluations)
    values = [_case_values(evaluation, metric) for evaluation in evaluations]
    entries = [Entry(*parts) for parts in zip(names, evaluations, values, strict=True)]
    entries.sort(key=lambda entry: entry.score(metric).mean, reverse=metric not in LOWER_IS_BETTER)
    return Comparison(metric, tuple(entries), tuple(_test_pairs(entries, seed)))


def write_comparison(out: str | Path, comparison: Comparison) -> list[Path]:
    """Write ``comparison.md``, ``comparison.csv``, ``comparison_pairs.csv`` and ``comparison.png``; return them."""
    folder = Path(out)
    texts = {
        "comparison.md": comparison_markdown(comparison),
        "comparison.csv": _entries_csv(comparison),
        "comparison_pairs.csv": _tests_csv(comparison),
    }
    for name, text in texts.items():
        write_whole(folder / name, text)
    figure = comparison_figure(comparison)
    return [*(folder / name for name in texts), save_figure(figure, folder / "comparison.png")]


def comparison_figure(comparison: Comparison) -> Figure:
    """Each network in a row: every case, the mean and its interval."""
    entries, unit = comparison.entries, comparison.entries[0].evaluation.summary.distance_unit
    return compare_scores(
        [entry.name for entry in entries],
        [entry.values for entry in entries],
        intervals=[(e.score(comparison.metric).low, e.score(comparison.metric).high) for e in entries],
        label=metric_label(comparison.metric, unit),
    )


def comparison_markdown(comparison: Comparison) -> str:
    """The table of entries, the table of pairs, and how to read them."""
    first = comparison.entries[0].evaluation.summary
    label = metric_label(comparison.metric, first.distance_unit)
    header = ["", *(metric_label(metric, first.distance_unit) for metric in TABLE_METRICS)]
    rows = [
        [entry.name, *(entry.score(metric) for metric in TABLE_METRICS), *_readable_costs(entry)]
        for entry in comparison.entries
    ]
    lines = [f"# {len(rows)} networks on the same {first.n_cases} cases", ""]
    lines += markdown_table([*header, "parameters", "training", "inference per image"], rows)
    lines += ["", "Mean over cases (95 % interval). Compare times only if measured on the same machine.", ""]
    lines += [f"## Pairs: difference in {label}", ""]
    pairs = [
        [test.first, test.second, f"{test.difference}", f"{test.p:.4f}", f"{test.p_holm:.4f}"]
        for test in comparison.tests
    ]
    lines += markdown_table(["better mean", "than", "difference", "p", "p (Holm)"], pairs)
    lines += ["", "Two-sided paired permutation test of the mean difference per case; Holm's correction for all pairs."]
    return "\n".join(lines) + "\n"


def _check_same_cases(first: Evaluation, other: Evaluation) -> None:
    """Refuse evaluations that differ in cases, classes or truth: their scores cannot be paired."""
    truths = [{(s.case, s.class_name): s.truth_pixels for s in e.scores} for e in (first, other)]
    unshared = sorted(truths[0].keys() ^ truths[1].keys())
    if unshared:
        case, name = unshared[0]
        found = f"{len(unshared)} scores are in only one of them, first: case {case!r}, class {name!r}"
        raise ValueError(f"{first.folder} and {other.folder} are not of the same cases: {found}")
    different = [case for (case, _), pixels in truths[0].items() if pixels != truths[1][case, _]]
    if different:
        found = f"{len(different)} differ in size, first: case {different[0]!r}"
        raise ValueError(f"{first.folder} and {other.folder} were scored against different true masks: {found}")


def _names(evaluations: Sequence[Evaluation]) -> list[str]:
    """The bundles' names, with the folder if a name is missing or not unique."""
    names = [str(evaluation.run.get("bundle", "")) for evaluation in evaluations]
    counts = Counter(names)
    return [
        name if name and counts[name] == 1 else f"{name} ({evaluation.folder})".strip()
        for name, evaluation in zip(names, evaluations, strict=True)
    ]


def _case_values(evaluation: Evaluation, metric: str) -> NDArray[np.float64]:
    """One value per case, mean over classes, in the order of the case ids."""
    values, cases, _ = score_table(evaluation.scores)
    per_case: NDArray[np.float64] = values[:, :, METRICS.index(metric)].mean(axis=1)
    return per_case[np.argsort(cases)]


def _test_pairs(entries: Sequence[Entry], seed: int) -> list[PairedTest]:
    """Every pair of entries, the better mean first."""
    pairs = list(combinations(entries, 2))
    differences = [first.values - second.values for first, second in pairs]
    p_values = [paired_permutation_p(difference, seed=seed) for difference in differences]
    tests = []
    for (first, second), difference, p, p_holm in zip(pairs, differences, p_values, holm(p_values), strict=True):
        low, high = mean_interval(difference, seed=seed, n_bootstrap=2000)
        estimate = Estimate(float(difference.mean()), float(low), float(high))
        tests.append(PairedTest(first.name, second.name, estimate, p, p_holm))
    return tests


def _readable_costs(entry: Entry) -> list[str]:
    """Parameters in millions, training in minutes, inference in milliseconds; a dash for unknown values."""
    shown = {"parameters": (1e-6, "M"), "train_seconds": (1 / 60, "min"), "inference_ms_per_image": (1.0, "ms")}
    values = [(entry.cost(fact), *shown[fact]) for fact in COSTS]
    return ["–" if value is None else f"{value * scale:.2f} {unit}" for value, scale, unit in values]


def _entries_csv(comparison: Comparison) -> str:
    """One row per entry."""
    bounds = [f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")]
    rows: list[list[object]] = [["name", "folder", "cases", *bounds, *COSTS]]
    for entry in comparison.entries:
        estimates = [entry.score(metric) for metric in METRICS]
        numbers = [number for e in estimates for number in (e.mean, e.low, e.high)]
        costs = [entry.cost(fact) for fact in COSTS]
        rows.append([entry.name, entry.evaluation.folder, len(entry.values), *numbers, *costs])
    return csv_text(rows)


def _tests_csv(comparison: Comparison) -> str:
    """One row per pair."""
    rows: list[list[object]] = [["metric", "first", "second", "difference", "low", "high", "p", "p_holm"]]
    for test in comparison.tests:
        d = test.difference
        rows.append([comparison.metric, test.first, test.second, d.mean, d.low, d.high, test.p, test.p_holm])
    return csv_text(rows)
