"""Ignite handlers that MONAI lacks: seeds of steps, clipped gradients, a stop on a NaN, progress, history."""

from __future__ import annotations

import csv
import gc
import io
import logging
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from ignite.engine import Events
from ignite.handlers import EarlyStopping, ProgressBar
from monai.engines import Evaluator, SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.engines.workflow import Workflow
from monai.utils import CommonKeys
from torch import nn

from medseg_monai.files.writing import write_whole
from medseg_monai.program.console import keep_bars_whole
from medseg_monai.program.freed_memory import end_keeping, keep_freed_memory, return_freed_memory
from medseg_monai.training.folder import CURVES_FILE, HISTORY_FILE, files_of
from medseg_monai.training.processes import between_several, mean_over_processes
from medseg_monai.training.sampling import sample_seed

logger = logging.getLogger(__name__)


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


class KeepFreedMemory:
    """Keeps what a step frees for the next one, see `medseg_monai.program.freed_memory`, until an epoch ends, or training."""

    def attach(self, engine: Workflow) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.STARTED, keep_freed_memory)
        engine.add_event_handler(Events.EPOCH_COMPLETED, return_freed_memory)
        for end in (Events.COMPLETED, Events.TERMINATE):
            engine.add_event_handler(end, end_keeping)


class SeedSteps:
    """Let all random numbers that a step draws (dropout, for one) depend on (seed, step, process) alone.

    So they are the same whatever was drawn before: by a validation, by the workers that read images, by a training that was
    cut short and goes on.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def attach(self, engine: Workflow) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Workflow) -> None:
        """Seed torch, numpy and Python for the step."""
        seed = sample_seed(self.seed, engine.state.iteration, f"process {engine.state.rank}")
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)


class SameEverywhere:
    """Let all processes validate the weights of the first one, which are those that are kept: batch norm's statistics differ."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def attach(self, engine: Workflow) -> None:
        """Register with the trainer, before the ``ValidationHandler``."""
        if between_several():
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Workflow) -> None:
        """Send the tensors of the first process to the others."""
        for tensor in self.network.state_dict().values():
            dist.broadcast(tensor, 0)


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
    """A progress bar (tqdm) for each epoch; only on a terminal, and only in the process of rank 0.

    Args:
        what: the bar's label: ``training``.
        loss: whether the bar shows the loss.
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
        evaluator: the evaluator whose metrics are recorded in epochs with validation.
        folder: folder for the files.
    """

    def __init__(self, evaluator: Workflow, folder: str | Path) -> None:
        self.evaluator = evaluator
        self.folder = Path(folder)
        self.epochs: list[dict[str, float]] = []
        self._losses: list[float] = []
        self._began = 0.0
        self._drawn, self._drawing_seconds = 0.0, 0.0
        self._at = 0  # the epoch that the losses are of

    def state_dict(self) -> dict[str, Any]:
        """The epochs so far, and of one that was cut short its losses and seconds."""
        seconds = time.monotonic() - self._began
        return {"epochs": self.epochs, "at": self._at, "losses": self._losses, "seconds": seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state."""
        self.epochs, self._losses = [dict(epoch) for epoch in state["epochs"]], list(state["losses"])
        self._at, self._began = state["at"], time.monotonic() - state["seconds"]

    def attach(self, engine: Workflow) -> None:
        """Register with the trainer, after the ``ValidationHandler``."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._note)
        if engine.state.rank == 0:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._record)
            engine.add_event_handler(Events.COMPLETED, self._draw)

    def _start(self, engine: Workflow) -> None:
        if self._at != engine.state.epoch:  # else it goes on within the epoch
            self._losses.clear()
            self._at, self._began = engine.state.epoch, time.monotonic()

    def _note(self, engine: Workflow) -> None:
        self._losses.append(mean_over_processes(_mean_loss(engine.state.output), engine.state.device))

    def record_start(self, engine: Workflow, seconds: float) -> None:
        """Record the scores of the weights that training starts from as those of epoch 0, which has no loss."""
        self._add(engine, {}, seconds)

    def _record(self, engine: Workflow) -> None:
        self._add(engine, {"loss": sum(self._losses) / len(self._losses)}, time.monotonic() - self._began)

    def _add(self, engine: Workflow, epoch: dict[str, float], seconds: float) -> None:
        if self.evaluator.state.epoch == engine.state.epoch:
            epoch |= {name: float(value) for name, value in self.evaluator.state.metrics.items()}
        shown = ", ".join(f"{name} {value:.4f}" for name, value in epoch.items())
        logger.info("epoch %d/%d, %s (%.0f s)", engine.state.epoch, engine.state.max_epochs, shown, seconds)
        self.epochs.append({"epoch": engine.state.epoch, **epoch, "seconds": round(seconds, 1)})
        self._write()
        # epochs of less than a few seconds are drawn together, so that drawing takes no more than a twentieth of the time
        if time.monotonic() - self._drawn >= 20 * self._drawing_seconds:
            self._draw(engine)

    def _write(self) -> None:
        columns = list(dict.fromkeys(["epoch", "loss", *(key for epoch in self.epochs for key in epoch)]))
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, columns)
        writer.writeheader()
        writer.writerows(self.epochs)
        write_whole(files_of(self.folder) / HISTORY_FILE, table.getvalue().encode())

    def _draw(self, engine: Workflow) -> None:
        from medseg_monai.figures.cases import save_figure
        from medseg_monai.figures.plots import training_curves

        began = time.monotonic()
        metrics = {name for epoch in self.epochs for name in epoch} - {"epoch", "loss", "seconds"}
        losses, scores = (
            {name: [(epoch["epoch"], epoch[name]) for epoch in self.epochs if name in epoch] for name in names}
            for names in (["loss"], metrics)
        )
        try:
            save_figure(training_curves(losses, scores), files_of(self.folder) / CURVES_FILE)
        except OSError as error:  # the weights have been saved, which is what matters
            logger.warning("the training curves could not be drawn: %s", error)
        gc.collect()  # the parts of a figure, 3 MB, hold each other: Python by itself would look for them once in twenty pictures
        self._drawn = time.monotonic()
        self._drawing_seconds = self._drawn - began


class StopEarly:
    """End training after ``patience`` validations without a better key metric; 0 never does."""

    def __init__(self, evaluator: Workflow, patience: int) -> None:
        self.evaluator = evaluator
        self.patience = patience
        self._stopping: EarlyStopping | None = None

    def attach(self, engine: Workflow) -> None:
        """Register with the trainer, after the ``ValidationHandler``."""
        if self.patience > 0:
            self._stopping = EarlyStopping(self.patience, self._score, engine)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.compare)

    def state_dict(self) -> Mapping[str, Any]:
        """How many validations were not better than the best, and its score."""
        return {} if self._stopping is None else self._stopping.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state."""
        if self._stopping is not None:
            self._stopping.load_state_dict(state)

    def _score(self, trainer: Workflow) -> float:
        return float(self.evaluator.state.metrics[self.evaluator.state.key_metric_name])

    def compare(self, trainer: Workflow) -> None:
        """Compare the score with the best, if there was a validation in this epoch; end training if it is time."""
        if self._stopping is not None and self.evaluator.state.epoch == trainer.state.epoch:
            self._stopping(trainer)
