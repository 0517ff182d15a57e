"""The files of an evaluation, written and read.

``cases.csv`` has one row per case and class, ``summary.json`` the means with intervals, the counts and the
facts of the run, ``summary.md`` the same for people to read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

from medseg_monai.evaluation.intervals import LEAST_CASES
from medseg_monai.evaluation.metrics import MAY_BE_UNMEASURED, METRICS, OUTCOMES, CaseScores
from medseg_monai.evaluation.options import BOUNDARY_SHARE, IMAGE_TOLERANCE, VOLUME_TOLERANCE_MM
from medseg_monai.evaluation.scan_scores import ScanScores, summarise_scans
from medseg_monai.evaluation.summary import Summary
from medseg_monai.files.csv_tables import csv_text, read_records
from medseg_monai.files.markdown import Markdown, markdown_table
from medseg_monai.files.writing import write_whole
from medseg_monai.inference.cases import FAILURES_FILE
from medseg_monai.program.messages import facts_as_text

CASES_FILE, SUMMARY_FILE, TABLE_FILE = "cases.csv", "summary.json", "summary.md"
SCANS_FILE = "scans.csv"
WORST_CASES = 5
MEDIANS_SHOWN = ("dice", "hd95")
SCAN_LABELS = {
    "score": "UW-Madison competition score",
    "dice": "mean Dice of slices that have the class",
    "hausdorff": "3D Hausdorff distance, 0 to 1",
    "dice_3d": "Dice of whole scans",
    "slices": "slices that count",
    "scans": "scans that count",
}
LONG_FACTS = ("data", "training", "model_card")  # of a run; in the JSON and the report alone
ALL: str = Markdown("**all**")


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation, read from its folder.

    Attributes:
        folder: where it was read from.
        scores: one entry per case and class.
        summary: means, intervals, counts.
        run: facts of the run: bundle, weights, parameters, train_seconds, inference_ms_per_image,
            dataset, split, software …
        scans: for slices, the result of `summarise_scans` on their scans; empty for others.
    """

    folder: Path
    scores: tuple[CaseScores, ...]
    summary: Summary
    run: Mapping[str, Any] = field(default_factory=dict)
    scans: Mapping[str, Any] = field(default_factory=dict)


def write_evaluation(
    out: str | Path,
    scores: Sequence[CaseScores],
    summary: Summary,
    *,
    run: Mapping[str, Any],
    scans: Sequence[ScanScores] = (),
    more: Sequence[str] = (),
) -> Path:
    """Write ``cases.csv``, ``summary.json`` and ``summary.md``, and ``scans.csv`` if there are scans; return the folder.

    ``more`` are further lines of the summary. ``summary.json`` comes last: if it exists, the evaluation is complete.
    """
    folder = Path(out)
    (folder / SUMMARY_FILE).unlink(missing_ok=True)
    write_whole(folder / CASES_FILE, _table(CaseScores, scores).encode())
    (folder / SCANS_FILE).unlink(missing_ok=True)
    by_scan = {"scans": summarise_scans(scans)} if scans else {}
    if scans:
        write_whole(folder / SCANS_FILE, _table(ScanScores, scans).encode())
    text = summary_markdown(summary, scores, run=run, scans=by_scan.get("scans"), more=more)
    write_whole(folder / TABLE_FILE, text)
    content = {**summary.to_dict(), **by_scan, "run": dict(run)}
    write_whole(folder / SUMMARY_FILE, (json.dumps(content, indent=2, default=str) + "\n").encode())
    return folder


def _table(kind: type[CaseScores] | type[ScanScores], rows: Iterable[CaseScores | ScanScores]) -> str:
    """Rows as CSV."""
    cells = ([None if value != value else value for value in astuple(row)] for row in rows)  # NaN was not measured
    return csv_text([[column.name for column in fields(kind)], *cells])


def read_evaluation(folder: str | Path) -> Evaluation:
    """Read an evaluation written by :func:`write_evaluation`.

    Raises:
        FileNotFoundError: the folder contains no finished evaluation.
        ValueError: its files are invalid.
    """
    place = Path(folder)
    for name in (SUMMARY_FILE, CASES_FILE):
        if not (place / name).is_file():
            raise FileNotFoundError(f"{place} contains no finished evaluation: {name} is missing")
    try:
        content = json.loads((place / SUMMARY_FILE).read_text(encoding="utf-8"))
        run, scans = content.pop("run"), content.pop("scans", {})
        scores = tuple(_score_from_row(row) for row in read_records(place / CASES_FILE))
        return Evaluation(place, scores, Summary.from_dict(content), run, scans)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{place} is not a readable evaluation: {error}") from error


def summary_markdown(
    summary: Summary,
    scores: Sequence[CaseScores],
    *,
    run: Mapping[str, Any],
    scans: Mapping[str, Any] | None = None,
    more: Sequence[str] = (),
) -> str:
    """The summary as Markdown: scores with intervals, counts, the worst cases, scans if any, further lines, the facts of the run."""
    overall = {ALL: summary.overall} if len(summary.per_class) > 1 else {}
    parts = {**overall, **summary.per_class}
    lines = [f"# Evaluation of {summary.n_cases} cases", "", *failed_lines(summary, run)]
    unit, columns = summary.distance_unit, parts.values()
    rows: list[list[object]] = [[metric_label(m, unit), *(c.scores[m] for c in columns)] for m in measured(summary)]
    rows += [
        [f"median {metric_label(m, unit)}", *(c.medians[m] for c in columns)]
        for m in MEDIANS_SHOWN
        if m in summary.overall.medians
    ]
    rows += [[f"{kind} lesions", *(c.lesions[kind] for c in columns)] for kind in summary.overall.lesions]
    rows += [[outcome, *(c.outcomes[outcome] for c in columns)] for outcome in OUTCOMES]
    lines += markdown_table(["", *parts], rows)
    resampling = f"studentised bootstrap, {summary.n_bootstrap} resamples, seed {summary.seed}"
    few = f" Fewer than {LEAST_CASES} cases have no interval." if summary.n_cases < LEAST_CASES else ""
    note = measures_note(run)
    lines += [
        "",
        f"Mean (95 % interval over cases: {resampling}); median (95 % interval: order statistics).{few}{f' {note}' if note else ''}",
    ]
    lines += ["", "## Lowest Dice", ""]
    worst = sorted(scores, key=lambda score: (score.dice, score.case))[:WORST_CASES]
    rows = [[s.case, s.class_name, f"{s.dice:.3f}", f"{s.hd95:.1f}", s.outcome] for s in worst]
    lines += markdown_table(["case", "class", "Dice", f"HD95 ({unit})", "outcome"], rows)
    lines += _scan_lines(scans) if scans else []
    lines += [*more, "", "## Run", ""]
    facts = {name: value for name, value in run.items() if name not in LONG_FACTS}
    lines += markdown_table(["fact", "value"], facts_as_text(facts))
    return "\n".join(lines) + "\n"


def failed_lines(summary: Summary, run: Mapping[str, Any]) -> list[str]:
    """A paragraph on the cases that could not be used; nothing if there are none, or if the evaluation is older than their count."""
    failed = run.get("failed")
    if not isinstance(failed, int) or failed < 1:
        return []
    return [
        f"{failed} of {summary.n_cases + failed} cases could not be used, and are in no number here: see {FAILURES_FILE}.",
        "",
    ]


def _scan_lines(scans: Mapping[str, Any]) -> list[str]:
    """The section on whole scans."""
    parts = {ALL: scans["overall"], **scans["per_class"]} if len(scans["per_class"]) > 1 else scans["per_class"]
    rows = [
        [label, *(f"{part[key]:.4f}" if isinstance(part[key], float) else part[key] for part in parts.values())]
        for key, label in SCAN_LABELS.items()
    ]
    return ["", f"## {scans['n_scans']} scans", "", *markdown_table(["", *parts], rows)]


def measures_note(run: Mapping[str, Any]) -> str:
    """What the measures' options were, in a sentence; empty for an evaluation that is older than they."""
    options = run.get("measures")
    if not isinstance(options, Mapping):
        return ""
    tolerance, width = options.get("tolerance"), options.get("boundary_width")
    unit = "mm" if dict(run.get("data") or {}).get("spatial_dims") == 3 else "px"
    default = f"{VOLUME_TOLERANCE_MM:g} mm" if unit == "mm" else f"{100 * IMAGE_TOLERANCE:g} % of the image's diagonal"
    near = default if tolerance is None else f"{tolerance:g} {unit}"
    band = f"{100 * BOUNDARY_SHARE:g} % of the diagonal" if width is None else f"{width:g} {unit}"
    least = options.get("lesion_iou", 0.5)
    found = f"with an IoU above {least:g}" if least else "that overlap"
    return (
        f"Surface Dice: the share of both outlines within {near} of the other. Boundary IoU: of bands {band} wide. "
        f"Lesions are connected parts; pairs {found} match, one to one."
    )


def measured(summary: Summary) -> list[str]:
    """The metrics to show: those that may be left out only if they were measured."""
    scores = summary.overall.scores
    return [name for name in METRICS if name not in MAY_BE_UNMEASURED or not math.isnan(scores[name].mean)]


def _score_from_row(row: Mapping[str, str]) -> CaseScores:
    """One row of ``cases.csv``; a metric that is younger than the file, or whose cell is empty, is NaN."""
    convert: dict[str, Callable[[str], Any]] = {"float": lambda text: float(text or "nan"), "int": int}
    row = {**{name: "" for name in METRICS if name != "dice"}, **row}
    return CaseScores(
        **{c.name: convert.get(str(c.type), str)(row[c.name]) for c in fields(CaseScores) if c.name in row}
    )


def metric_label(metric: str, unit: str) -> str:
    """A metric's name for people to read.

    >>> metric_label("hd95", "px")
    'HD95 (px)'
    """
    labels = {
        "dice": "Dice",
        "jaccard": "Jaccard",
        "thresholded_jaccard": "Jaccard, 0 below 0.65",
        "hd95": f"HD95 ({unit})",
        "mean_surface_distance": f"mean surface distance ({unit})",
        "boundary_iou": "Boundary IoU",
        "surface_dice": "surface Dice",
        "lesion_f1": "lesion F1",
        "size_difference": f"size difference ({'ml' if unit == 'mm' else unit})",
        "ece": "calibration error",
        "brier": "Brier score",
    }
    return labels.get(metric, metric.replace("_", " "))
