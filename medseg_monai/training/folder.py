"""The folder of a training: it holds one training's files, the earlier's or the new one's, whatever ends the program.

A training's first files are made in a hidden folder below. When its first epoch has been validated they are published: the earlier
training's files move to ``previous/N`` and the new ones take their places. Each step of that is one renaming, and what is there says
which step comes next, so that a move that a kill truncated is finished by whoever uses the folder next.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress
from pathlib import Path

from medseg_monai.files.writing import HIDDEN_FOLDER, lock_folder, remove_parts

logger = logging.getLogger(__name__)

WEIGHTS_FILE, SPEC_FILE, LAST_FILE = "model.pt", "spec.json", "last.pt"
HISTORY_FILE, CURVES_FILE, PLAN_FILE, RUN_FILE = "history.csv", "training.png", "plan.yaml", "run.json"
TRAINING_FILES = (
    WEIGHTS_FILE,
    SPEC_FILE,
    LAST_FILE,
    HISTORY_FILE,
    CURVES_FILE,
    PLAN_FILE,
    RUN_FILE,
    "tensorboard",
    "tuning",
    "evaluation_*",
)
"""What a training and what follows it leave in the folder; the weights first, so that they never stand there without the others."""
_BEFORE_LAST = "before_last.pt"  # the checkpoint that LAST_FILE replaced, while a training runs
_UNVALIDATED = "unvalidated"  # the files of a training before its first validated epoch
_PUBLISHED = "published"  # the same, from the moment on that they are to take the earlier ones' place
_EARLIER = "earlier"  # the earlier files on their way to previous/N
_ARRIVING = "arriving"  # the new files on their way, after the earlier ones are gone


def files_of(folder: Path) -> Path:
    """Where the files of the training that runs lie: hidden until an epoch has been validated, then in the folder itself."""
    unvalidated = _hidden(folder, _UNVALIDATED)
    return unvalidated if unvalidated.is_dir() else folder


def before_last(folder: Path) -> Path:
    """Where the checkpoint lies that the latest one replaced."""
    return _hidden(folder, _BEFORE_LAST)


def begin(folder: Path) -> None:
    """Make ready for a new training, whose lock this process holds: what killed ones left is finished or removed."""
    finish_publishing(folder)
    discard(folder)
    before_last(folder).unlink(missing_ok=True)
    remove_leftovers(folder)
    _hidden(folder, _UNVALIDATED).mkdir(parents=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process was writing; for who holds the folder's lock."""
    remove_parts([folder, files_of(folder), *(path for pattern in TRAINING_FILES for path in folder.glob(pattern))])


def discard(folder: Path) -> None:
    """Remove the files of a training of which no epoch was validated."""
    shutil.rmtree(_hidden(folder, _UNVALIDATED), ignore_errors=True)


def publish(folder: Path) -> None:
    """Let the new files take the place of the earlier ones, which move to ``previous/N``; nothing to do if that has been done."""
    with suppress(FileNotFoundError):
        _hidden(folder, _UNVALIDATED).rename(_hidden(folder, _PUBLISHED))
    finish_publishing(folder)


def finish_publishing(folder: Path) -> None:
    """Do what is left to do of `publish`."""
    published, arriving = _hidden(folder, _PUBLISHED), _hidden(folder, _ARRIVING)
    if published.is_dir():
        _set_aside(folder)
        published.rename(arriving)
    if arriving.is_dir():
        for path in sorted(arriving.iterdir(), key=lambda path: path.name == WEIGHTS_FILE):  # the weights last
            path.replace(folder / path.name)
        arriving.rmdir()


def recover(folder: Path) -> None:
    """Finish what a killed training left half moved, before somebody reads the folder; one that is running is left alone."""
    if _hidden(folder, _PUBLISHED).is_dir() or _hidden(folder, _ARRIVING).is_dir():
        with suppress(OSError):  # in use, or not ours to write: the reader says what is missing
            lock = lock_folder(folder)
            try:
                finish_publishing(folder)
            finally:
                lock.release()


def _set_aside(folder: Path) -> None:
    """Move the earlier training's files to ``previous/N``."""
    earlier = _hidden(folder, _EARLIER)
    earlier.mkdir(exist_ok=True)
    for path in (path for pattern in TRAINING_FILES for path in folder.glob(pattern)):
        path.replace(earlier / path.name)
    if not any(earlier.iterdir()):
        earlier.rmdir()
        return
    taken = [int(path.name) for path in folder.glob("previous/*") if path.name.isdigit()]
    previous = folder / "previous" / str(max(taken, default=0) + 1)
    previous.parent.mkdir(exist_ok=True)
    earlier.rename(previous)
    logger.info("Weights of an earlier training were moved to %s", previous)


def _hidden(folder: Path, name: str) -> Path:
    return folder / HIDDEN_FOLDER / name
