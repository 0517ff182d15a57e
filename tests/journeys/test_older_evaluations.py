"""Evaluations outlive the metrics that come after them, and those of a later version are read too."""

import json
from pathlib import Path

import pytest

from medseg_monai.evaluation.compare import compare, write_comparison
from medseg_monai.evaluation.metrics import CaseScores
from medseg_monai.evaluation.summary import summarise
from medseg_monai.evaluation.tables import read_evaluation, summary_markdown, write_evaluation
from medseg_monai.files.csv_tables import csv_text, read_records
from medseg_monai.report.evaluation import write_evaluation_report

YOUNGER = ("sensitivity", "specificity")


def evaluation(folder: Path, dice: float) -> Path:
    scores = [
        CaseScores(name, "lesion", dice=dice, jaccard=0.5, hd95=2.0, mean_surface_distance=1.0, sensitivity=0.8,
                   specificity=0.9, truth_pixels=9, predicted_pixels=8, outcome="ok")
        for name in ("a", "b", "c")
    ]  # fmt: skip
    run = {"bundle": folder.name, "split": "test", "dataset": "d", "data": {}, "training": {}}
    return write_evaluation(folder, scores, summarise(scores, n_bootstrap=50), run=run)


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """As a version wrote it that measured neither sensitivity nor specificity."""
    folder = evaluation(tmp_path / "older", 0.7)
    rows = [
        {key: value for key, value in row.items() if key not in YOUNGER} for row in read_records(folder / "cases.csv")
    ]
    (folder / "cases.csv").write_text(csv_text([rows[0].keys(), *(row.values() for row in rows)]))
    content = json.loads((folder / "summary.json").read_text())
    for part in (content["overall"], *content["per_class"].values()):
        for name in YOUNGER:
            del part["scores"][name]
    (folder / "summary.json").write_text(json.dumps(content))
    return folder


def test_an_older_evaluation_is_read_and_shows_a_dash_for_what_it_did_not_measure(older: Path) -> None:
    read = read_evaluation(older)
    assert [score.dice for score in read.scores] == [0.7] * 3
    assert str(read.summary.overall.scores["specificity"]) == "–"
    assert "| specificity | – |" in summary_markdown(read.summary, read.scores, run={})
    assert write_evaluation_report(older).is_file()


def test_it_is_compared_by_what_both_have_measured(older: Path, tmp_path: Path) -> None:
    newer = evaluation(tmp_path / "newer", 0.8)
    comparison = compare([older, newer])
    assert [entry.name for entry in comparison.entries] == ["newer", "older"]
    assert all(file.is_file() for file in write_comparison(tmp_path / "out", comparison))
    with pytest.raises(
        ValueError, match="older did not measure specificity, or is from a version that did not: evaluate again"
    ):
        compare([older, newer], metric="specificity")


def test_an_evaluation_of_a_later_version_is_read(tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "later", 0.7)
    content = json.loads((folder / "summary.json").read_text())
    content["new"] = 1
    content["overall"]["scores"]["new_metric"] = content["overall"]["scores"]["dice"]
    (folder / "summary.json").write_text(json.dumps(content))
    assert read_evaluation(folder).summary.n_cases == 3
