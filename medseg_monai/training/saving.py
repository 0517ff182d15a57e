"""What a training keeps of itself: its best weights with their spec, and a checkpoint to continue from."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.engines.workflow import Workflow
from torch import nn

from medseg_monai.bundle.trained import WEIGHTS_FILE, Trained, describe, write_weights
from medseg_monai.dataset import DatasetSpec
from medseg_monai.files.writing import lock_folder
from medseg_monai.program.process import IS_PROGRAM
from medseg_monai.program.signals import undisturbed
from medseg_monai.training.checkpoint import Stateful, find_checkpoint, read_checkpoint, write_checkpoint
from medseg_monai.training.continuing import Continuation, between_processes, put_back, starts_within_epoch, state_of
from medseg_monai.training.folder import files_of, finish_publishing, publish
from medseg_monai.training.processes import between_several, has_lost_another
from medseg_monai.training.recorded import read_record, write_record
from medseg_monai.training.run_record import versions
from medseg_monai.training.stops import BY_SIGNAL, BY_TIME, NOTHING, StopRequests, agreed, raise_signal

logger = logging.getLogger(__name__)

LOST = (
    "another process of this training has ended, or cannot be reached: see what it said; then start all of them again "
    "with --resume true"
)
LESS = "what its last finished epoch left"


class SaveTrained:
    """Keep the best weights (``model.pt``, with ``spec.json``) and the latest state (``last.pt``), and continue from that.

    Attach to the trainer after the ``ValidationHandler``: the best weights are those of the epoch that the evaluator's key metric
    names. Files appear whole or not at all, and none in the place of an earlier training's before an epoch has been validated
    (`medseg_monai.training.folder`). Only the process of rank 0 writes; no other training can write to the folder meanwhile.

    A state is kept after each epoch, after the weights that it calls the best, so that a kill at any moment leaves a state from which
    the same follows. What asks to stop (`medseg_monai.training.stops`) ends the training after its step, or within validation, with
    a state of that moment.

    Args:
        network: what is saved; the bare network, not its wrapper for several processes.
        folder: where to; created.
        spec: the data set's spec.
        architecture: the config's network class with its arguments.
        bundle: name of the bundle.
        evaluator: MONAI evaluator whose key metric says which epoch is best.
        facts: more to write into ``spec.json`` (seed, precision …).
        parts: what else has a state, by name, beside the trainer, its network, optimiser and loss scaler.
        continuation: whether to continue what the folder holds; by default a new training begins.
        minutes: time after which to stop; None for any.
    """

    def __init__(
        self,
        network: nn.Module,
        folder: str | Path,
        *,
        spec: DatasetSpec,
        architecture: partial[nn.Module] | type[nn.Module],
        bundle: str,
        evaluator: Workflow,
        facts: Mapping[str, Any] | None = None,
        parts: Mapping[str, Stateful] | None = None,
        continuation: Continuation | None = None,
        minutes: float | None = None,
    ) -> None:
        self.network = network
        self.folder = Path(folder)
        self.trained = Trained(dataset=spec, architecture=describe(architecture), bundle=bundle)
        self.trained.check_channels()
        self.evaluator = evaluator
        self.facts = dict(facts or {})
        self.parts = dict(parts or {})
        self.continuation = continuation or Continuation(self.folder)
        self.stops = StopRequests(self.folder, minutes)
        self._began = 0.0
        self._facts: dict[str, Any] = {}
        self._lock: FileLock | None = None
        self._running = False
        self._cause = NOTHING

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._exception_raised)

    def _start(self, engine: SupervisedTrainer) -> None:
        first = engine.state.rank == 0
        if first:
            self._lock = lock_folder(self.folder)
            self.stops.forget_file()
        self._cause = NOTHING
        self.stops.listen()
        if engine.state.epoch == 0:  # else the next round of federated learning: the same training goes on
            self._begin(engine, between_processes(self.continuation.begin(engine, self.evaluator) if first else None))
        self._running = True

    def _begin(self, engine: SupervisedTrainer, file: Path | None) -> None:
        """Begin, or go on from a checkpoint."""
        self._began, self._facts = time.monotonic(), {}
        self.trained = replace(self.trained, weights_sha256=())
        content = {} if file is None else read_checkpoint(file)
        if content.get("finished"):
            logger.info("%s is finished (epoch %d): nothing to continue", self.folder, content["epoch"])
            engine.terminate(skip_completed=True)
            self._release()
            return
        self._register(engine)
        if content:
            self._continue(engine, content)

    def _register(self, engine: SupervisedTrainer) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._stop_after_step)
        engine.add_event_handler(Events.TERMINATE, self._terminated)
        if engine.state.rank == 0:
            self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._stop_in_validation, engine)
            # after the handlers of any other kind, so that what they record of an epoch is published with its weights
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.keep_epoch)
        engine.add_event_handler(Events.COMPLETED, self._completed)

    def _continue(self, engine: SupervisedTrainer, content: Mapping[str, Any]) -> None:
        """Take up where a checkpoint was taken; an epoch that was all but validated is completed now."""
        self.network.load_state_dict(content["network"])
        put_back(engine, self.parts, content["state"])
        self._began -= content["seconds"]
        if engine.state.rank == 0 and (files_of(self.folder) / WEIGHTS_FILE).is_file():
            saved = Trained.read(self.folder)
            self.trained = replace(self.trained, weights_sha256=saved.weights_sha256)
            self._facts = {key: saved.training[key] for key in ("best_epoch", "validation") if key in saved.training}
        where = f"epoch {engine.state.epoch + 1} of {engine.state.max_epochs}"
        logger.info("%s goes on in %s", self.folder, where if content["closed"] else f"{where}, within it")
        if not content["closed"] and engine.state.iteration and engine.state.iteration % engine.state.epoch_length == 0:
            engine.fire_event(Events.EPOCH_COMPLETED)

    def keep_epoch(self, engine: SupervisedTrainer) -> None:
        """Keep the state after an epoch, or after the start was scored (epoch 0), and the weights if they are the best so far."""
        best = self.evaluator.state.best_metric_epoch == engine.state.epoch
        with undisturbed():
            if best:
                metrics = {name: float(value) for name, value in self.evaluator.state.metrics.items()}
                self._facts |= {"best_epoch": engine.state.epoch, "validation": metrics}
                write_weights(files_of(self.folder), self.network.state_dict(), self._described(engine))
            # after the weights: a state that calls an epoch the best must not outlive a kill that those did not
            self._write_last(engine, closed=True)
            if best:
                publish(self.folder)
                self.trained = Trained.read(self.folder)  # with the checksum

    def _stop_after_step(self, engine: SupervisedTrainer) -> None:
        self._cause = agreed(self.stops.cause(), engine.state.device)
        if self._cause:
            engine.terminate(skip_completed=True)

    def _stop_in_validation(self, evaluator: Workflow, engine: SupervisedTrainer) -> None:
        """A signal does not wait for the whole validation; several processes do, lest they wait for each other."""
        cause = self.stops.cause() if self._running and not between_several() else NOTHING
        if cause >= BY_SIGNAL:
            self._cause = cause
            self._stop(engine)

    def _terminated(self, engine: SupervisedTrainer) -> None:
        if self._cause:  # else it ended early by itself, and is complete
            self._stop(engine)

    def _stop(self, engine: SupervisedTrainer) -> None:
        """Keep the state of this moment and end.

        Raises:
            KeyboardInterrupt: a signal asked to stop.
        """
        try:
            with undisturbed():
                if engine.state.rank == 0:
                    whole = starts_within_epoch(engine) or engine.state.iteration % engine.state.epoch_length == 0
                    if whole:
                        self._write_last(engine, closed=False)
                    self._say_stopped(engine, self.stops.describe(self._cause), "all" if whole else LESS)
                    self.stops.forget_file()
        finally:
            self._release()
        if self._cause >= BY_SIGNAL:
            raise_signal(self._cause - BY_SIGNAL)

    def _completed(self, engine: SupervisedTrainer) -> None:
        if engine.state.rank == 0:
            with undisturbed():
                self._finish(engine)
        self._release()

    def _finish(self, engine: SupervisedTrainer) -> None:
        if not (self.folder / WEIGHTS_FILE).is_file() or files_of(self.folder) != self.folder:
            write_weights(files_of(self.folder), self.network.state_dict(), self._described(engine))
            publish(self.folder)
            self.trained = Trained.read(self.folder)
            logger.warning("No epoch was validated: %s holds the last one", self.folder / WEIGHTS_FILE)
        self._described(engine).write(self.folder)
        write_record(self.folder, {**(read_record(self.folder) or {}), "finished": True})
        # nothing is left to continue: the weights alone
        content = {"network": self.network.state_dict(), "epoch": engine.state.epoch, "finished": True}
        write_checkpoint(self.folder, content, keep_before=False)
        if not IS_PROGRAM.get():  # else the command's last lines say so
            kept = self._facts.get("best_epoch", engine.state.epoch)
            logger.info("%s holds epoch %d of %d", self.folder / WEIGHTS_FILE, kept, engine.state.epoch)

    def _exception_raised(self, engine: SupervisedTrainer, error: BaseException) -> None:
        try:
            if self._running and has_lost_another(error):
                logger.error(LOST)
            if self._running and engine.state.rank == 0:  # else the folder is another's, or all is done
                with undisturbed():
                    self._end_early(engine, error)
        finally:
            self._release()
        raise error

    def _end_early(self, engine: SupervisedTrainer, error: BaseException) -> None:
        """What an epoch's end has kept stays."""
        finish_publishing(self.folder)
        kept = find_checkpoint(self.folder)
        if kept is None and files_of(self.folder) != self.folder:
            logger.warning("Ended within the first epoch: nothing is kept, %s stays as it was", self.folder)
        elif isinstance(error, KeyboardInterrupt):
            self._say_stopped(engine, str(error) or "the user", LESS)
        elif isinstance(error, FloatingPointError):  # which would come again
            if (best := self._facts.get("best_epoch")) is not None:
                logger.warning("%s keeps the weights of the best epoch so far, %d", self.folder, best)
        elif kept is not None:
            logger.warning("What was learnt until then is kept in %s: --resume goes on from there", self.folder)

    def _say_stopped(self, engine: SupervisedTrainer, by: str, what: str) -> None:
        if files_of(self.folder) == self.folder:
            self._described(engine).write(self.folder)
        logger.warning(
            "Stopped by %s in epoch %d of %d; %s is kept in %s: the same command%s goes on from there",
            by,
            engine.state.epoch,
            engine.state.max_epochs,
            what,
            self.folder,
            "" if self._cause == BY_TIME else " with --resume",
        )

    def _release(self) -> None:
        self.stops.end()
        self._running = False
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _write_last(self, engine: SupervisedTrainer, *, closed: bool) -> None:
        """Keep a state to continue from.

        Args:
            engine: the trainer.
            closed: whether all that follows an epoch's last step has been done.
        """
        content = {
            "network": self.network.state_dict(),  # what is saved; of the trained weights, one copy if they are the same
            "epoch": engine.state.epoch,
            "finished": False,
            "closed": closed,
            "seconds": time.monotonic() - self._began,
            "state": state_of(engine, self.parts),
        }
        write_checkpoint(self.folder, content)

    def _described(self, engine: SupervisedTrainer) -> Trained:
        facts: dict[str, Any] = {
            **self.facts,
            "epochs": engine.state.epoch,
            "epochs_planned": engine.state.max_epochs,
            "train_seconds": round(time.monotonic() - self._began, 1),
            **self._facts,
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "device": str(engine.state.device),
            "versions": versions(),
        }
        return replace(self.trained, training=facts)
