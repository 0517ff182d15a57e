"""What a training keeps, on real MONAI engines that train a one-weight network: weights, spec, what stops and full disks leave."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.handlers import ValidationHandler
from scripted_evaluator import BATCHES, engines, saver, scripted_evaluator
from torch import nn

from medseg_monai.bundle.trained import Trained, load_weights
from medseg_monai.files.writing import DiskFullError, FolderInUseError
from medseg_monai.training.handlers import (
    RecordEpochs,
    ValidateLastEpoch,
)
from medseg_monai.training.recorded import read_record
from medseg_monai.training.saving import LESS


def test_the_best_epochs_weights_are_kept_and_the_last(network: nn.Linear, tmp_path: Path) -> None:
    trainer, evaluator = engines(network, [0.2, 0.8, 0.5])
    saver(network, evaluator, tmp_path).attach(trainer)
    weights: list[float] = []
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: weights.append(float(network.weight.detach())))
    trainer.run()
    best = torch.load(tmp_path / "model.pt", weights_only=True)
    last = torch.load(tmp_path / "last.pt", weights_only=True)
    assert float(best["weight"]) == pytest.approx(weights[1])
    assert float(last["network"]["weight"]) == pytest.approx(weights[2])
    assert (last["epoch"], last["finished"]) == (3, True)
    assert read_record(tmp_path) == {"finished": True}
    assert set(contents(tmp_path)) == {"model.pt", "spec.json", "last.pt", "run.json"}, "no second state is left"
    facts = Trained.read(tmp_path).training
    assert facts["best_epoch"] == 2
    assert facts["validation"] == {"mean_dice": 0.8}


def test_earlier_weights_are_set_aside_with_their_spec(network: nn.Linear, tmp_path: Path) -> None:
    for scores in ([0.9], [0.5], [0.1]):
        trainer, evaluator = engines(network, scores)
        saver(network, evaluator, tmp_path).attach(trainer)
        trainer.run()
    for number, folder in enumerate(("previous/1", "previous/2", ".")):
        assert Trained.read(tmp_path / folder).training["validation"] == {"mean_dice": (0.9, 0.5, 0.1)[number]}
        assert (tmp_path / folder / "model.pt").is_file()


def test_the_last_epoch_is_validated_whatever_the_interval(network: nn.Linear, tmp_path: Path) -> None:
    evaluator = scripted_evaluator(network, [0.5, 0.9])
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    handlers = [ValidationHandler(2, evaluator), ValidateLastEpoch(evaluator), saver(network, evaluator, tmp_path)]
    SupervisedTrainer(
        "cpu", 3, BATCHES, network, optimizer, nn.MSELoss(), decollate=False, train_handlers=handlers
    ).run()
    assert Trained.read(tmp_path).training["best_epoch"] == 3


def interrupt(engine: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def terminate(engine: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def fail(engine: object) -> None:
    raise RuntimeError("no more")


def contents(folder: Path) -> dict[str, bytes]:
    """Files that people see, by name."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".medseg" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("stop", [interrupt, terminate], ids=["ctrl-c", "sigterm"])
def test_a_stop_keeps_weights_that_load(network: nn.Linear, tmp_path: Path, stop: Callable[[object], None]) -> None:
    trainer, evaluator = engines(network, [0.5, 0.6])
    saver(network, evaluator, tmp_path).attach(trainer)
    after_one: list[torch.Tensor] = []
    trainer.add_event_handler(Events.EPOCH_STARTED(once=2), lambda _: after_one.append(network.weight.detach().clone()))
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), stop)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert signal.getsignal(signal.SIGTERM) is before
    best, last = (load_weights(nn.Linear(1, 1, bias=False), tmp_path / name) for name in ("model.pt", "last.pt"))
    assert torch.equal(best.weight, after_one[0])
    assert torch.equal(last.weight, after_one[0])  # these data cannot begin within an epoch: it will be repeated
    facts = Trained.read(tmp_path).training
    assert (facts["best_epoch"], facts["epochs"]) == (1, 2)


@pytest.mark.parametrize("stop", [interrupt, terminate, fail], ids=["ctrl-c", "sigterm", "error"])
@pytest.mark.parametrize("earlier", [True, False])
def test_without_a_validated_epoch_the_folder_stays_as_it_was(
    network: nn.Linear,
    tmp_path: Path,
    stop: Callable[[object], None],
    earlier: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if earlier:
        trainer, evaluator = engines(network, [0.9])
        saver(network, evaluator, tmp_path).attach(trainer)
        trainer.run()
    before = contents(tmp_path)
    trainer, evaluator = engines(network, [0.5, 0.6])
    saver(network, evaluator, tmp_path).attach(trainer)
    RecordEpochs(evaluator, tmp_path).attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2), stop)
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        trainer.run()
    assert contents(tmp_path) == before
    assert ("model.pt" in before) == earlier
    nothing_kept = f"Ended within the first epoch: nothing is kept, {tmp_path} stays as it was"
    assert (nothing_kept in caplog.messages) == (stop is fail)  # a signal after an epoch's last step keeps that


def test_a_loss_that_is_no_number_leaves_nothing_to_resume_but_the_best_weights(
    network: nn.Linear, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def no_number(engine: object) -> None:
        raise FloatingPointError("nan")

    trainer, evaluator = engines(network, [0.6, 0.5, 0.4])
    saver(network, evaluator, tmp_path).attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=5), no_number)
    with pytest.raises(FloatingPointError, match="nan"):
        trainer.run()
    assert f"{tmp_path} keeps the weights of the best epoch so far, 1" in caplog.messages
    assert "--resume" not in caplog.text
    assert Trained.read(tmp_path).training["best_epoch"] == 1


def test_an_error_after_a_validated_epoch_says_what_is_kept(
    network: nn.Linear, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer, evaluator = engines(network, [0.5, 0.6])
    saver(network, evaluator, tmp_path).attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), fail)
    with pytest.raises(RuntimeError, match="no more"):
        trainer.run()
    assert f"What was learnt until then is kept in {tmp_path}: --resume goes on from there" in caplog.messages
    assert Trained.read(tmp_path).training["best_epoch"] == 1


def test_a_training_that_goes_on_still_knows_its_best_epoch(
    network: nn.Linear, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer, evaluator = engines(network, [0.8, 0.1, 0.1])
    saver(network, evaluator, tmp_path).attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), interrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    stopped = f"Stopped by Ctrl-C in epoch 2 of 3; {LESS} is kept in {tmp_path}: the same command with --resume goes on"
    assert stopped in caplog.text
    caplog.set_level("INFO")
    trainer, evaluator = engines(network, [0.5, 0.6, 0.0])
    steps: list[int] = []
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda engine: steps.append(engine.state.iteration))
    saver(network, evaluator, tmp_path, resume=True).attach(trainer)
    trainer.run()
    assert f"{tmp_path} goes on in epoch 2 of 3" in caplog.messages
    assert steps == [3, 4, 5, 6]
    facts = Trained.read(tmp_path).training
    assert (facts["best_epoch"], facts["validation"], facts["epochs"]) == (1, {"mean_dice": 0.8}, 3)


def test_a_time_limit_needs_no_option_to_go_on(
    network: nn.Linear, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer, evaluator = engines(network, [0.8, 0.1])
    saver(network, evaluator, tmp_path, minutes=0).attach(trainer)
    trainer.run()
    assert trainer.state.iteration == 1
    assert "Stopped by its limit of 0 minutes in epoch 1 of 2" in caplog.text
    assert "the same command goes on from there" in caplog.text


def test_a_signal_does_not_wait_for_the_end_of_validation(network: nn.Linear, tmp_path: Path) -> None:
    trainer, evaluator = engines(network, [0.8, 0.1])
    saver(network, evaluator, tmp_path).attach(trainer)
    seen: list[int] = []
    evaluator.add_event_handler(Events.ITERATION_STARTED, lambda engine: seen.append(engine.state.iteration))
    evaluator.add_event_handler(Events.ITERATION_STARTED(once=1), terminate)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert seen == [1]


def test_who_breaks_off_is_told_what_the_last_epoch_left(
    network: nn.Linear, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A second Ctrl-C, or a notebook's stop button, raises where it finds the program."""

    def break_off(engine: object) -> None:
        raise KeyboardInterrupt

    trainer, evaluator = engines(network, [0.8, 0.1])
    saver(network, evaluator, tmp_path).attach(trainer)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), break_off)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert f"Stopped by the user in epoch 2 of 2; {LESS} is kept in {tmp_path}" in caplog.text


def test_without_any_validation_the_last_epoch_is_kept(
    network: nn.Linear, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluator = scripted_evaluator(network, [])
    handlers = [ValidationHandler(5, evaluator), saver(network, evaluator, tmp_path)]
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    SupervisedTrainer(
        "cpu", 2, BATCHES, network, optimizer, nn.MSELoss(), decollate=False, train_handlers=handlers
    ).run()
    assert f"No epoch was validated: {tmp_path / 'model.pt'} holds the last one" in caplog.messages
    kept = load_weights(nn.Linear(1, 1, bias=False), tmp_path / "model.pt")
    assert torch.equal(kept.weight, network.weight)
    assert Trained.read(tmp_path).training["epochs"] == 2


def test_a_training_that_has_ended_leaves_its_folder_to_others(network: nn.Linear, tmp_path: Path) -> None:
    trainer, evaluator = engines(network, [0.5])
    handler = saver(network, evaluator, tmp_path)
    handler.attach(trainer)
    trainer.run()
    script = (
        "import sys; from pathlib import Path; from medseg_monai.files.writing import lock_folder\n"
        "lock_folder(Path(sys.argv[1])).release()"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True)
    assert handler.network is network  # is still there, and its lock is not


def test_what_belongs_to_an_epoch_is_published_together(network: nn.Linear, tmp_path: Path) -> None:
    trainer, evaluator = engines(network, [0.5])
    saver(network, evaluator, tmp_path).attach(trainer)  # before what records, as a config may list them
    RecordEpochs(evaluator, tmp_path).attach(trainer)
    seen: list[set[str]] = []
    move = Path.replace

    def watched(path: Path, target: Path) -> Path:
        moved = move(path, target)
        if Path(target) == tmp_path / "model.pt":
            seen.append(set(contents(tmp_path)))
        return moved

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", watched)
        trainer.run()
    assert seen == [{"model.pt", "spec.json", "last.pt", "history.csv", "training.png", "run.json"}]


def test_a_folder_is_one_trainings_at_a_time(network: nn.Linear, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from medseg_monai.files.writing import lock_folder\n"
        f"lock = lock_folder(Path({str(tmp_path)!r})); print('has it', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "has it\n"
        trainer, evaluator = engines(network, [0.5])
        saver(network, evaluator, tmp_path).attach(trainer)
        with pytest.raises(FolderInUseError, match="being written to by another medseg"):
            trainer.run()
        assert contents(tmp_path) == {}
        other.kill()
    trainer, evaluator = engines(network, [0.5])  # a killed process leaves no lock
    saver(network, evaluator, tmp_path).attach(trainer)
    trainer.run()
    assert (tmp_path / "model.pt").is_file()


def test_a_full_disk_names_the_file_and_keeps_the_best_weights(
    network: nn.Linear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, evaluator = engines(network, [0.5, 0.6])
    saver(network, evaluator, tmp_path).attach(trainer)
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if trainer.state.epoch == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFullError, match=r"spec.json could not be written.*Free some space"):
        trainer.run()
    kept = load_weights(nn.Linear(1, 1, bias=False), tmp_path / "model.pt")
    assert torch.isfinite(kept.weight).all()
    assert Trained.read(tmp_path).training["best_epoch"] == 1
    assert not list(tmp_path.rglob("*.part"))
