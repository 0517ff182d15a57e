"""What is known of a training: history, scores, curves, and what comes next."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from medseg_monai.api.datasets import ImageDataset
from medseg_monai.api.training import Training
from medseg_monai.bundle.trained import Trained


def test_history_and_scores_are_those_of_the_files(training: Training) -> None:
    with (training.folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [epoch["loss"] for epoch in training.history] == [float(row["loss"]) for row in rows]
    assert [epoch["epoch"] for epoch in training.history] == [1, 2]
    best = next(epoch for epoch in training.history if epoch["epoch"] == training.best_epoch)
    assert training.scores["mean_dice"] == pytest.approx(best["mean_dice"])
    assert (training.epochs, training.finished, training.weights.is_file()) == (2, True, True)


def test_it_is_read_again_from_its_folder(training: Training) -> None:
    again = Training.read(training.folder)
    assert (again.bundle.name, again.scores, again.folds) == ("unet", training.scores, None)


def test_curves_are_drawn_and_files_saved(training: Training, tmp_path: Path) -> None:
    loss, score = training.plot().axes
    assert (loss.get_ylabel(), len(loss.lines)) == ("loss", 1)
    assert {line.get_label() for line in score.lines} >= {"mean_dice", "mean_iou"}
    assert training.save(tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert training.save(tmp_path / "h.csv").read_text() == (training.folder / "history.csv").read_text()
    with pytest.raises(ValueError, match=r"x\.txt: it can be saved as \.csv, .*\.png"):
        training.save(tmp_path / "x.txt")


def test_its_weights_predict_and_are_evaluated(training: Training, data: ImageDataset) -> None:
    case = data.test[0]
    assert training.predictor(device="cpu")(case.image_files[0]).mask.shape == case.mask.shape
    found = training.evaluate(split="validation")
    assert found.summary.n_cases == len(data.validation)
    assert found.weights == training.weights


def test_a_notebook_shows_scores_and_curves(training: Training) -> None:
    page = training._repr_html_()
    assert "unet trained on demo" in page
    assert "data:image/png" in page
    assert "mean_dice" in page


def test_doubts_and_what_was_stopped(training: Training, tmp_path: Path) -> None:
    trained = Trained.read(training.folder)
    for best, words in ((2, "more epochs may improve"), (0, "no epoch was better"), (1, None)):
        replace(trained, training={**trained.training, "best_epoch": best}).write(tmp_path)
        doubts = Training(tmp_path, training.bundle).doubts
        assert [words in doubt for doubt in doubts if words] == ([True] if words else [])
    for dice, words in (
        (0.0, "the validation Dice is 0, nothing is where"),
        (1.0, "whether the validation masks are empty"),
    ):
        replace(trained, training={**trained.training, "best_epoch": 2, "validation": {"mean_dice": dice}}).write(
            tmp_path
        )
        (doubt,) = Training(tmp_path, training.bundle).doubts
        assert words in doubt
    stopped = replace(training, folds=3, folds_left=(2, 3))
    assert not stopped.finished
    assert "folds 2, 3 are left: the same call with resume=True continues" in stopped._repr_html_()
    with pytest.raises(ValueError, match="no history"):
        Training(tmp_path / "nothing", training.bundle).plot()
