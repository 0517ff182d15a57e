"""What a training says of itself: three lines before its first epoch, then one bar for the whole run, or lines where no bar can be."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Sized
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from ignite.engine import Events
from monai.engines import Evaluator, SupervisedTrainer
from monai.engines.workflow import Workflow
from torch import nn

from medseg_monai.dataset import DatasetSpec
from medseg_monai.planning.machine import this_machine
from medseg_monai.planning.plan import Plan
from medseg_monai.planning.timing import StepTime, time_steps
from medseg_monai.program.bars import progress_bar
from medseg_monai.program.console import keep_bars_whole
from medseg_monai.program.messages import counted
from medseg_monai.training.folder import PLAN_FILE, files_of
from medseg_monai.training.memory import needed_gb
from medseg_monai.training.weight_average import bare

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger(__name__)

TRIAL_SECONDS = 3.0
"""For the estimate of a training that was not planned."""
LINE_SECONDS = 60.0
"""Without a terminal, a line is written at least so often."""
BAR = "{desc} {percentage:3.0f}%|{bar}| {postfix}"


class SayWhatComes:
    """Ignite handler: before the first epoch, three lines: on what, with what, and until when.

    Args:
        spec: the data set; its ``size`` is the network's input.
        evaluator: whose cases are counted.
        architecture: makes the network.
        precision: as in `medseg_monai.engines.precision.precision_of`.
        minutes: that the plan expects; None to try a few steps.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        evaluator: Evaluator,
        architecture: Callable[..., nn.Module],
        *,
        precision: str,
        minutes: float | None = None,
    ) -> None:
        self.spec = spec
        self.evaluator = evaluator
        self.architecture = architecture
        self.precision = precision
        self.minutes = minutes
        self._said = False

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with the trainer, after what refuses to train and before what opens files."""
        if engine.state.rank == 0:
            engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Write the lines, once: federated learning starts the trainer for each round. A training that is finished already has none."""
        if not self._said and not engine.should_terminate:
            self._said = True
            for line in self.lines(engine):
                logger.info("%s", line)

    def lines(self, engine: SupervisedTrainer) -> list[str]:
        """The three lines."""
        network, size = bare(engine.network), self.spec.size or ()
        batch = int(getattr(engine.data_loader, "batch_size", None) or 1)
        parameters = sum(parameter.numel() for parameter in network.parameters())
        epochs = engine.state.max_epochs - engine.state.epoch
        training, validation = (len(getattr(each.data_loader, "dataset", ())) for each in (engine, self.evaluator))
        machine = this_machine(engine.state.device, self.precision)
        return [
            f"on {machine}, {counted(torch.get_num_threads(), 'thread')}{self._memory(engine, batch, size)}",
            f"{training} training and {validation} validation cases of {self.spec.name}; {type(network).__name__} with {parameters:,} "
            f"parameters, input {'x'.join(map(str, size))}, batch {batch}",
            f"{counted(epochs, 'epoch')} of {_steps(engine)} steps: {done_at(self._seconds(engine, network, batch, size))}",
        ]

    def _memory(self, engine: SupervisedTrainer, batch: int, size: tuple[int, ...]) -> str:
        """What a step takes; nothing for a network that cannot be run without numbers."""
        with suppress(RuntimeError, NotImplementedError, TypeError):
            needed = needed_gb(
                self.spec, self.architecture, size, batch, precision=self.precision, device=engine.state.device
            )
            return f"; a step takes about {needed:.1f} GB"
        return ""

    def _seconds(self, engine: SupervisedTrainer, network: nn.Module, batch: int, size: tuple[int, ...]) -> float:
        """What the whole run takes, about; NaN if it cannot be said."""
        if self.minutes is not None:
            return 60 * self.minutes
        try:
            step = time_steps(
                copy.deepcopy(network), engine.loss_function, self.spec, size, batch=batch, precision=self.precision,
                device=engine.state.device, most_seconds=TRIAL_SECONDS,
            )  # fmt: skip
        except (RuntimeError, ValueError, TypeError, IndexError):  # noise is not for every loss and network
            return math.nan
        return run_seconds(step, _count(engine), _count(self.evaluator), engine.state.max_epochs - engine.state.epoch)


def run_seconds(step: StepTime, training: int, validation: int, epochs: int) -> float:
    """Seconds of so many epochs with validation, by the network alone."""
    return epochs * (training * step.train + validation * step.forward)


def _steps(engine: Workflow) -> int:
    """Batches in an epoch."""
    return len(engine.data_loader) if isinstance(engine.data_loader, Sized) else 0


def _count(engine: Workflow) -> int:
    """Samples in an epoch."""
    data = getattr(engine.data_loader, "sampler", None) or engine.data_loader
    return len(data) if isinstance(data, Sized) else 0


def done_at(seconds: float, now: datetime | None = None) -> str:
    """When something ends that takes so long.

    >>> done_at(5400, datetime(2024, 5, 1, 22, 45))
    'about 1 h 30 min, done at about 00:15 tomorrow'
    """
    if not math.isfinite(seconds):
        return "how long they take is not known"
    now = now or datetime.now()
    end = now + timedelta(seconds=seconds)
    days = (end.date() - now.date()).days
    when = f"{end:%H:%M}{'' if days == 0 else ' tomorrow' if days == 1 else f' in {days} days'}"
    return f"about {duration(seconds)}, done at about {when}"


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(0.345), duration(42), duration(754), duration(7260), duration(200000)
    ('0.34 s', '42 s', '13 min', '2 h 1 min', '2 d 7 h')
    """
    if seconds < 100:
        return f"{seconds:.2g} s" if 0 < seconds < 1 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


class KeepPlan:
    """Ignite handler: the plan of a training lies beside its weights, so that it can be repeated and continued by it.

    Args:
        plan: that is followed.
        folder: of the training.
    """

    def __init__(self, plan: Plan, folder: str | Path) -> None:
        self.plan = plan
        self.folder = Path(folder)

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with the trainer, after what makes the folder ready."""
        if engine.state.rank == 0:
            engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Write it, before the first step."""
        if engine.state.epoch == 0:
            self.change()

    def change(self, **values: Any) -> None:
        """Write it with other values."""
        self.plan = replace(self.plan, **values)
        self.plan.write(files_of(self.folder) / PLAN_FILE)


class RunProgress:
    """Ignite handler: one bar for the whole run, with what is left, pictures per second, loss and scores; without a terminal, lines.

    Args:
        evaluator: whose key metric is shown.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self.bar: tqdm[NoReturn] | None = None
        self._first = 0
        self._counts = False
        self._began = self._said = 0.0

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with the trainer."""
        if engine.state.rank == 0:
            keep_bars_whole()
            engine.add_event_handler(Events.STARTED, self._start)
            engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
            engine.add_event_handler(Events.COMPLETED, self._close)
            engine.add_event_handler(Events.EXCEPTION_RAISED, self._close)

    def _start(self, engine: SupervisedTrainer) -> None:
        self._close(engine)
        self._counts = False
        self.bar = progress_bar()(
            total=engine.state.max_epochs * _steps(engine), initial=engine.state.iteration, desc="training", bar_format=BAR, smoothing=0,
            dynamic_ncols=True, leave=False,
        )  # fmt: skip

    def _begin(self, engine: SupervisedTrainer) -> None:
        """Count from the first step on: what is done before it is done once, and a training that goes on has taken up its place by then."""
        if not self._counts:
            self._counts, self._first = True, engine.state.iteration
            self._began = self._said = time.monotonic()

    def _step(self, engine: SupervisedTrainer) -> None:
        if self.bar is None:
            return
        now = time.monotonic()
        if not self.bar.disable:
            self.bar.total = engine.state.max_epochs * _steps(engine)  # a slow training is shortened
            self.bar.set_postfix_str(self.text(engine, now - self._began), refresh=False)
            self.bar.update(engine.state.iteration - self.bar.n)
        elif now - self._said > LINE_SECONDS:
            self._said = now
            logger.info("%s", self.text(engine, now - self._began))

    def text(self, engine: SupervisedTrainer, seconds: float) -> str:
        """How far the run is after so many seconds."""
        done = engine.state.iteration - self._first
        pictures = done * int(getattr(engine.data_loader, "batch_size", None) or 1)
        left = seconds / done * (engine.state.max_epochs * _steps(engine) - engine.state.iteration)
        parts = [
            f"epoch {engine.state.epoch}/{engine.state.max_epochs}",
            f"{pictures / max(seconds, 1e-9):.3g} images/s",
        ]
        return ", ".join([*parts, *self._scores(), f"{duration(left)} left"])

    def _scores(self) -> list[str]:
        """The last and the best score, if there was a validation."""
        state = self.evaluator.state
        name = getattr(state, "key_metric_name", None)
        if name is None or name not in state.metrics:
            return []
        return [f"{name} {float(state.metrics[name]):.3f} (best {float(state.best_metric):.3f})"]

    def _close(self, engine: SupervisedTrainer, error: BaseException | None = None) -> None:
        """Take the bar away; who keeps the weights raises the error."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
