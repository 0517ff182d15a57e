"""What comes of all folds together: one set of weights that averages their networks, and one table of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from medseg_monai.bundle.trained import WEIGHTS_FILE, Trained, load_weights, write_weights
from medseg_monai.evaluation.metrics import METRICS
from medseg_monai.evaluation.summary import Estimate, Summary, summarise
from medseg_monai.evaluation.tables import Evaluation, read_evaluation, write_evaluation
from medseg_monai.files.csv_tables import csv_text
from medseg_monai.files.markdown import markdown_table
from medseg_monai.files.writing import write_whole
from medseg_monai.inference.averaging import NetworkEnsemble, check_alike

OUT_OF_FOLD = "out_of_fold"
FOLDS_TABLE, FOLDS_SUMMARY = "folds.csv", "folds.md"
SHOWN = ("dice", "jaccard", "hd95")
"""Metrics in the table for people."""


def combine(folder: Path, folds: Sequence[Path], *, evaluation: str) -> Summary:
    """Write the ensemble's weights into `folder`, and the scores of all cases into its ``out_of_fold``; return their summary.

    Args:
        folder: where to.
        folds: of each the folder of its training.
        evaluation: name of the folder in each that has its scores.

    Raises:
        FileNotFoundError: a fold is not finished.
        ValueError: the folds' networks are not of one kind, or a case is in two folds.
    """
    evaluations = [read_evaluation(place / evaluation) for place in folds]
    scores = [score for each in evaluations for score in each.scores]
    summary = summarise(scores, distance_unit=evaluations[0].summary.distance_unit)
    write_ensemble(folder, folds, facts={name: summary.overall.scores[name].mean for name in ("dice",)})
    run = {**_common(evaluations), "weights": str(folder), "split": "out of fold", "folds": len(folds)}
    out = write_evaluation(folder / OUT_OF_FOLD, scores, summary, run=run)
    write_whole(out / FOLDS_TABLE, _by_case(evaluations))
    write_whole(out / FOLDS_SUMMARY, folds_markdown(evaluations, summary))
    return summary


def write_ensemble(folder: Path, folds: Sequence[Path], *, facts: dict[str, float]) -> Trained:
    """One ``model.pt`` that holds the networks of all folds, with its ``spec.json``; return what that says.

    Args:
        folder: where to; weights of an earlier ensemble are replaced.
        folds: folders with weights.
        facts: validation scores to note.

    Raises:
        ValueError: the networks differ in more than their weights.
    """
    members = [Trained.read(place) for place in folds]
    first = members[0]
    for member, place in zip(members[1:], folds[1:], strict=True):
        check_alike(first.dataset, member.dataset, place)
        if dict(member.architecture) != dict(first.architecture):
            raise ValueError(f"{place} has another network than {folds[0]}: train the folds with one plan")
    state: dict[str, Tensor] = {}
    for number, (member, place) in enumerate(zip(members, folds, strict=True)):
        network = load_weights(member.build_network(), place / WEIGHTS_FILE)
        state |= {f"members.{number}.{name}": tensor for name, tensor in network.state_dict().items()}
    training: dict[str, Any] = {
        **{key: first.training[key] for key in ("seed", "precision", "versions") if key in first.training},
        "folds": len(folds),
        "out_of_fold": facts,
        "train_seconds": round(sum(float(member.training.get("train_seconds", 0)) for member in members), 1),
        "parameters": sum(int(member.training.get("parameters", 0)) for member in members),
    }
    trained = Trained(first.dataset, NetworkEnsemble.described(first, len(folds)), first.bundle, training)
    write_weights(folder, state, trained)
    return trained


def _common(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """The facts that are the same in all evaluations."""
    first = evaluations[0].run
    return {key: value for key, value in first.items() if all(each.run.get(key) == value for each in evaluations)}


def _by_case(evaluations: Sequence[Evaluation]) -> str:
    rows = [
        [fold, score.case, score.class_name, *(getattr(score, name) for name in METRICS), score.outcome]
        for fold, each in enumerate(evaluations, 1)
        for score in each.scores
    ]
    return csv_text([["fold", "case", "class", *METRICS, "outcome"], *rows])


def folds_markdown(evaluations: Sequence[Evaluation], summary: Summary) -> str:
    """A table for people: each fold, and all cases, with 95 % intervals over cases."""
    unit = summary.distance_unit
    titles = ["fold", "cases", *(f"{name} ({unit})" if name == "hd95" else name for name in SHOWN)]
    rows = [
        [str(number), str(each.summary.n_cases), *_cells(each.summary.overall.scores)]
        for number, each in enumerate(evaluations, 1)
    ]
    rows.append(["all", str(summary.n_cases), *_cells(summary.overall.scores)])
    note = f"Mean over cases, each scored by the network that has not seen it (95 % intervals, {summary.n_bootstrap} resamples)."
    return "\n".join(["# Out-of-fold scores", note, "", *markdown_table(titles, rows), ""])


def _cells(scores: Mapping[str, Estimate]) -> list[str]:
    return [str(scores[name]) for name in SHOWN]
