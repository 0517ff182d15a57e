"""Whether a training goes on with what its folder holds, and how it takes up where that ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch.distributed as dist
from monai.engines import SupervisedTrainer
from monai.engines.workflow import Workflow
from torch.utils.data import DataLoader

from medseg_monai.training.checkpoint import Stateful, find_checkpoint
from medseg_monai.training.folder import (
    LAST_FILE,
    WEIGHTS_FILE,
    begin,
    discard,
    files_of,
    finish_publishing,
    publish,
    remove_leftovers,
)
from medseg_monai.training.processes import between_several
from medseg_monai.training.recorded import changes_of_machine, read_record, write_record
from medseg_monai.training.run_record import refuse_other_run
from medseg_monai.training.sampling import SeededSampler
from medseg_monai.training.weight_average import bare

logger = logging.getLogger(__name__)

Content = dict[str, Any]


class Continuation:
    """Decides, before the first step, whether a training begins or goes on.

    Args:
        folder: the training's.
        resume: True to continue what the folder holds, False to begin anew; None to continue only what ran with a time limit.
        describe: of a trainer and its evaluator, what ``run.json`` says of the run; by default nothing.
    """

    def __init__(
        self,
        folder: Path,
        resume: bool | None = None,
        describe: Callable[[Workflow, Workflow], Content] | None = None,
    ) -> None:
        self.folder = folder
        self.resume = resume
        self.describe = describe or (lambda trainer, evaluator: {})

    def begin(self, trainer: Workflow, evaluator: Workflow) -> Path | None:
        """Make the folder, whose lock this process holds, ready to begin or to go on.

        Returns:
            The checkpoint to continue from; None if the training begins.

        Raises:
            ValueError: what is to be continued is another run: other data, other settings.
        """
        run = self.describe(trainer, evaluator)
        file = self._to_continue(run)
        if file is None:
            begin(self.folder)
            write_record(self.folder, run)
        return file

    def _to_continue(self, run: Content) -> Path | None:
        recorded = _take_up(self.folder)
        if self.resume is False or (self.resume is None and not _goes_on_by_itself(recorded)):
            if recorded is not None and not recorded.get("finished"):
                logger.info(
                    "%s holds a training that has not ended; a new one begins (--resume continues)", self.folder
                )
            return None
        found = find_checkpoint(self.folder)
        if found is None:
            logger.info("%s holds no checkpoint to continue from: the training begins", self.folder)
        elif recorded is not None and not recorded.get("finished"):
            refuse_other_run(self.folder, recorded, run)
            self._note_changes(recorded, run)
        return found

    def _note_changes(self, recorded: Content, run: Content) -> None:
        """Record how the machine has changed since the training began, for a repetition."""
        noted = recorded.get("continued_with") or []
        if new := [change for change in changes_of_machine(recorded, run) if change not in noted]:
            write_record(self.folder, {**recorded, "continued_with": [*noted, *new]})


def _take_up(folder: Path) -> Content | None:
    """Put the folder in order after a kill; what is recorded of the training to continue, if there is one.

    That is the last one that began, unless it was killed before its first checkpoint and would replace one that can be continued.
    """
    finish_publishing(folder)
    remove_leftovers(folder)
    hidden = files_of(folder)
    if hidden == folder:
        return read_record(folder)
    if not (hidden / LAST_FILE).is_file():
        earlier = read_record(folder)
        if earlier is not None and not earlier.get("finished"):
            discard(folder)
            return earlier
    elif (hidden / WEIGHTS_FILE).is_file():  # an epoch has been validated, and the checkpoint knows of it
        publish(folder)
    return read_record(files_of(folder))


def _goes_on_by_itself(recorded: Content | None) -> bool:
    """Whether a run has not finished and was given a time: to stop, or to be done in."""
    if recorded is None or recorded.get("finished"):
        return False
    return recorded.get("stop_after") is not None or (recorded.get("config") or {}).get("minutes") is not None


def between_processes(file: Path | None) -> Path | None:
    """What the process of rank 0 found, in all processes; each waits until it has."""
    if not between_several():
        return file
    found = [None if file is None else str(file)]
    dist.broadcast_object_list(found)
    return None if found[0] is None else Path(found[0])


def recorded_start(folder: Path, resume: bool | None) -> Content | None:
    """What is recorded of the weights that the training in `folder` started from, if it goes on from a checkpoint; else None.

    Args:
        folder: the training's.
        resume: as for `Continuation`.
    """
    recorded = read_record(files_of(folder)) or read_record(folder) or {}
    goes_on = not recorded.get("finished") and (_goes_on_by_itself(recorded) if resume is None else resume)
    start = recorded.get("start")
    said = isinstance(start, dict) and {"file", "sha256"} <= start.keys()
    return start if goes_on and said and find_checkpoint(folder) is not None else None


class BestSoFar:
    """The best score of an evaluator, as a part of the training's state.

    Args:
        evaluator: MONAI's.
    """

    def __init__(self, evaluator: Workflow) -> None:
        self.evaluator = evaluator

    def state_dict(self) -> Content:
        """The best score and its epoch."""
        state = self.evaluator.state
        return {"metric": float(state.best_metric), "epoch": state.best_metric_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state."""
        self.evaluator.state.best_metric = state["metric"]
        self.evaluator.state.best_metric_epoch = state["epoch"]


def state_of(trainer: SupervisedTrainer, parts: Mapping[str, Stateful]) -> Content:
    """The state of a trainer and of all that is stepped with it; what `put_back` takes."""
    return {name: part.state_dict() for name, part in _parts_of(trainer, parts).items()}


def put_back(trainer: SupervisedTrainer, parts: Mapping[str, Stateful], state: Mapping[str, Any]) -> None:
    """Put a trainer back to where a state was taken, within an epoch too.

    Raises:
        ValueError: the state is of another kind of training.
    """
    wanted = _parts_of(trainer, parts)
    if wanted.keys() != state.keys():
        other = ", ".join(sorted(wanted.keys() ^ state.keys()))
        raise ValueError(f"the checkpoint is of a training with other parts ({other}): begin anew without --resume")
    length = state["trainer"]["epoch_length"]
    if length != trainer.state.epoch_length:
        raise ValueError(
            f"the checkpoint is of epochs of {length} batches, and here they have {trainer.state.epoch_length}: "
            "continue with the data and batch size that it began with, or begin anew without --resume"
        )
    for name, part in wanted.items():
        part.load_state_dict(state[name])
    done, loader = trainer.state.iteration % length, trainer.data_loader
    if done and isinstance(loader, DataLoader) and isinstance(loader.sampler, SeededSampler):
        loader.sampler.skip_once(done * (loader.batch_size or 1))


def starts_within_epoch(trainer: Workflow) -> bool:
    """Whether the trainer's data can begin in the middle of an epoch; else one that was cut short is repeated."""
    return isinstance(getattr(trainer.data_loader, "sampler", None), SeededSampler)


def _parts_of(trainer: SupervisedTrainer, parts: Mapping[str, Stateful]) -> dict[str, Stateful]:
    """All parts with a state: the trainer's own, then the others; nothing is in it twice."""
    own: dict[str, Stateful] = {"trainer": trainer, "weights": bare(trainer.network), "optimizer": trainer.optimizer}
    if trainer.scaler is not None:
        own["scaler"] = trainer.scaler
    return {**own, **parts}


def wanted(answer: bool | str | None) -> bool | None:
    """Yes, no or nothing said, also as words: ``--resume true`` reaches a config of MONAI as text.

    Raises:
        ValueError: another word.
    """
    words = {"true": True, "false": False, "none": None, "null": None}
    if isinstance(answer, str):
        if answer.lower() not in words:
            raise ValueError(f"resume is true or false, not {answer!r}")
        return words[answer.lower()]
    return answer
