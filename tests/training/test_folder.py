"""A training's folder holds one training's files after a kill at any step; what is half moved is finished by the next."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medseg_monai.bundle.paths import find_weights
from medseg_monai.files.writing import lock_folder
from medseg_monai.training.folder import begin, files_of, finish_publishing, publish, recover

FILES = ("model.pt", "spec.json", "last.pt", "history.csv", "tensorboard/events", "evaluation_test/summary.json")
STEPS = 40  # more than a publishing has


class KilledError(BaseException):
    """The process ends here."""


def fill(folder: Path, text: str, names: tuple[str, ...] = FILES) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def held(folder: Path) -> dict[str, str]:
    """The files of a folder, without its earlier trainings and what is hidden."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: path.read_text() for name, path in names.items() if not name.startswith((".medseg", "previous"))}


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the process before the n-th change of a folder."""
    left = [step]

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise KilledError
            return change(*arguments, **options)

        return call

    for name in ("rename", "replace", "mkdir", "rmdir"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))


@pytest.mark.parametrize("step", range(STEPS))
@pytest.mark.parametrize("earlier", [True, False])
def test_a_kill_at_any_step_leaves_the_earlier_training_or_the_new_one(
    step: int, earlier: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = FILES[:-1]
    if earlier:
        fill(tmp_path, "old")
    begin(tmp_path)
    fill(files_of(tmp_path), "new", new)
    with monkeypatch.context() as patch:
        kill_at(step, patch)
        try:
            publish(tmp_path)
        except KilledError:
            # weights never stand beside files of another training, even before anybody mends the folder
            seen = held(tmp_path)
            assert "model.pt" not in seen or len(set(seen.values())) == 1
        else:
            assert step > 0
    recover(tmp_path)
    if files_of(tmp_path) != tmp_path:  # killed before it was published: the next training removes it
        assert held(tmp_path) == (dict.fromkeys(FILES, "old") if earlier else {})
        begin(tmp_path)
        assert list(files_of(tmp_path).iterdir()) == []
        return
    assert held(tmp_path) == dict.fromkeys(new, "new")
    assert held(tmp_path / "previous" / "1") == (dict.fromkeys(FILES, "old") if earlier else {})
    assert not (tmp_path / "previous" / "2").exists()


def test_all_steps_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "old")
    begin(tmp_path)
    fill(files_of(tmp_path), "new")
    kill_at(STEPS - 1, monkeypatch)
    publish(tmp_path)


def test_whoever_looks_for_weights_finds_those_that_were_half_moved(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "demo"
    fill(folder, "old")
    begin(folder)
    fill(files_of(folder), "new")
    (folder / ".medseg" / "unvalidated").rename(folder / ".medseg" / "published")
    assert find_weights(tmp_path).read_text() == "new"
    assert set(held(folder).values()) == {"new"}


def test_the_folder_of_a_training_that_runs_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "old")
    begin(tmp_path)
    fill(files_of(tmp_path), "new")
    (tmp_path / ".medseg" / "unvalidated").rename(tmp_path / ".medseg" / "published")

    def taken(folder: Path) -> None:
        raise OSError("another process has it")

    with monkeypatch.context() as patch:
        patch.setattr("medseg_monai.training.folder.lock_folder", taken)
        recover(tmp_path)
    assert set(held(tmp_path).values()) == {"old"}


def test_temporary_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    for folder in ("", "evaluation_test", "tuning"):
        fill(tmp_path / folder, "half", (".medseg-0123456789abcdef.part",))
    fill(tmp_path / ".medseg" / "unvalidated", "half", ("model.pt", ".medseg-0123456789abcdef.part"))
    lock = lock_folder(tmp_path)
    begin(tmp_path)
    lock.release()
    assert not list(tmp_path.rglob("*.part"))
    assert not list(tmp_path.rglob("model.pt"))
    finish_publishing(tmp_path)  # nothing to finish
