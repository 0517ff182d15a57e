"""A training that is slower than planned ends in its time, on a clock that moves as the test says; whoever repeats it looks at no clock."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from small_training import STEPS, small_training

from medseg_monai.planning.plan import Plan, read_plan
from medseg_monai.training import pace, stops
from medseg_monai.training.handlers import RecordEpochs

EPOCHS = 10
MINUTE = Plan("unet", max_epochs=EPOCHS, minutes=0.5, most_minutes=1.0, reasons={"max_epochs": "what fits"})


class Clock:
    """Moves by so many seconds for each step of an epoch, and for its validation."""

    def __init__(self, step: Callable[[int], float], *, validation: float = 0.0, interval: int = 1) -> None:
        self.seconds = 0.0
        self.step = step
        self.validation = validation
        self.interval = interval
        self.rates: list[float] = []

    def __call__(self) -> float:
        return self.seconds

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_STARTED, self._step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._validate)  # and all that keeps the epoch

    def _step(self, engine: Engine) -> None:
        self.rates.append(engine.optimizer.param_groups[0]["lr"])  # type: ignore[attr-defined]
        self.move(self.step(engine.state.epoch))

    def _validate(self, engine: Engine) -> None:
        if engine.state.epoch % self.interval == 0 or engine.state.epoch == engine.state.max_epochs:
            self.move(self.validation)

    def move(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordEpochs, "_draw", lambda self, engine: None)
    monkeypatch.setattr(stops, "SECONDS_BETWEEN_LOOKS", 0.0)


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Train by a plan and a clock; the trainer afterwards."""

    def run(folder: Path, plan: Plan, clock: Clock, **options: Any) -> Any:
        monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=clock))
        trainer = small_training(folder, plan=plan, handlers={"clock": clock}, **{"epochs": EPOCHS, **options})
        trainer.run()
        return trainer

    return run


def weights(folder: Path) -> Mapping[str, Any]:
    state = torch.load(folder / "last.pt", weights_only=True)["network"]
    return {name: value.tolist() for name, value in state.items()}


def test_a_training_in_time_keeps_its_epochs(tmp_path: Path, train: Callable[..., Any]) -> None:
    clock = Clock(lambda epoch: 1.9)
    assert train(tmp_path, MINUTE, clock).state.epoch == EPOCHS
    assert clock.seconds == pytest.approx(57)
    left = read_plan(tmp_path / "plan.yaml")
    assert (left.changed_epochs, left.most_minutes) == ((), None), "who repeats it is not to look at the clock"
    assert left.reasons["max_epochs"] == "what fits"


def test_a_slow_one_has_as_many_epochs_as_fit(
    tmp_path: Path, train: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Epochs of 9 seconds: after the first, 0.95 x 51 seconds hold 5 more."""
    clock = Clock(lambda epoch: 3.0)
    trainer = train(tmp_path, MINUTE, clock)
    assert (trainer.state.epoch, clock.seconds) == (6, 54.0)
    assert read_plan(tmp_path / "plan.yaml").changed_epochs == ((1, 6),)
    assert (
        "slower than planned: 10 epochs of 9 s would take 90 s, and training has 60 s: it ends after 6," in caplog.text
    )
    assert len(caplog.text.split("slower than planned")) == 2, "said once"


def test_its_learning_rate_falls_as_low(tmp_path: Path, train: Callable[..., Any]) -> None:
    free, busy = Clock(lambda epoch: 0.0), Clock(lambda epoch: 3.0)
    train(tmp_path / "whole", MINUTE, free)
    train(tmp_path / "short", MINUTE, busy)
    assert (len(free.rates), len(busy.rates)) == (10 * STEPS, 6 * STEPS)
    assert busy.rates[: STEPS + 1] == free.rates[: STEPS + 1]
    assert busy.rates[-1] == pytest.approx(free.rates[-1])


@pytest.mark.parametrize(("interval", "epochs", "seconds"), [(1, 4, 48), (2, 7, 57), (4, 10, 57)])
def test_validations_count(
    tmp_path: Path, train: Callable[..., Any], interval: int, epochs: int, seconds: float
) -> None:
    """Epochs of 3 seconds, and validations of 9 after every n-th and the last.

    Of every epoch: seen at the end of the second, with 45 seconds left, of which 42.75 hold two more. Of every second: at the end of the
    third, with 42 left, of which 39.9 hold four more epochs with three validations. Of every fourth: all fits.
    """
    clock = Clock(lambda epoch: 1.0, validation=9.0, interval=interval)
    assert train(tmp_path, MINUTE, clock, val_interval=interval).state.epoch == epochs
    assert clock.seconds == seconds


def test_a_machine_that_becomes_busy_later(tmp_path: Path, train: Callable[..., Any]) -> None:
    """Five epochs of 4.8 seconds, then 9.9: seen when three of the last five were slow, with 6.3 seconds left."""
    clock = Clock(lambda epoch: 1.6 if epoch <= 5 else 3.3)
    trainer = train(tmp_path, MINUTE, clock)
    assert (trainer.state.epoch, round(clock.seconds, 1)) == (8, 53.7)


def test_a_machine_that_is_quick_again_gives_epochs_back(tmp_path: Path, train: Callable[..., Any]) -> None:
    """Two epochs of 9 seconds, then 3: the median of both is 6 at the end of the third, of which 0.95 x 39 seconds hold six more.

    At the end of the fourth it is 3, and the last one fits too.
    """
    clock = Clock(lambda epoch: 3.0 if epoch < 3 else 1.0)
    assert train(tmp_path, MINUTE, clock).state.epoch == EPOCHS
    assert clock.seconds == 42
    assert read_plan(tmp_path / "plan.yaml").changed_epochs == ((1, 6), (3, 9), (4, 10))
    free = Clock(lambda epoch: 0.0)
    train(tmp_path / "free", MINUTE, free)
    assert clock.rates[-1] == pytest.approx(free.rates[-1])
    again = read_plan(tmp_path / "plan.yaml")
    train(tmp_path / "again", again, Clock(lambda epoch: 50.0))
    assert weights(tmp_path / "again") == weights(tmp_path)


def test_what_is_done_once_in_the_first_seconds_decides_nothing(tmp_path: Path, train: Callable[..., Any]) -> None:
    """At the pace of the first epoch, of 5.7 seconds, 30 would take 171; the others take 1.5."""
    clock = Clock(lambda epoch: 1.9 if epoch == 1 else 0.5)
    assert train(tmp_path, MINUTE, clock, epochs=30).state.epoch == 30
    assert clock.seconds == pytest.approx(49.2)


def test_one_epoch_that_a_sleeping_laptop_stretched_decides_nothing(tmp_path: Path, train: Callable[..., Any]) -> None:
    clock = Clock(lambda epoch: 10.0 if epoch == 4 else 1.0)
    assert train(tmp_path, MINUTE, clock).state.epoch == EPOCHS
    assert clock.seconds == 57


def test_what_is_decoded_once_does_not_count(
    tmp_path: Path, train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first epoch waits for its cases ten times as long as it computes."""
    clock = Clock(lambda epoch: 1.0)
    once, given = [10.0] * STEPS, pace._Waits._given

    def slow(self: Any, engine: Engine) -> None:
        clock.move(once.pop() if once else 0.0)
        given(self, engine)

    monkeypatch.setattr(pace._Waits, "_given", slow)
    assert train(tmp_path, MINUTE, clock).state.epoch == EPOCHS
    assert clock.seconds == 60


def test_a_first_epoch_that_takes_longer_than_all_is_said_early_and_ends_it(
    tmp_path: Path, train: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    trainer = train(tmp_path, MINUTE, Clock(lambda epoch: 40.0))
    assert trainer.state.epoch == 1
    assert "the first epoch alone will take about 2 min, of 60 s in all; training ends after it" in caplog.text
    assert (tmp_path / "model.pt").is_file()


def test_who_repeats_it_by_its_plan_gets_its_weights_on_any_machine(tmp_path: Path, train: Callable[..., Any]) -> None:
    train(tmp_path / "first", MINUTE, Clock(lambda epoch: 3.0))
    plan = read_plan(tmp_path / "first" / "plan.yaml")
    for name, step in (("faster", 0.0), ("slower", 100.0)):
        train(tmp_path / name, plan, Clock(lambda epoch, step=step: step))  # type: ignore[misc]
        assert weights(tmp_path / name) == weights(tmp_path / "first")


@pytest.mark.parametrize("step", [0.0, 100.0], ids=["free", "busier"])
@pytest.mark.parametrize("stopped", [1, STEPS, STEPS + 1, 2 * STEPS, 5 * STEPS + 2])
def test_a_stopped_one_goes_on_to_the_same_weights_whatever_the_clock_says_then(
    tmp_path: Path, train: Callable[..., Any], stopped: int, step: float
) -> None:
    """If it was stopped within the first epoch, nothing was decided yet, and there are as many epochs as planned."""
    slow = Clock(lambda epoch: 3.0 if stopped > STEPS else 0.0)
    train(tmp_path / "undisturbed", MINUTE, slow)

    def stop(engine: Engine) -> None:
        (tmp_path / "out" / "STOP").touch()

    class Stop(Clock):
        def attach(self, engine: Engine) -> None:
            super().attach(engine)
            engine.add_event_handler(Events.ITERATION_STARTED(once=stopped), stop)

    train(tmp_path / "out", MINUTE, Stop(lambda epoch: 3.0))
    assert not (tmp_path / "out" / "STOP").exists()
    plan = read_plan(next((tmp_path / "out").rglob("plan.yaml")))
    train(tmp_path / "out", plan, Clock(lambda epoch: step), resume=True)
    assert weights(tmp_path / "out") == weights(tmp_path / "undisturbed")


def test_a_kill_between_the_decision_and_its_checkpoint(
    tmp_path: Path, train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine becomes busy in the third epoch; the plan beside the weights knows before the state does."""

    def step(epoch: int) -> float:
        return 1.0 if epoch < 3 else 9.0

    train(tmp_path / "undisturbed", MINUTE, Clock(step))
    decided = read_plan(tmp_path / "undisturbed" / "plan.yaml").changed_epochs
    assert decided
    change = pace.KeepPlan.change

    def killed(self: pace.KeepPlan, **values: Any) -> None:
        change(self, **values)
        if "changed_epochs" in values:
            shutil.copytree(tmp_path / "out", tmp_path / "killed")
            monkeypatch.setattr(pace.KeepPlan, "change", change)

    monkeypatch.setattr(pace.KeepPlan, "change", killed)
    train(tmp_path / "out", MINUTE, Clock(step))
    plan = read_plan(tmp_path / "killed" / "plan.yaml")
    train(tmp_path / "killed", plan, Clock(lambda epoch: 0.0), resume=True)
    assert weights(tmp_path / "killed") == weights(tmp_path / "undisturbed")
