"""Losses that are not numbers, explode or do not fall, on a real trainer of one weight."""

import logging
from collections.abc import Callable, Iterable
from contextlib import nullcontext

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from scripted_evaluator import BATCHES
from torch import Tensor, nn

from medseg_monai.training.guards import BLOCK, StopOnNonFiniteLoss, WatchLoss
from medseg_monai.training.schedules import one_cycle

Loss = Callable[[Tensor, Tensor], Tensor]


class Scripted(nn.Module):
    """A loss that is one number after the other."""

    def __init__(self, values: Iterable[float]) -> None:
        super().__init__()
        self.values = iter(values)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        return logits.sum() * 0 + next(self.values)


def trainer_of(values: Iterable[float], steps: int, *, epochs: int = 1) -> SupervisedTrainer:
    network = nn.Linear(1, 1, bias=False)
    batches = [{**BATCHES[0], "id": [f"picture {number}", f"picture {number}#1"]} for number in range(steps // epochs)]
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    return SupervisedTrainer("cpu", epochs, batches, network, optimizer, Scripted(values), decollate=False)


def test_a_nan_stops_the_run_before_it_reaches_the_weights_and_names_the_cases() -> None:
    trainer = trainer_of([1.0, 1.0, float("nan")], 4)
    StopOnNonFiniteLoss().attach(trainer)
    with pytest.raises(
        FloatingPointError,
        match=r"loss became nan in epoch 1, iteration 3 .lr 0.1; cases: picture 2.: training stopped.*Look at these cases",
    ):
        trainer.run()
    assert torch.isfinite(trainer.network.weight).all()


def test_a_batch_without_names_stops_the_run_as_well() -> None:
    trainer = trainer_of([float("inf")], 1)
    StopOnNonFiniteLoss().attach(trainer)
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda engine: engine.state.batch.pop("id"))
    with pytest.raises(FloatingPointError, match=r"became inf in epoch 1, iteration 1 .lr 0.1.: training"):
        trainer.run()


def test_a_loss_that_grew_until_it_was_infinite_speaks_of_the_rate_alone() -> None:
    trainer = trainer_of([0.9, 70.0, 1e30, float("inf")], 4)
    StopOnNonFiniteLoss().attach(trainer)
    with pytest.raises(FloatingPointError, match=r"training stopped. It had grown from 0.9 to 1e\+30: lower `lr`.$"):
        trainer.run()


def test_statistics_that_overflow_stop_the_run_before_such_a_network_is_validated() -> None:
    """The loss is of the batch's own statistics; those that are kept are what a prediction would use."""
    trainer = trainer_of([0.9, 0.9], 2)
    trainer.network = nn.Sequential(trainer.network, nn.BatchNorm1d(1, affine=False))
    trainer.network[1].running_var.fill_(float("inf"))
    StopOnNonFiniteLoss().attach(trainer)
    validated = list[int]()
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: validated.append(engine.state.epoch))
    with pytest.raises(
        FloatingPointError, match=r"loss is still 0.9, but .* became infinite .1.running_var. in epoch 1"
    ):
        trainer.run()
    assert validated == []


@pytest.mark.parametrize(("later", "stops"), [(11.0, True), (9.0, False)])
def test_a_loss_that_explodes_within_the_first_steps(
    caplog: pytest.LogCaptureFixture, later: float, stops: bool
) -> None:
    """Beside the steps that it has spoilt it would look like one that stays as it is. 19 of 20 steps are so many times the first."""
    values = [1.0] + [later * 20 / 19] * (4 * BLOCK)
    trainer = trainer_of(values, 3 * BLOCK)
    WatchLoss().attach(trainer)
    expected = pytest.raises(FloatingPointError, match="lowered 2 times") if stops else nullcontext()
    with caplog.at_level(logging.WARNING), expected:
        trainer.run()
    said = "over the last 20 steps, 1 in the very first, in epoch 1, iteration 20"
    assert (said in caplog.text) == stops


def test_an_exploding_loss_lowers_the_learning_rate_twice_and_then_stops(caplog: pytest.LogCaptureFixture) -> None:
    values = [1.0] * BLOCK + [2.1] * 3 * BLOCK
    trainer = trainer_of(values, len(values))
    WatchLoss().attach(trainer)
    rates: list[float] = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: rates.append(engine.optimizer.param_groups[0]["lr"])
    )
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(FloatingPointError, match="lowered 2 times and that did not help"),
    ):
        trainer.run()
    assert rates[::BLOCK] == pytest.approx([0.1, 0.1, 0.1 / 4, 0.1 / 16])
    said = [record.getMessage() for record in caplog.records if record.name == WatchLoss.__module__]
    assert len(said) == 2
    assert said[0].startswith(
        "the loss exploded: 2.1 over the last 20 steps, 1 over the first, in epoch 1, iteration 40"
    )
    assert f"picture {2 * BLOCK - 1})" in said[0]


def test_a_lowered_rate_stays_low_on_its_schedule() -> None:
    values = [1.0] * BLOCK + [3.0] * BLOCK + [1.0] * 3 * BLOCK
    rates: dict[bool, list[float]] = {True: [], False: []}
    for watched in rates:
        trainer = trainer_of(values, len(values))
        schedule = one_cycle(trainer.optimizer, lr=0.1, total_steps=len(values) + 1, warmup=0.1)
        if watched:
            WatchLoss().attach(trainer)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine, schedule=schedule: schedule.step())
        note = rates[watched].append
        trainer.add_event_handler(
            Events.ITERATION_STARTED, lambda engine, note=note: note(engine.optimizer.param_groups[0]["lr"])
        )
        trainer.run()
    assert rates[True][: 2 * BLOCK] == rates[False][: 2 * BLOCK]
    assert rates[True][2 * BLOCK :] == pytest.approx([rate / 4 for rate in rates[False][2 * BLOCK :]])


def test_one_hard_batch_is_no_explosion(caplog: pytest.LogCaptureFixture) -> None:
    values = [1.0] * BLOCK + [0.5] * (BLOCK - 1) + [25.0]
    trainer = trainer_of(values, len(values))
    WatchLoss().attach(trainer)
    trainer.run()
    assert "exploded" not in caplog.text
    assert trainer.optimizer.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize(("later", "said"), [(0.99, True), (0.97, False)])
def test_a_loss_that_does_not_fall_in_the_first_fifth_is_said_once(
    caplog: pytest.LogCaptureFixture, later: float, said: bool
) -> None:
    steps = 10 * BLOCK
    trainer = trainer_of([1.0] * BLOCK + [later] * (steps - BLOCK), steps, epochs=2)
    WatchLoss().attach(trainer)
    with caplog.at_level(logging.WARNING):
        trainer.run()
    warning = f"has not fallen in the first fifth of the training: 1 at the start, {later:g} in epoch 1, iteration 40"
    assert caplog.text.count("has not fallen") == caplog.text.count(warning) == int(said)


def test_what_was_seen_is_part_of_the_state() -> None:
    values = [1.0] * BLOCK + [3.0] * BLOCK
    first, second = trainer_of(values[:30], 30), trainer_of(values[30:], 10)
    before, after = WatchLoss(), WatchLoss()
    before.attach(first)
    first.run()
    after.load_state_dict(before.state_dict())
    after.attach(second)
    second.run()
    assert second.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 / 4)
