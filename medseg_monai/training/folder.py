"""The folder of a training: it contains the files of exactly one training, the earlier or the new one, however the program ends.

A training's first files are written to a hidden subfolder. When its first epoch has been validated they are published: the earlier
training's files move to ``previous/N`` and the new ones take their places. Each step is one renaming, and the existing files show
which step comes next, so an interrupted move is finished by the next process that uses the folder.
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
RERUN_FILE = "rerun.json"
TRAINING_FILES = (
    WEIGHTS_FILE,
    SPEC_FILE,
    LAST_FILE,
    HISTORY_FILE,
    CURVES_FILE,
    PLAN_FILE,
    RUN_FILE,
    RERUN_FILE,
    "tensorboard",
    "tuning",
    "evaluation_*",
)
"""Files that a training and later commands leave in the folder; the weights first, so they are never there without the others."""
_BEFORE_LAST = "before_last.pt"  # the checkpoint that LAST_FILE replaced, while a training runs
_UNVALIDATED = "unvalidated"  # the files of a training before its first validated epoch
_PUBLISHED = "published"  # the same files, once they are to replace the earlier ones
_EARLIER = "earlier"  # the earlier files on their way to previous/N
_ARRIVING = "arriving"  # the new files on their way, after the earlier ones are gone


def files_of(folder: Path) -> Path:
    """The folder of the running training's files: hidden until an epoch has been validated, then the folder itself."""
    unvalidated = _hidden(folder, _UNVALIDATED)
    return unvalidated if unvalidated.is_dir() else folder


def before_last(folder: Path) -> Path:
    """Path of the checkpoint that the latest one replaced."""
    return _hidden(folder, _BEFORE_LAST)


def begin(folder: Path) -> None:
    """Prepare for a new training, whose lock this process holds: finish or remove the leftovers of killed ones."""
    finish_publishing(folder)
    discard(folder)
    before_last(folder).unlink(missing_ok=True)
    remove_leftovers(folder)
    _hidden(folder, _UNVALIDATED).mkdir(parents=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process was writing; the caller holds the folder's lock."""
    remove_parts([folder, files_of(folder), *(path for pattern in TRAINING_FILES for path in folder.glob(pattern))])


def discard(folder: Path) -> None:
    """Remove the files of a training without a validated epoch."""
    shutil.rmtree(_hidden(folder, _UNVALIDATED), ignore_errors=True)


def publish(folder: Path) -> None:
    """Replace the earlier files, which move to ``previous/N``, by the new ones; does nothing if that has been done."""
    with suppress(FileNotFoundError):
        _hidden(folder, _UNVALIDATED).rename(_hidden(folder, _PUBLISHED))
    finish_publishing(folder)


def finish_publishing(folder: Path) -> None:
    """Do the remaining steps of `publish`."""
    published, arriving = _hidden(folder, _PUBLISHED), _hidden(folder, _ARRIVING)
    if published.is_dir():
        _set_aside(folder)
        published.rename(arriving)
    if arriving.is_dir():
        for path in sorted(arriving.iterdir(), key=lambda path: path.name == WEIGHTS_FILE):  # the weights last
            path.replace(folder / path.name)
        arriving.rmdir()


def recover(folder: Path) -> None:
    """Finish the interrupted move of a killed training before the folder is read; a running training is left alone."""
    if _hidden(folder, _PUBLISHED).is_dir() or _hidden(folder, _ARRIVING).is_dir():
        with suppress(OSError):  # in use, or no write permission: the reader reports what is missing
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
    taken = [int(path.name) for path in folder.glob("previous/*") if path.name.isdecimal()]
    previous = folder / "previous" / str(max(taken, default=0) + 1)
    previous.parent.mkdir(exist_ok=True)
    earlier.rename(previous)
    logger.info("Weights of an earlier training were moved to %s", previous)


def _hidden(folder: Path, name: str) -> Path:
    return folder / HIDDEN_FOLDER / name
