"""One self-contained HTML file of an evaluation, to read, to send, to print."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medseg_monai.evaluation.confusion import NOTHING, read_overlap
from medseg_monai.evaluation.intervals import LEAST_CASES
from medseg_monai.evaluation.metrics import (
    CALIBRATION_METRICS,
    DISTANCE_METRICS,
    LESION_METRICS,
    OUTCOMES,
    OUTLINE_METRICS,
    OVERLAP_METRICS,
    SIZE_METRICS,
    CaseScores,
)
from medseg_monai.evaluation.reliability import CALIBRATION_PICTURE, read_calibration
from medseg_monai.evaluation.summary import UNKNOWN, ClassSummary, Estimate, Summary
from medseg_monai.evaluation.tables import (
    MEDIANS_SHOWN,
    SCAN_LABELS,
    Evaluation,
    measured,
    measures_note,
    metric_label,
    read_evaluation,
)
from medseg_monai.evaluation.trust import TRUST_PICTURE, read_trust
from medseg_monai.figures import drawing
from medseg_monai.figures.cases import hexadecimal
from medseg_monai.program.messages import facts_as_text
from medseg_monai.report.case_pictures import PICTURES_FOLDER, read_case_pictures
from medseg_monai.report.histogram import Histogram, histogram
from medseg_monai.report.page import data_uri, left_out, link_to, page_facts, write_page
from medseg_monai.report.strata import agreement_content, strata_content

REPORT_FILE = "report.html"
CASE_METRICS = (
    *("dice", "jaccard", "hd95", "mean_surface_distance", "sensitivity", "boundary_iou", "surface_dice", "lesion_f1"),
    *("relative_size_difference", "ece"),
)
HEADLINE_METRICS = ("dice", "jaccard", "thresholded_jaccard", "hd95", "surface_dice")
METRIC_GROUPS = {
    "Overlap": OVERLAP_METRICS,
    "Outline": OUTLINE_METRICS + DISTANCE_METRICS,
    "Lesions (connected parts)": LESION_METRICS,
    "Size": SIZE_METRICS,
    "Calibration": CALIBRATION_METRICS,
}
MOST_CHARTS = 16
HEAT_STEPS = (0.05, 0.15, 0.35, 0.6, 0.8)
# facts of a run that have their own place on the page
PLACED_FACTS = (
    *("bundle", "dataset", "split", "data", "versions", "architecture", "training", "model_card", "images"),
    *("parameters", "train_seconds"),
)


def write_evaluation_report(folder: str | Path) -> Path:
    """Write ``report.html`` beside the files of ``medseg evaluate``, from these alone, and return its path.

    Pictures of cases are shown if the evaluation kept them (``--report``).

    Raises:
        FileNotFoundError: the folder contains no finished evaluation.
        ValueError: its files are invalid, or the page would exceed 20 MB.
    """
    evaluation = read_evaluation(folder)
    run, data = evaluation.run, dict(evaluation.run.get("data") or {})
    groups = _picture_groups(evaluation)
    anchors = {case["id"]: case["number"] for _, cases in groups for case in cases}
    strata, agreement = strata_content(evaluation.folder), agreement_content(evaluation.folder)
    sections = [("Scores", "scores")]
    sections += [("Strata", "strata")] if strata else []
    sections += [("Annotators", "annotators")] if agreement else []
    sections += [("Distributions", "distributions"), ("Cases to look at", "cases")]
    return write_page(
        evaluation.folder / REPORT_FILE,
        "evaluation.html",
        title=f"Evaluation of {run.get('bundle') or 'a network'} on {run.get('dataset') or 'a data set'}",
        subtitle=_subtitle(evaluation),
        sections=[*sections, ("All cases", "all"), ("Run", "run")],
        **page_facts(),
        **_score_content(evaluation),
        overlap=_overlap_content(evaluation.folder),
        scans=_scan_content(evaluation.scans),
        charts=_charts(evaluation),
        calibration=_calibration_content(evaluation.folder),
        trust=_trust_content(evaluation.folder),
        strata=strata,
        agreement=agreement,
        groups=groups,
        key=_colour_key([str(name) for name in evaluation.summary.per_class]),
        left_out=left_out(evaluation.folder),
        classes=list(evaluation.summary.per_class),
        outcomes=OUTCOMES,
        case_columns=_case_columns(evaluation.summary.distance_unit),
        case_rows=[_case_row(score, anchors) for score in sorted(evaluation.scores, key=lambda s: (s.dice, s.case))],
        run=facts_as_text({name: value for name, value in run.items() if name not in PLACED_FACTS}),
        data=facts_as_text({"name": run.get("dataset", ""), "split": run.get("split", ""), **data}),
        model=facts_as_text(_model_facts(run)),
        model_card=link_to(run.get("model_card"), evaluation.folder),
        versions=facts_as_text(_flat(run, "versions")),
    )


def _subtitle(evaluation: Evaluation) -> str:
    """How many cases of which split."""
    count, split = evaluation.summary.n_cases, evaluation.run.get("split", "")
    return f"{count} {split} {'case' if count == 1 else 'cases'}, each scored at its own resolution"


def _score_content(evaluation: Evaluation) -> dict[str, Any]:
    """The headline tiles and the table by class."""
    summary = evaluation.summary
    unit, overall = summary.distance_unit, summary.overall
    tiles = [_tile(metric_label(name, unit), overall.scores[name]) for name in HEADLINE_METRICS]
    for outcome in ("missed", "spurious"):
        count = overall.outcomes[outcome]
        of = f"of {len(evaluation.scores)} structures"
        tiles.append({"name": outcome, "number": str(count), "range": of, "bad": count > 0})
    columns = {**({"all classes": overall} if len(summary.per_class) > 1 else {}), **summary.per_class}
    return {
        "tiles": tiles,
        "n_bootstrap": summary.n_bootstrap,
        "least_cases": LEAST_CASES,
        "class_names": list(columns),
        "score_groups": _score_groups(summary, list(columns.values())),
        "measures_note": measures_note(evaluation.run),
    }


def _tile(name: str, estimate: Estimate) -> dict[str, Any]:
    mean, interval = _estimate(estimate)
    return {"name": name, "number": mean, "range": interval, "bad": False}


def _score_groups(summary: Summary, columns: Sequence[ClassSummary]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Rows of the table of scores by group: a metric's name, and its mean and interval in each column; counts have no interval."""
    shown = set(measured(summary))
    groups: list[tuple[str, list[dict[str, Any]]]] = []
    for title, metrics in METRIC_GROUPS.items():
        rows = [
            {
                "name": metric_label(metric, summary.distance_unit),
                "cells": [_estimate(c.scores[metric]) for c in columns],
            }
            for metric in metrics
            if metric in shown
        ]
        if metrics is LESION_METRICS and summary.overall.lesions:
            rows += [
                {"name": f"{kind} lesions", "cells": [(str(c.lesions[kind]), "") for c in columns]}
                for kind in summary.overall.lesions
            ]
        groups += [(title, rows)] if rows else []
    medians = [
        {
            "name": metric_label(metric, summary.distance_unit),
            "cells": [_estimate(c.medians[metric]) for c in columns],
        }
        for metric in MEDIANS_SHOWN
        if metric in summary.overall.medians
    ]
    groups += [("Medians", medians)] if medians else []
    counts = [{"name": outcome, "cells": [(str(c.outcomes[outcome]), "") for c in columns]} for outcome in OUTCOMES]
    return [*groups, ("Structures", counts)]


def _estimate(estimate: Estimate) -> tuple[str, str]:
    """``0.812`` and ``0.790–0.833``."""
    mean, _, interval = str(estimate).partition(" ")
    interval = interval.strip("()")
    return mean, interval if "-" in interval else interval.replace(" to ", "–")  # a dash beside a minus is hard to read


def _overlap_content(folder: Path) -> dict[str, Any] | None:
    """The table of confused classes, with a colour level per cell; None if there is only one class."""
    overlap = read_overlap(folder)
    if overlap is None:
        return None
    rows = []
    for name, shares in zip([*overlap.classes, f"{NOTHING} (spurious)"], overlap.shares.tolist(), strict=True):
        cells = [
            {"text": "–", "level": 0}
            if np.isnan(share)
            else {"text": f"{share:.2f}", "level": sum(share >= step for step in HEAT_STEPS)}
            for share in shares
        ]
        rows.append((name, cells))
    return {"columns": [*overlap.classes, f"{NOTHING} (missed)"], "rows": rows}


def _scan_content(scans: Mapping[str, Any]) -> dict[str, Any] | None:
    """The table of whole scans; None if cases are not slices."""
    if not scans:
        return None
    several = {"all": scans["overall"]} if len(scans["per_class"]) > 1 else {}
    parts = {**several, **scans["per_class"]}
    rows = [
        (label, [f"{part[key]:.4f}" if isinstance(part[key], float) else part[key] for part in parts.values()])
        for key, label in SCAN_LABELS.items()
    ]
    return {"count": scans["n_scans"], "columns": list(parts), "rows": rows}


def _calibration_content(folder: Path) -> dict[str, Any] | None:
    """The plot and a sentence; None if calibration was not measured."""
    found = read_calibration(folder)
    if found is None or not (folder / CALIBRATION_PICTURE).is_file():
        return None
    error, brier = (
        ", ".join(
            f"{np.mean([one[key] for one in found[when].values()]):.4f} {when}"
            for when in ("before", "after")
            if when in found
        )
        for key in ("ece", "brier")
    )
    calibrated = "" if "after" in found else " No temperature is known for these weights: medseg review learns it."
    text = f"Mean over classes: calibration error {error}; Brier score {brier}.{calibrated}"
    return {"picture": data_uri(folder / CALIBRATION_PICTURE), "text": text}


def _trust_content(folder: Path) -> dict[str, str] | None:
    """The risk-coverage curve and what it says, or None if nothing was said of the masks."""
    found = read_trust(folder)
    return None if found is None else {"picture": data_uri(folder / TRUST_PICTURE), "text": f"Here: {found}."}


def _charts(evaluation: Evaluation) -> list[Histogram]:
    """Dice and HD95 of each class; distances only of structures that are in both masks."""
    unit, charts = evaluation.summary.distance_unit, []
    for name in list(evaluation.summary.per_class)[: MOST_CHARTS // 2]:
        scores = [score for score in evaluation.scores if score.class_name == name]
        charts.append(histogram([s.dice for s in scores], title=f"{name}: Dice", label="Dice", most=1.0))
        if found := [s.hd95 for s in scores if s.outcome == "ok"]:
            charts.append(histogram(found, title=f"{name}: HD95", label=metric_label("hd95", unit)))
    return charts


def _picture_groups(evaluation: Evaluation) -> list[tuple[str, list[dict[str, Any]]]]:
    """The chosen cases with their pictures and scores, by group, in the order of choice."""
    groups: dict[str, list[dict[str, Any]]] = {}
    place = evaluation.folder / PICTURES_FOLDER
    for number, entry in enumerate(read_case_pictures(evaluation.folder), start=1):
        pictures = {kind: data_uri(place / getattr(entry, kind)) for kind in ("image", "outlines", "errors")}
        text = _scores_text([score for score in evaluation.scores if score.case == entry.case])
        groups.setdefault(entry.group, []).append({"number": number, "id": entry.case, "text": text, **pictures})
    return [(name[:1].upper() + name[1:], cases) for name, cases in groups.items()]


def _scores_text(scores: Sequence[CaseScores]) -> str:
    """``Dice 0.91``, or for several classes ``stomach 0.91, large bowel missed``."""
    words = [s.outcome if s.outcome in ("missed", "spurious") else f"{s.dice:.2f}" for s in scores]
    if len(scores) == 1:
        return words[0] if words[0].isalpha() else f"Dice {words[0]}"
    shown = [f"{s.class_name} {word}" for s, word in zip(scores, words, strict=True) if s.outcome != "absent"]
    return "Dice: " + ", ".join(shown) if shown else "no class in truth or prediction"


def _colour_key(classes: Sequence[str]) -> list[tuple[str, str]]:
    """The legend of the pictures: names and colours."""
    predicted = [f"{name} (predicted)" for name in classes]
    colours = [*zip(predicted, drawing.class_colours(len(classes)), strict=True)]
    colours += [("truth", drawing.TRUTH_COLOUR), ("found", drawing.RIGHT_COLOUR)]
    colours += [("missed", drawing.MISSED_COLOUR), ("spurious", drawing.SPURIOUS_COLOUR)]
    return [(name, hexadecimal(colour)) for name, colour in colours]


def _case_columns(unit: str) -> list[str]:
    """Headings of the table of cases."""
    pixels = "voxels" if unit == "mm" else "pixels"
    metrics = [metric_label(name, unit) for name in CASE_METRICS]
    return ["case", "class", "outcome", *metrics, f"true {pixels}", f"predicted {pixels}"]


def _case_row(score: CaseScores, anchors: Mapping[str, int]) -> dict[str, Any]:
    digits = {"hd95": 1, "mean_surface_distance": 2, "ece": 4}
    values = [(name, float(getattr(score, name))) for name in CASE_METRICS]
    numbers = [UNKNOWN if math.isnan(value) else f"{value:.{digits.get(name, 3)}f}" for name, value in values]
    return {
        "case": score.case,
        "class_name": score.class_name,
        "outcome": score.outcome,
        "numbers": [*numbers, score.truth_pixels, score.predicted_pixels],
        "number": anchors.get(score.case),
    }


def _model_facts(run: Mapping[str, Any]) -> dict[str, Any]:
    """The network and how it was trained."""
    architecture, training = _flat(run, "architecture"), _flat(run, "training")
    costs = {name: run.get(name) for name in ("parameters", "train_seconds")}
    facts = {
        "bundle": run.get("bundle"),
        "network": architecture.pop("_target_", None),
        **architecture,
        **costs,
        **training,
    }
    return {**facts, "trained with": facts.pop("versions", None)}


def _flat(run: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The facts under a name; empty if there are none."""
    value = run.get(name)
    return dict(value) if isinstance(value, Mapping) else {}
