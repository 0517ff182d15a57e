"""What a training says before and while it runs, on real engines with a one-weight network."""

import io
import sys
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.handlers import ValidationHandler
from scripted_evaluator import BATCHES, scripted_evaluator
from torch import nn

from medseg_monai.bundle.paths import find_bundle
from medseg_monai.bundle.workflow import run_bundle
from medseg_monai.planning.plan import Plan, read_plan
from medseg_monai.planning.timing import StepTime
from medseg_monai.training import progress
from medseg_monai.training.progress import RunProgress, duration, run_seconds


def trainer_of(scores: list[float]) -> tuple[SupervisedTrainer, RunProgress]:
    network = nn.Linear(1, 1, bias=False)
    evaluator = scripted_evaluator(network, scores)
    trainer = SupervisedTrainer(
        "cpu", len(scores), BATCHES, network, torch.optim.SGD(network.parameters(), 0.01), nn.MSELoss(), decollate=False,
        train_handlers=[ValidationHandler(1, evaluator)],
    )  # fmt: skip
    return trainer, RunProgress(evaluator)


def test_the_bar_is_of_the_whole_run_with_scores_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    trainer, bar = trainer_of([0.25, 0.75, 0.5])
    bar.attach(trainer)
    seen: list[tuple[int, int, str]] = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda _: seen.append((bar.bar.n, bar.bar.total, bar.bar.postfix)),  # type: ignore[union-attr]
    )
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    trainer.run()
    steps = 3 * len(BATCHES)
    assert [(done, total) for done, total, _ in seen] == [(step, steps) for step in range(1, steps + 1)]
    assert "best" not in seen[0][2]
    assert seen[0][2].startswith("epoch 1/3, ")
    assert "images/s" in seen[0][2]
    assert "mean_dice 0.750 (best 0.750)" in seen[2 * len(BATCHES)][2]
    assert seen[-1][2].endswith("0 s left")
    assert bar.bar is None


def test_without_a_terminal_a_line_comes_when_a_minute_has_passed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trainer, bar = trainer_of([0.25, 0.75])
    bar.attach(trainer)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    ticks = iter(range(0, 40_000, 40))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(ticks)))
    caplog.set_level("INFO")
    trainer.run()
    lines = [record.message for record in caplog.records if "left" in record.message]
    assert len(lines) == 2 * len(BATCHES) // 2  # every second step of 40 seconds
    assert lines[0].startswith("epoch 1/2, ")


def test_what_is_left_is_counted_from_the_first_step_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of 10 seconds after an hour of looking at labels; the first half of the steps was done before the training went on."""
    trainer, bar = trainer_of([0.25, 0.75])
    bar.attach(trainer)
    seconds, texts = [0.0], list[str]()

    def move(by: float) -> None:
        seconds[0] += by

    def go_on(_: object) -> None:
        move(3600)
        trainer.state.epoch, trainer.state.iteration = 1, len(BATCHES)

    trainer.add_event_handler(Events.STARTED, go_on)
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda _: move(10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda _: texts.append(bar.text(trainer, seconds[0] - bar._began))
    )
    trainer.run()
    assert [text.split(", ")[1] for text in texts] == ["0.1 images/s"] * len(BATCHES)
    assert [text.split(", ")[-1] for text in texts] == [f"{10 * left:.0f} s left" for left in (1, 0)]


def test_an_error_takes_the_bar_away_and_is_not_swallowed() -> None:
    trainer, bar = trainer_of([0.5])
    bar.attach(trainer)

    def fail(_: object) -> None:
        raise OSError("broken")

    def raise_again(_: object, error: BaseException) -> None:
        raise error

    trainer.add_event_handler(Events.ITERATION_COMPLETED, fail)
    trainer.add_event_handler(Events.EXCEPTION_RAISED, raise_again)
    with pytest.raises(OSError, match="broken"):
        trainer.run()
    assert bar.bar is None


def test_three_lines_before_the_first_epoch_and_the_plan_beside_the_weights(
    demo_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Plan("unet", size=(32, 32), batch_size=4, max_epochs=2, architecture={"features": [4, 8]}).write(
        tmp_path / "my.yaml"
    )
    values = {
        "dataset_dir": str(demo_data),
        "output_dir": str(tmp_path / "out"),
        "plan_file": str(tmp_path / "my.yaml"),
    }
    with caplog.at_level("INFO", "medseg_monai"):
        run_bundle(find_bundle("unet"), "train", values)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("medseg_monai")]
    first = next(number for number, line in enumerate(lines) if line.startswith("epoch 1/2"))
    device, cases, when = lines[first - 3 : first]
    assert device.startswith("on ")
    assert "; a step takes about 1.0 GB" in device
    assert cases == "14 training and 3 validation cases of demo; UNet with 1,749 parameters, input 32x32, batch 4"
    assert when.startswith("2 epochs of 3 steps: about ")
    assert "done at about" in when
    assert lines[-1].startswith(f"{tmp_path / 'out' / 'model.pt'} holds epoch ")
    kept = read_plan(tmp_path / "out" / "plan.yaml")
    assert (kept.size, kept.max_epochs, kept.architecture) == ((32, 32), 2, {"features": [4, 8]})
    assert (tmp_path / "out" / "training.png").is_file()


def test_the_time_of_a_run_is_that_of_all_its_samples() -> None:
    assert run_seconds(StepTime(0.1, 0.02), training=50, validation=10, epochs=3) == pytest.approx(3 * (5 + 0.2))


def test_times_in_words() -> None:
    assert [duration(seconds) for seconds in (0, 99, 100, 3599, 86400)] == [
        "0 s",
        "99 s",
        "2 min",
        "1 h 0 min",
        "24 h 0 min",
    ]
