"""Scores as objects: means, rows, the worst cases, plots; a broken image is reported and the others are scored."""

import shutil
from pathlib import Path

import pytest
from evaluations import write_made_up
from PIL import Image

import medseg_monai as mm
from medseg_monai.api.datasets import ImageDataset
from medseg_monai.api.evaluate import Evaluation
from medseg_monai.api.training import Training
from medseg_monai.figures import plots


@pytest.fixture(scope="module")
def found(training: Training, data: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Of a data set with one image that is broken."""
    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(data.folder, folder, dirs_exist_ok=True)
    broken = mm.load_dataset(folder)["training"][0]
    with Image.open(broken.image_files[0]) as picture:
        size = picture.size
    broken.image_files[0].write_bytes(b"x")
    assert size == (96, 80)
    return mm.evaluate("unet", folder, weights=training.folder, split="training", out=folder / "<i>scores", report=True)


def test_failures_are_returned_and_the_others_scored(found: Evaluation, data: ImageDataset) -> None:
    assert [Path(failure.path).stem for failure in found.failures] == [data.training[0].id]
    assert found.summary.n_cases == len(data.training) - 1
    assert found.split == "training"


def test_rows_are_those_of_the_table(found: Evaluation) -> None:
    assert len(found.rows) == found.summary.n_cases
    dices = [row["dice"] for row in found.rows]
    assert found.mean() == pytest.approx(sum(dices) / len(dices))
    assert [score.dice for score in found.worst(3)] == sorted(dices)[:3]
    with pytest.raises(ValueError, match="unknown metric 'dise'.*did you mean 'dice'"):
        found.mean("dise")


def test_it_draws_and_saves_itself(found: Evaluation, tmp_path: Path) -> None:
    assert "Dice" in found.plot().axes[0].get_xlabel()
    assert found.save(tmp_path / "scores.csv").read_bytes() == (found.folder / "cases.csv").read_bytes()
    assert found.save(tmp_path / "page.html").read_bytes() == (found.page or Path()).read_bytes()
    assert found.save(tmp_path / "plot.pdf").read_bytes().startswith(b"%PDF")


def test_a_notebook_shows_scores_worst_cases_and_failures(found: Evaluation) -> None:
    page = found._repr_html_()
    assert "Evaluation of unet on demo" in page
    assert found.worst(1)[0].case in page
    assert f"could not be used: {Path(found.failures[0].path).name}" in page
    assert "&lt;i&gt;scores" in page
    assert "<i>" not in page


def test_an_evaluation_of_earlier_is_read(found: Evaluation) -> None:
    again = Evaluation.read(found.folder)
    assert (again.rows, again.split) == (found.rows, "training")
    with pytest.raises(FileNotFoundError, match="no finished evaluation"):
        Evaluation.read(found.folder / "nosuch")


def test_several_classes_have_a_row_for_all_and_failures_their_own_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Evaluation.read(write_made_up(tmp_path, cases=12, pictures=False))
    assert found.markdown == (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert len(found.worst()) == 5
    assert ">all<" in found._repr_html_()
    marked: list[dict[str, list[bool]]] = []
    draw = plots.score_distribution
    monkeypatch.setattr(
        plots,
        "score_distribution",
        lambda scores, **options: marked.append(options["failed"]) or draw(scores, **options),
    )
    found.plot()
    for name, failed in marked[0].items():
        outcomes = found.summary.per_class[name].outcomes
        assert sum(failed) == outcomes["missed"] + outcomes["spurious"] > 0
