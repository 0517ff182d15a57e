"""Evaluations of the same cases side by side, given as results or as folders."""

from pathlib import Path

import pytest
from evaluations import scores_of

import medseg_monai as mm
from medseg_monai.api.evaluate import Evaluation
from medseg_monai.evaluation.summary import summarise
from medseg_monai.evaluation.tables import write_evaluation


def evaluation(folder: Path, name: str, dices: list[float]) -> Path:
    scores = [scores_of(f"c{number}", dice=dice) for number, dice in enumerate(dices)]
    return write_evaluation(folder / name, scores, summarise(scores), run={"bundle": f"<i>{name}", "parameters": 1000})


def test_results_and_folders_are_compared(tmp_path: Path) -> None:
    worse = evaluation(tmp_path, "worse", [0.2, 0.3, 0.4, 0.5, 0.6])
    better = evaluation(tmp_path, "better", [0.6, 0.7, 0.8, 0.9, 1.0])
    found = mm.compare([worse, Evaluation.read(better)])
    assert found.best == "<i>better"
    assert [row["dice"] for row in found.rows] == pytest.approx([0.8, 0.4])
    assert found.rows[0]["parameters"] == 1000
    assert found.files == ()
    assert [label.get_text() for label in found.plot().axes[0].get_yticklabels()] == ["<i>better", "<i>worse"]
    page = found._repr_html_()
    assert "2 networks on the same 5 cases" in page
    assert "&lt;i&gt;better" in page
    assert "<i>" not in page
    assert "0.400" in page, "the difference"
    assert {file.name for file in found.save(tmp_path / "out")} >= {"comparison.md", "comparison.png"}
    assert (tmp_path / "out" / "comparison.md").read_text() == found.markdown


def test_files_are_written_where_they_are_wanted(tmp_path: Path) -> None:
    folders = [evaluation(tmp_path, name, [0.5, 0.25, dice]) for name, dice in (("a", 0.5), ("b", 0.75))]
    found = mm.compare(folders, out=tmp_path / "out")
    assert all(file.is_file() for file in found.files)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        mm.compare([*folders, "nowhere"])
