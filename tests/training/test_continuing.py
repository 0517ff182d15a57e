"""A training that was killed or stopped anywhere and goes on ends with the very weights of one that nobody disturbed."""

import csv
import errno
import logging
import os
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from small_training import EPOCHS, STEPS, small_training

from medseg_monai.bundle.trained import Trained
from medseg_monai.training import continuing, stops
from medseg_monai.training.continuing import between_processes, wanted
from medseg_monai.training.folder import files_of
from medseg_monai.training.handlers import RecordEpochs
from medseg_monai.training.saving import SaveTrained

Outcome = tuple[Any, ...]


class KilledError(BaseException):
    """The process ends here, and nothing is done about it."""


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The curves take longer to draw than these trainings."""
    monkeypatch.setattr(RecordEpochs, "_draw", lambda self, engine: None)
    monkeypatch.setattr(stops, "SECONDS_BETWEEN_LOOKS", 0.0)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After a kill nobody cleans up, and there are no handlers of signals to take back."""

    def leave(self: SaveTrained, engine: Engine, error: BaseException) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(SaveTrained, "_exception_raised", leave)
        patch.setattr(stops.StopRequests, "listen", lambda self: None)
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("undisturbed")
    small_training(folder).run()
    return outcome(folder)


def outcome(folder: Path) -> Outcome:
    """All numbers that a training leaves, to the bit."""
    weights = [torch.load(folder / name, weights_only=True) for name in ("model.pt", "last.pt")]
    tensors = [{name: value.tolist() for name, value in state.items()} for state in (weights[0], weights[1]["network"])]
    with (folder / "history.csv").open(newline="") as rows:
        history = [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(rows)]
    facts = Trained.read(folder).training
    return (*tensors, weights[1]["epoch"], history, facts["best_epoch"], facts["validation"], facts["epochs"])


def at(event: Any, action: Callable[[Engine], None]) -> dict[str, Any]:
    """A handler that does something once something has happened so often."""

    class Handler:
        def attach(self, engine: Engine) -> None:
            engine.add_event_handler(event, action)

    return {"handler": Handler()}


def kill(engine: Engine) -> None:
    raise KilledError


def kill_at_change(step: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """End the process before the n-th change of a file or folder; the changes so far."""
    seen: list[str] = []

    def counted(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Path, *arguments: Any, **options: Any) -> Any:
            if len(seen) == step:
                if name == "write_bytes":
                    path.write_text("half")
                raise KilledError
            seen.append(f"{name} {path.name}")
            return change(path, *arguments, **options)

        return call

    for name in ("rename", "replace", "mkdir", "rmdir", "write_bytes", "unlink"):
        monkeypatch.setattr(Path, name, counted(name, getattr(Path, name)))
    return seen


def changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    with monkeypatch.context() as patch:
        seen = kill_at_change(-1, patch)
        small_training(folder).run()
    return len(seen)


def test_a_kill_before_any_change_of_a_file(
    undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: None
) -> None:
    total = changes(tmp_path / "count", monkeypatch)
    assert total > 40
    for step in range(total):
        folder = tmp_path / str(step)
        with monkeypatch.context() as patch:
            kill_at_change(step, patch)
            with pytest.raises(KilledError):
                small_training(folder).run()
        small_training(folder, resume=True).run()
        assert outcome(folder) == undisturbed, f"killed before change {step}"
        assert not (folder / "previous").exists()
        assert sorted(path.name for path in (folder / ".medseg").iterdir()) == ["lock"]
        assert not list(folder.rglob("*.part"))


@pytest.mark.parametrize(("epoch", "fits"), [(1, 0), (1, 2), (2, 0), (2, 1), (EPOCHS, 1), (EPOCHS, 2)])
def test_a_full_disk_ends_it_and_room_lets_it_go_on(
    undisturbed: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int, fits: int
) -> None:
    """Whichever of the files after an epoch no longer fits: an earlier state is whole."""
    write, written = Path.write_bytes, [-EPOCHS * 100]

    def full(path: Path, content: bytes) -> int:
        written[0] += 1
        if written[0] > fits:
            write(path, bytes(content)[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    def count_from_now(engine: Engine) -> None:
        written[0] = 0

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="could not be written.*Free some space"):
            small_training(tmp_path, handlers=at(Events.ITERATION_COMPLETED(once=epoch * STEPS), count_from_now)).run()
    small_training(tmp_path, resume=True).run()
    assert outcome(tmp_path) == undisturbed
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("steps", range(1, EPOCHS * STEPS + 1))
def test_a_kill_within_an_epoch(undisturbed: Outcome, tmp_path: Path, killed: None, steps: int) -> None:
    with pytest.raises(KilledError):
        small_training(tmp_path, handlers=at(Events.ITERATION_COMPLETED(once=steps), kill)).run()
    small_training(tmp_path, resume=True).run()
    assert outcome(tmp_path) == undisturbed


def test_kills_again_and_again(undisturbed: Outcome, tmp_path: Path, killed: None) -> None:
    for steps in (1, STEPS, STEPS + 1, STEPS + 2, 2 * STEPS, 2 * STEPS + 1, 3 * STEPS):
        handlers = at(Events.ITERATION_COMPLETED(once=steps), kill)
        with pytest.raises(KilledError):
            small_training(tmp_path, resume=True, handlers=handlers).run()
    small_training(tmp_path, resume=True).run()
    assert outcome(tmp_path) == undisturbed


@pytest.mark.parametrize("steps", [1, STEPS - 1, STEPS, STEPS + 1, EPOCHS * STEPS])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, "file"])
def test_a_stop_keeps_the_step_that_it_came_in(
    undisturbed: Outcome, tmp_path: Path, steps: int, how: signal.Signals | str
) -> None:
    trainer = stopped_at(tmp_path, Events.ITERATION_STARTED(once=steps), how)
    assert trainer.state.iteration == steps
    last = torch.load(files_of(tmp_path) / "last.pt", weights_only=True)
    assert last["state"]["trainer"]["iteration"] == steps
    assert not (tmp_path / stops.STOP_FILE).exists()
    again = small_training(tmp_path, resume=True)
    began: list[int] = []
    again.add_event_handler(Events.ITERATION_STARTED, lambda engine: began.append(engine.state.iteration))
    again.run()
    assert began == list(range(steps + 1, EPOCHS * STEPS + 1))  # no step is done twice
    assert outcome(tmp_path) == undisturbed


def stopped_at(folder: Path, event: Any, how: signal.Signals | str, **options: Any) -> SupervisedTrainer:
    """A training that is asked to stop at an event."""

    def ask(engine: Engine) -> None:
        if isinstance(how, signal.Signals):
            os.kill(os.getpid(), how)
        else:
            (folder / stops.STOP_FILE).touch()

    trainer = small_training(folder, handlers=at(event, ask), **options)
    if isinstance(how, signal.Signals):
        with pytest.raises(KeyboardInterrupt):
            trainer.run()
    else:
        trainer.run()
    return trainer


def test_a_signal_in_validation_does_not_wait_for_its_end(undisturbed: Outcome, tmp_path: Path) -> None:
    trainer = small_training(tmp_path)
    evaluator = next(handler.evaluator for handler in handlers_of(trainer) if isinstance(handler, SaveTrained))
    seen: list[int] = []

    def ask(engine: Engine) -> None:
        seen.append(engine.state.iteration)
        if trainer.state.epoch == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    evaluator.add_event_handler(Events.ITERATION_STARTED, ask)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert seen == [1, 2, 3, 1]
    small_training(tmp_path, resume=True).run()
    assert outcome(tmp_path) == undisturbed


def handlers_of(trainer: SupervisedTrainer) -> list[Any]:
    """What is registered for the start of a training."""
    return [entry[0].__self__ for entry in trainer._event_handlers[Events.STARTED] if hasattr(entry[0], "__self__")]


def test_a_second_signal_stops_at_once(undisturbed: Outcome, tmp_path: Path) -> None:
    def twice(engine: Engine) -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    trainer = small_training(tmp_path, handlers=at(Events.ITERATION_STARTED(once=STEPS + 2), twice))
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert torch.load(tmp_path / "last.pt", weights_only=True)["state"]["trainer"]["iteration"] == STEPS
    small_training(tmp_path, resume=True).run()
    assert outcome(tmp_path) == undisturbed


def test_a_time_limit_stops_and_the_same_command_goes_on(undisturbed: Outcome, tmp_path: Path) -> None:
    for number in range(1, EPOCHS * STEPS + 1):
        trainer = small_training(tmp_path, stop_after=0)
        trainer.run()
        assert trainer.state.iteration == number
    small_training(tmp_path, stop_after=10).run()
    assert outcome(tmp_path) == undisturbed


@pytest.mark.parametrize(("first", "then"), [(0, 2), (2, 0), (2, 2)])
def test_workers_change_nothing(undisturbed: Outcome, tmp_path: Path, first: int, then: int) -> None:
    stopped_at(tmp_path, Events.ITERATION_STARTED(once=STEPS + 2), signal.SIGTERM, workers=first)
    small_training(tmp_path, resume=True, workers=then).run()
    assert outcome(tmp_path) == undisturbed


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def flip(file: Path) -> None:
    """One bit of one number."""
    with zipfile.ZipFile(file) as archive:
        largest = archive.read(max(archive.infolist(), key=lambda info: info.file_size * ("/data/" in info.filename)))
    content = bytearray(file.read_bytes())
    content[content.index(largest)] ^= 1
    file.write_bytes(content)


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty, Path.unlink])
def test_a_torn_checkpoint_is_passed_over_for_the_one_before(
    undisturbed: Outcome, tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    stopped_at(tmp_path, Events.ITERATION_STARTED(once=2 * STEPS + 1), signal.SIGTERM)
    damage(tmp_path / "last.pt")
    trainer = small_training(tmp_path, resume=True)
    trainer.run()
    warned = "passed over for the checkpoint before it" in caplog.text
    assert warned == (damage is not Path.unlink)
    assert outcome(tmp_path) == undisturbed


def test_early_stopping_remembers(tmp_path: Path) -> None:
    for folder in ("whole", "stopped"):
        (tmp_path / folder).mkdir()
    small_training(tmp_path / "whole", patience=1).run()
    stopped_at(tmp_path / "stopped", Events.ITERATION_STARTED(once=STEPS + 1), signal.SIGTERM, patience=1)
    small_training(tmp_path / "stopped", patience=1, resume=True).run()
    whole = outcome(tmp_path / "whole")
    assert len(whole[3]) == 2  # the second epoch is not better
    assert outcome(tmp_path / "stopped") == whole


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_a_finished_training_is_left_as_it_is(tmp_path: Path, decay: float, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    small_training(tmp_path, decay=decay).run()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    trainer = small_training(tmp_path, decay=decay, resume=True)
    trainer.run()
    assert trainer.state.iteration == 0
    assert f"{tmp_path} is finished (epoch 3): nothing to continue" in caplog.text
    assert caplog.text.count("epochs of") == 1  # what comes is said of the first one alone
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_last_state_is_small(tmp_path: Path) -> None:
    """While it trains: weights, average and two moments; afterwards the weights alone."""
    stopped_at(tmp_path, Events.ITERATION_STARTED(once=STEPS + 1), signal.SIGTERM, decay=0.0)
    last = torch.load(tmp_path / "last.pt", weights_only=True)
    weights = last["network"]["0.weight"]
    assert last["state"]["weights"]["0.weight"].data_ptr() == weights.data_ptr()  # one copy
    small_training(tmp_path, decay=0.0, resume=True).run()
    assert set(torch.load(tmp_path / "last.pt", weights_only=True)) == {"format", "network", "epoch", "finished"}


def test_nothing_to_continue_begins(undisturbed: Outcome, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    small_training(tmp_path, resume=True).run()
    assert "no checkpoint to continue from" in caplog.text
    assert outcome(tmp_path) == undisturbed


def test_a_new_training_says_that_an_old_one_could_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stopped_at(tmp_path, Events.ITERATION_STARTED(once=STEPS + 1), signal.SIGTERM)
    caplog.set_level(logging.INFO)
    small_training(tmp_path).run()
    assert f"{tmp_path} holds a training that has not ended" in caplog.text
    assert (tmp_path / "previous" / "1" / "last.pt").is_file()


def test_other_data_are_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    stopped_at(tmp_path, Events.ITERATION_STARTED(once=STEPS + 1), signal.SIGTERM)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"other data \(6 training cases then, 10 now; 3 validation cases then, 3 now"):
        small_training(tmp_path, resume=True, cases=10).run()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_training_killed_at_once_does_not_hide_the_one_before(
    undisturbed: Outcome, tmp_path: Path, killed: None
) -> None:
    with pytest.raises(KilledError):
        small_training(tmp_path, handlers=at(Events.ITERATION_COMPLETED(once=STEPS + 2), kill)).run()
    with pytest.raises(KilledError):
        small_training(tmp_path, handlers=at(Events.ITERATION_COMPLETED(once=2), kill)).run()
    trainer = small_training(tmp_path, resume=True)
    trainer.run()
    assert outcome(tmp_path) == undisturbed
    assert not (tmp_path / "previous").exists()


def test_a_new_training_killed_at_once_begins_again_over_a_finished_one(
    undisturbed: Outcome, tmp_path: Path, killed: None
) -> None:
    small_training(tmp_path, decay=0.5).run()
    with pytest.raises(KilledError):
        small_training(tmp_path, handlers=at(Events.ITERATION_COMPLETED(once=2), kill)).run()
    small_training(tmp_path, resume=True).run()
    assert outcome(tmp_path) == undisturbed
    assert outcome(tmp_path / "previous" / "1") != undisturbed


def test_epochs_without_validation_are_kept_too(tmp_path: Path, killed: None) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    small_training(whole, val_interval=3).run()
    handlers = at(Events.ITERATION_COMPLETED(once=2 * STEPS + 1), kill)
    with pytest.raises(KilledError):
        small_training(stopped, val_interval=3, handlers=handlers).run()
    trainer = small_training(stopped, val_interval=3, resume=True)
    steps: list[int] = []
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda engine: steps.append(engine.state.iteration))
    trainer.run()
    assert steps[0] == 2 * STEPS + 1
    assert outcome(stopped) == outcome(whole)
    shutil.rmtree(whole)


@pytest.mark.parametrize("file", [None, Path("runs/last.pt")])
def test_all_processes_know_what_the_first_has_found(file: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str | None] = []
    monkeypatch.setattr(continuing, "between_several", lambda: True)
    monkeypatch.setattr(continuing.dist, "broadcast_object_list", sent.extend)
    assert between_processes(file) == file
    assert sent == [None if file is None else str(file)]
    monkeypatch.setattr(continuing.dist, "broadcast_object_list", lambda found: found.__setitem__(0, sent[0]))
    assert between_processes(None) == file  # another process, which looks for nothing itself


@pytest.mark.parametrize(
    ("answer", "found"),
    [(True, True), (False, False), (None, None), ("TRUE", True), ("false", False), ("none", None), ("null", None)],
)
def test_resume_may_be_said_in_words(answer: bool | str | None, found: bool | None) -> None:
    assert wanted(answer) is found
    with pytest.raises(ValueError, match="resume is true or false, not 'yes'"):
        wanted("yes")
