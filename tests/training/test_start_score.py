"""The start of a training is scored before the first step, and kept if no epoch is better."""

import csv
import json
import logging
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.networks.nets import BasicUNet
from scripted_evaluator import BATCHES, scripted_evaluator
from small_training import EPOCHS, small_training
from torch import nn

from medseg_monai.bundle.trained import Trained
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.training import recipe, stops
from medseg_monai.training.handlers import RecordEpochs
from medseg_monai.training.start import Start, find_start
from medseg_monai.training.start_score import ScoreStart


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The curves take longer to draw than these trainings."""
    monkeypatch.setattr(RecordEpochs, "_draw", lambda self, engine: None)
    monkeypatch.setattr(stops, "SECONDS_BETWEEN_LOOKS", 0.0)


@pytest.fixture
def source(tmp_path: Path) -> Start:
    torch.save({"weight": torch.full((1, 1), 2.0)}, tmp_path / "source.pt")
    return Start(tmp_path / "source.pt")


def train(folder: Path, start: Start, scores: list[float], *, patience: int = 0) -> list[float]:
    """Train one weight that starts at 2; what it was after each epoch.

    Args:
        folder: of the training.
        start: holds that weight.
        scores: of the start, then of each epoch.
        patience: as a config's.
    """
    network = start.put_into(nn.Linear(1, 1, bias=False))
    evaluator = scripted_evaluator(network, scores)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    chain = recipe.training_handlers(
        network=network, average=None, decay=0.0, evaluator=evaluator, clip_norm=0.0, val_interval=1, patience=patience,
        lr_scheduler=torch.optim.lr_scheduler.StepLR(optimizer, 1000), folder=folder, spec=demo_spec(), rank=0,
        architecture=partial(BasicUNet, spatial_dims=2), bundle="unet", facts={}, log=recipe.tensorboard(folder), start=start,
    )  # fmt: skip
    trainer = SupervisedTrainer(
        "cpu", len(scores) - 1, BATCHES, network, optimizer, nn.MSELoss(), train_handlers=[chain]
    )
    weights: list[float] = []
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: weights.append(float(network.weight.detach())))
    trainer.run()
    return weights


def saved(folder: Path) -> float:
    return float(torch.load(folder / "model.pt", weights_only=True)["weight"])


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as rows:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(rows)]


def test_a_start_better_than_any_epoch_is_kept_and_said(
    source: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        weights = train(tmp_path / "out", source, [0.8, 0.5, 0.75])
    assert 2.0 not in weights
    assert saved(tmp_path / "out") == 2.0
    facts = Trained.read(tmp_path / "out").training
    assert (facts["best_epoch"], facts["validation"], facts["epochs"]) == (0, {"mean_dice": 0.8}, 2)
    assert [(row["epoch"], row["mean_dice"]) for row in history(tmp_path / "out")] == [
        ("0", "0.8"), ("1", "0.5"), ("2", "0.75"),
    ]  # fmt: skip
    assert [bool(row["loss"]) for row in history(tmp_path / "out")] == [False, True, True]
    assert "No epoch was better than the start" in caplog.text
    assert "(mean_dice 0.8000; after the last epoch 0.7500)" in caplog.text


def test_a_better_epoch_takes_the_place_of_the_start(
    source: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights = train(tmp_path / "out", source, [0.5, 0.8, 0.75])
    assert saved(tmp_path / "out") == pytest.approx(weights[0])
    assert Trained.read(tmp_path / "out").training["best_epoch"] == 1
    assert "better than the start" not in caplog.text


def test_the_start_counts_for_early_stopping(source: Start, tmp_path: Path) -> None:
    assert len(train(tmp_path / "out", source, [0.9, 0.5, 0.6, 0.7, 0.8], patience=2)) == 2


def test_the_run_says_what_it_started_from(source: Start, tmp_path: Path) -> None:
    train(tmp_path / "out", source, [0.5, 0.8])
    start = json.loads((tmp_path / "out" / "run.json").read_text())["start"]
    kept = {"sha256": source.sha256, "kept": 1, "tensors": 1}
    assert start == {"file": str(source.file), **kept, "new": [], "architecture": None}
    assert Trained.read(tmp_path / "out").training["start"] == kept


@pytest.fixture
def earlier(tmp_path: Path) -> Start:
    """The best weights of a whole small training."""
    small_training(tmp_path / "earlier").run()
    (tmp_path / "earlier" / "spec.json").unlink()
    return Start(tmp_path / "earlier" / "model.pt")


def outcome(folder: Path) -> tuple[Any, ...]:
    weights = [torch.load(folder / name, weights_only=True) for name in ("model.pt", "last.pt")]
    tensors = [{name: value.tolist() for name, value in state.items()} for state in (weights[0], weights[1]["network"])]
    return (*tensors, history(folder))


def stop_at(event: Any) -> Callable[[SupervisedTrainer], None]:
    def ask(engine: Engine) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    return lambda trainer: trainer.add_event_handler(event, ask) and None


def stop_in_first_validation(trainer: SupervisedTrainer) -> None:
    evaluator: SupervisedEvaluator = scoring(trainer).evaluator

    def ask(engine: Engine) -> None:
        if engine.state.epoch == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    evaluator.add_event_handler(Events.ITERATION_STARTED, ask)


def scoring(trainer: SupervisedTrainer) -> ScoreStart:
    owners = [getattr(entry[0], "__self__", None) for entry in trainer._event_handlers[Events.STARTED]]
    return next(owner for owner in owners if isinstance(owner, ScoreStart))


@pytest.mark.parametrize(
    "stop",
    [
        stop_in_first_validation,
        stop_at(Events.ITERATION_STARTED(once=1)),
        stop_at(Events.ITERATION_STARTED(once=5)),
    ],
    ids=["while the start is scored", "first step", "second epoch"],
)
def test_a_stopped_run_goes_on_and_scores_its_start_once(
    stop: Callable[[SupervisedTrainer], None], earlier: Start, tmp_path: Path
) -> None:
    small_training(tmp_path / "whole", start=earlier).run()
    trainer = small_training(tmp_path / "out", start=earlier)
    stop(trainer)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    small_training(tmp_path / "out", start=earlier, resume=True).run()
    assert outcome(tmp_path / "out") == outcome(tmp_path / "whole")
    assert [row["epoch"] for row in history(tmp_path / "out")] == [str(epoch) for epoch in range(EPOCHS + 1)]


def test_a_finished_run_is_left_as_it_is(earlier: Start, tmp_path: Path) -> None:
    small_training(tmp_path / "out", start=earlier).run()
    before = (tmp_path / "out" / "history.csv").read_bytes()
    small_training(tmp_path / "out", start=earlier, resume=True).run()
    assert (tmp_path / "out" / "history.csv").read_bytes() == before


def test_other_starting_weights_are_refused(earlier: Start, tmp_path: Path) -> None:
    trainer = small_training(tmp_path / "out", start=earlier)
    stop_at(Events.ITERATION_STARTED(once=5))(trainer)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    state = torch.load(earlier.file, weights_only=True)
    torch.save({name: tensor + 1 for name, tensor in state.items()}, earlier.file)
    with pytest.raises(ValueError, match="which .* started from, has changed: restore it"):
        small_training(tmp_path / "out", start=Start(earlier.file), resume=True).run()


def test_a_run_goes_on_when_its_starting_weights_are_gone(earlier: Start, tmp_path: Path) -> None:
    """Its checkpoint has everything; a run that begins needs them."""
    small_training(tmp_path / "whole", start=earlier).run()
    trainer = small_training(tmp_path / "out", start=earlier)
    stop_at(Events.ITERATION_STARTED(once=5))(trainer)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    gone = earlier.file
    gone.unlink()
    for folder, resume in ((tmp_path / "out", False), (tmp_path / "out", None), (tmp_path / "whole", True)):
        with pytest.raises(FileNotFoundError, match="no weights"):
            find_start(gone, tmp_path, folder=folder, resume=resume)
    start = find_start(gone, tmp_path, folder=tmp_path / "out", resume="true")
    small_training(tmp_path / "out", start=start, resume=True).run()
    assert outcome(tmp_path / "out") == outcome(tmp_path / "whole")


def test_a_training_may_start_from_what_its_own_folder_holds(earlier: Start, tmp_path: Path) -> None:
    small_training(tmp_path / "whole", start=earlier).run()
    folder = earlier.file.parent
    trainer = small_training(folder, start=earlier)
    stop_at(Events.ITERATION_STARTED(once=5))(trainer)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert (folder / "previous" / "1" / "model.pt").is_file()
    small_training(folder, start=Start(earlier.file), resume=True).run()
    assert outcome(folder) == outcome(tmp_path / "whole")


def test_without_a_start_nothing_is_scored_before_the_first_step(tmp_path: Path) -> None:
    small_training(tmp_path).run()
    assert [row["epoch"] for row in history(tmp_path)] == [str(epoch) for epoch in range(1, EPOCHS + 1)]
    assert "start" not in json.loads((tmp_path / "run.json").read_text())
