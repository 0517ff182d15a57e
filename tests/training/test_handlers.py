"""Handlers on real MONAI engines that train a one-weight network: what is kept, what stops a run, what is written."""

import csv
import gc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.handlers import ValidationHandler
from scripted_evaluator import BATCHES, engines, saver, scripted_evaluator
from torch import nn

from medseg_monai.bundle.trained import Trained
from medseg_monai.figures.own_figure import OwnFigure
from medseg_monai.training.guards import StopOnNonFiniteLoss
from medseg_monai.training.handlers import (
    ClipGradients,
    RecordEpochs,
    StopEarly,
)


def test_a_nan_stops_the_run_before_it_reaches_the_weights(network: nn.Linear, tmp_path: Path) -> None:
    trainer, evaluator = engines(network, [0.5, 0.6, 0.7])
    saver(network, evaluator, tmp_path).attach(trainer)
    StopOnNonFiniteLoss().attach(trainer)
    trainer.add_event_handler(Events.EPOCH_STARTED(once=3), lambda engine: setattr(engine, "loss_function", _nan))
    with pytest.raises(
        FloatingPointError, match=r"the loss became nan in epoch 3, iteration 5 .lr 0.01.: training stopped"
    ):
        trainer.run()
    assert torch.isfinite(network.weight).all()
    assert Trained.read(tmp_path).training["best_epoch"] == 2


def _nan(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return (logits - label).sum() * float("nan")


def test_gradients_are_clipped_to_the_norm(network: nn.Linear) -> None:
    # loss (w - 3)² at w = 1 has the gradient -4: clipped to norm 1 and with lr 0.01 the first step is 0.01
    trainer, _ = engines(network, [0.5])
    ClipGradients(network, 1.0).attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=1), lambda engine: engine.terminate())
    trainer.run()
    assert float(network.weight.detach()) == pytest.approx(1.01, abs=1e-5)


@pytest.mark.parametrize(("patience", "epochs"), [(0, 6), (2, 4)])
def test_early_stopping_waits_for_its_patience(network: nn.Linear, patience: int, epochs: int) -> None:
    trainer, evaluator = engines(network, [0.5, 0.6, 0.6, 0.4, 0.9, 0.9])
    StopEarly(evaluator, patience).attach(trainer)
    trainer.run()
    assert trainer.state.epoch == epochs


def test_epochs_without_validation_do_not_count_for_patience(network: nn.Linear) -> None:
    evaluator = scripted_evaluator(network, [0.5, 0.4, 0.3])
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    trainer = SupervisedTrainer("cpu", 6, BATCHES, network, optimizer, nn.MSELoss(), decollate=False,
                                train_handlers=[ValidationHandler(2, evaluator), StopEarly(evaluator, 2)])  # fmt: skip
    trainer.run()
    assert trainer.state.epoch == 6


def test_history_and_curves(network: nn.Linear, tmp_path: Path) -> None:
    trainer, evaluator = engines(network, [0.5, 0.6])
    RecordEpochs(evaluator, tmp_path).attach(trainer)
    trainer.run()
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["mean_dice"] for row in rows] == ["0.5", "0.6"]
    # w: 1, 1.04, 1.0792, 1.117616 …; the mean loss of the first epoch is ((3 - 1)² + (3 - 1.04)²) / 2
    assert float(rows[0]["loss"]) == pytest.approx((4 + 1.96**2) / 2, rel=1e-5)
    assert (tmp_path / "training.png").stat().st_size > 1000


def test_drawn_curves_leave_nothing_in_memory(network: nn.Linear, tmp_path: Path) -> None:
    """The parts of a figure hold each other, so that Python frees them only when it looks for such circles."""
    trainer, evaluator = engines(network, [0.5, 0.6])
    RecordEpochs(evaluator, tmp_path).attach(trainer)
    gc.collect()
    before = _figures()
    gc.disable()
    try:
        trainer.run()
        assert _figures() == before
    finally:
        gc.enable()


def _figures() -> int:
    return sum(type(each) is OwnFigure for each in gc.get_objects())


@pytest.fixture
def other_rank(network: nn.Linear) -> Callable[[], SupervisedTrainer]:
    def make() -> SupervisedTrainer:
        trainer, _ = engines(network, [0.5])
        trainer.state.rank = 1
        return trainer

    return make


def test_only_rank_0_writes(network: nn.Linear, other_rank: Callable[[], SupervisedTrainer], tmp_path: Path) -> None:
    trainer = other_rank()
    _, evaluator = engines(network, [0.5])
    saver(network, evaluator, tmp_path).attach(trainer)
    RecordEpochs(evaluator, tmp_path).attach(trainer)
    trainer.run()
    assert list(tmp_path.iterdir()) == []
