"""Ignite handlers that MONAI lacks: keep the weights with their spec, clip gradients, stop on a NaN, show progress."""

from __future__ import annotations

import csv
import io
import logging
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from ignite.engine import Events
from ignite.handlers import EarlyStopping, ProgressBar
from monai.engines import Evaluator, SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.engines.workflow import Workflow
from monai.utils import CommonKeys
from torch import nn

import medseg_monai
from medseg_monai.bundle.trained import (
    LAST_FILE,
    WEIGHTS_FILE,
    Trained,
    describe,
    write_weights,
)
from medseg_monai.dataset import DatasetSpec
from medseg_monai.files.writing import lock_folder, write_whole
from medseg_monai.program.console import keep_bars_whole
from medseg_monai.program.signals import stop_like_ctrl_c, undisturbed
from medseg_monai.training.folder import (
    CURVES_FILE,
    HISTORY_FILE,
    begin,
    discard,
    files_of,
    finish_publishing,
    publish,
)

logger = logging.getLogger(__name__)


class SaveTrained:
    """Keep the best weights (``model.pt``) and the latest state (``last.pt``), with ``spec.json`` beside them.

    Attach to the trainer after the ``ValidationHandler``: the best weights are those of the epoch that the evaluator's key metric
    names. Files appear whole or not at all, and none in the place of an earlier training's before an epoch has been validated
    (`medseg_monai.training.folder`). Ctrl-C and SIGTERM keep the state they met. Only the process of rank 0 writes; no other training
    can write to the folder meanwhile.

    Args:
        network: what is saved; the bare network, not its wrapper for several processes.
        folder: where to; created.
        spec: the data set's spec.
        architecture: the config's network class with its arguments.
        bundle: name of the bundle.
        evaluator: MONAI evaluator whose key metric says which epoch is best.
        facts: more to write into ``spec.json`` (seed, precision …).
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
    ) -> None:
        self.network = network
        self.folder = Path(folder)
        self.trained = Trained(dataset=spec, architecture=describe(architecture), bundle=bundle)
        self.trained.check_channels()
        self.evaluator = evaluator
        self.facts = dict(facts or {})
        self._began = 0.0
        self._facts: dict[str, Any] = {}
        self._lock: FileLock | None = None
        self._stop_as_before: Callable[[], None] = lambda: None

    def attach(self, engine: Workflow) -> None:
        """Register with the trainer."""
        if engine.state.rank == 0:
            engine.add_event_handler(Events.STARTED, self._start)
            engine.add_event_handler(Events.EXCEPTION_RAISED, self._exception_raised)

    def _start(self, engine: Workflow) -> None:
        self._lock, self._stop_as_before = lock_folder(self.folder), stop_like_ctrl_c()
        if engine.state.epoch > 0:  # the next round of federated learning: the same training goes on
            return
        # after the handlers of any other kind, so that what they record of an epoch is published with its weights
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_completed)
        engine.add_event_handler(Events.COMPLETED, self._completed)
        begin(self.folder)
        self._began = time.monotonic()
        self._facts = {}
        self.trained = replace(self.trained, weights_sha256=())

    def _epoch_completed(self, engine: Workflow) -> None:
        with undisturbed():
            self._write_last(engine)
            if self.evaluator.state.best_metric_epoch == engine.state.epoch:
                metrics = {name: float(value) for name, value in self.evaluator.state.metrics.items()}
                self._facts |= {"best_epoch": engine.state.epoch, "validation": metrics}
                self._write_weights(engine)

    def _completed(self, engine: Workflow) -> None:
        with undisturbed():
            if not (self.folder / WEIGHTS_FILE).is_file() or files_of(self.folder) != self.folder:
                self._write_weights(engine)
                logger.warning("No epoch was validated: %s holds the last one", self.folder / WEIGHTS_FILE)
            self._described(engine).write(self.folder)
            self._release()

    def _exception_raised(self, engine: Workflow, error: BaseException) -> None:
        if self._lock is not None:  # else the folder is another's
            with undisturbed():
                self._end_early(engine, error)
                self._release()
        raise error

    def _end_early(self, engine: Workflow, error: BaseException) -> None:
        """Keep what an interrupted training has learnt, or else what was there before it."""
        finish_publishing(self.folder)
        if files_of(self.folder) != self.folder:
            discard(self.folder)
            logger.warning("Ended before an epoch was validated: nothing is kept, %s stays as it was", self.folder)
        elif isinstance(error, KeyboardInterrupt):
            self._write_last(engine)
            self._described(engine).write(self.folder)
            reason = str(error) or "the user"
            logger.warning("Stopped by %s in epoch %d; weights kept in %s", reason, engine.state.epoch, self.folder)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._stop_as_before()
            self._lock = None

    def _write_last(self, engine: Workflow) -> None:
        self._write_tensors(LAST_FILE, {"network": self.network.state_dict(), "epoch": engine.state.epoch})

    def _write_tensors(self, name: str, content: object) -> None:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_whole(files_of(self.folder) / name, buffer.getvalue())

    def _write_weights(self, engine: Workflow) -> None:
        write_weights(files_of(self.folder), self.network.state_dict(), self._described(engine))
        publish(self.folder)
        self.trained = Trained.read(self.folder)  # with the checksum

    def _described(self, engine: Workflow) -> Trained:
        facts: dict[str, Any] = {
            **self.facts,
            "epochs": engine.state.epoch,
            "epochs_planned": engine.state.max_epochs,
            "train_seconds": round(time.monotonic() - self._began, 1),
            **self._facts,
            "parameters": sum(parameter.numel() for parameter in self.network.parameters()),
            "device": str(engine.state.device),
            "versions": _versions(),
        }
        return replace(self.trained, training=facts)


def _versions() -> dict[str, str]:
    """Versions of what decides a result, for ``spec.json``."""
    found = {"medseg-monai": medseg_monai.__version__, "python": platform.python_version()}
    for package in ("torch", "monai", "pytorch-ignite", "numpy", "timm"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


class ValidateLastEpoch:
    """Validate after the last epoch too if the interval would skip it: its weights may be the best."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def attach(self, engine: Workflow) -> None:
        """Register with the trainer, after the ``ValidationHandler``."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Workflow) -> None:
        """Run the evaluator unless it ran in this epoch."""
        if engine.state.epoch == engine.state.max_epochs and self.evaluator.state.epoch != engine.state.epoch:
            self.evaluator.run(engine.state.epoch)


class ClipGradients:
    """Scale gradients down to a total norm of at most ``max_norm`` before each optimiser step (Pascanu 2013, arXiv:1211.5063)."""

    def __init__(self, network: nn.Module, max_norm: float) -> None:
        self.network = network
        self.max_norm = max_norm

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with the trainer."""
        if self.max_norm > 0:
            engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Clip, in the true scale of the gradients when a loss scaler is in use."""
        if engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_norm)


class Progress:
    """A progress bar (tqdm) for each epoch; on a terminal only, and only in the process of rank 0.

    Args:
        what: is done, as a word: ``training``.
        loss: whether the bar says it.
    """

    def __init__(self, what: str = "training", *, loss: bool = True) -> None:
        self.what = what
        self.loss = loss

    def attach(self, engine: Workflow) -> None:
        """Register with the engine."""
        if engine.state.rank == 0:
            keep_bars_whole()
            bar = ProgressBar(desc=self.what, persist=False, bar_format=None, ncols=90, disable=None)
            loss = (lambda output: {"loss": _mean_loss(output)}) if self.loss else None
            bar.attach(engine, output_transform=loss)


def _mean_loss(output: Any) -> float:
    """Mean loss of an iteration's output, decollated (a list) or not."""
    items = output if isinstance(output, list) else [output]
    return sum(float(torch.as_tensor(item[CommonKeys.LOSS]).detach()) for item in items) / len(items)


class RecordEpochs:
    """One line per epoch in the log and in ``history.csv``; the curves in ``training.png``.

    Args:
        evaluator: whose metrics are recorded in the epochs that validate.
        folder: where the files go.
    """

    def __init__(self, evaluator: Workflow, folder: str | Path) -> None:
        self.evaluator = evaluator
        self.folder = Path(folder)
        self.epochs: list[dict[str, float]] = []
        self._losses: list[float] = []
        self._began = 0.0
        self._drawn, self._drawing_seconds = 0.0, 0.0

    def attach(self, engine: Workflow) -> None:
        """Register with the trainer, after the ``ValidationHandler``."""
        if engine.state.rank == 0:
            engine.add_event_handler(Events.EPOCH_STARTED, self._start)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._note)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._record)
            engine.add_event_handler(Events.COMPLETED, self._draw)

    def _start(self, engine: Workflow) -> None:
        self._losses.clear()
        self._began = time.monotonic()

    def _note(self, engine: Workflow) -> None:
        self._losses.append(_mean_loss(engine.state.output))

    def _record(self, engine: Workflow) -> None:
        epoch = {"loss": sum(self._losses) / len(self._losses)}
        if self.evaluator.state.epoch == engine.state.epoch:
            epoch |= {name: float(value) for name, value in self.evaluator.state.metrics.items()}
        seconds = time.monotonic() - self._began
        shown = ", ".join(f"{name} {value:.4f}" for name, value in epoch.items())
        logger.info("epoch %d/%d, %s (%.0f s)", engine.state.epoch, engine.state.max_epochs, shown, seconds)
        self.epochs.append({"epoch": engine.state.epoch, **epoch, "seconds": round(seconds, 1)})
        self._write()
        # epochs of less than a few seconds are drawn together, so that drawing takes no more than a twentieth of the time
        if time.monotonic() - self._drawn >= 20 * self._drawing_seconds:
            self._draw(engine)

    def _write(self) -> None:
        columns = list(dict.fromkeys(key for epoch in self.epochs for key in epoch))
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, columns)
        writer.writeheader()
        writer.writerows(self.epochs)
        write_whole(files_of(self.folder) / HISTORY_FILE, table.getvalue().encode())

    def _draw(self, engine: Workflow) -> None:
        from medseg_monai.figures.cases import save_figure
        from medseg_monai.figures.plots import training_curves

        began = time.monotonic()
        metrics = self.evaluator.state.metrics
        losses, scores = (
            {name: [(epoch["epoch"], epoch[name]) for epoch in self.epochs if name in epoch] for name in names}
            for names in (["loss"], metrics)
        )
        try:
            save_figure(training_curves(losses, scores), files_of(self.folder) / CURVES_FILE)
        except OSError as error:  # the weights are there, and that is what counts
            logger.warning("no picture of the training's curves: %s", error)
        self._drawn = time.monotonic()
        self._drawing_seconds = self._drawn - began


class StopEarly:
    """End training after ``patience`` validations without a better key metric; 0 never does."""

    def __init__(self, evaluator: Workflow, patience: int) -> None:
        self.evaluator = evaluator
        self.patience = patience

    def attach(self, engine: Workflow) -> None:
        """Register with the trainer, after the ``ValidationHandler``."""
        if self.patience <= 0:
            return

        def score(trainer: Workflow) -> float:
            return float(self.evaluator.state.metrics[self.evaluator.state.key_metric_name])

        stopping = EarlyStopping(self.patience, score, engine)

        def validated(trainer: Workflow) -> None:
            if self.evaluator.state.epoch == trainer.state.epoch:
                stopping(trainer)

        engine.add_event_handler(Events.EPOCH_COMPLETED, validated)
