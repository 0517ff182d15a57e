"""A training repeated from Python."""

import json
from pathlib import Path

import pytest

import medseg_monai as mm
from medseg_monai.api.rerun import RepeatedTraining
from medseg_monai.api.training import Training


@pytest.fixture(scope="module")
def found(training: Training, tmp_path_factory: pytest.TempPathFactory) -> RepeatedTraining:
    return mm.rerun(training.folder, out=tmp_path_factory.mktemp("again") / "w")


def test_the_weights_are_equal_to_the_bit(found: RepeatedTraining, training: Training) -> None:
    assert found.equal
    assert found.comparison.changes == ()
    assert found.training.scores == training.scores
    assert found.first == training.folder


def test_it_draws_saves_and_shows_itself(found: RepeatedTraining, training: Training, tmp_path: Path) -> None:
    first, repeated = found.plot().axes[0].lines
    assert list(first.get_ydata()) == list(repeated.get_ydata()) == [epoch["loss"] for epoch in training.history]
    assert json.loads(found.save(tmp_path / "r.json").read_text())["equal"] is True
    assert "Equal to the bit" in found._repr_html_()


def test_only_finished_trainings_are_repeated(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        mm.rerun("nowhere")
    with pytest.raises((FileNotFoundError, ValueError)):
        mm.rerun(tmp_path)
