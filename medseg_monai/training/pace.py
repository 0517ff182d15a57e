"""A training that turns out slower than planned goes through fewer epochs, so that it ends in the time that it was given.

The clock decides as seldom as it can: what it decides is written into the plan beside the weights before it takes effect, and stands in the
checkpoint. Who continues the training, or repeats it by that plan, does the same whatever the clock says then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Protocol

from ignite.engine import Events
from monai.engines import Evaluator, SupervisedTrainer
from monai.engines.workflow import Workflow

from medseg_monai.training.processes import between_several
from medseg_monai.training.progress import KeepPlan, duration

logger = logging.getLogger(__name__)

SAFE = 0.95
"""Share of the time that is left which a changed training is to take: the next look at the clock is not to change it again."""
ROOM = 0.85
"""A shortened training that would end within this share of the time gets epochs back."""
RECENT = 5
"""Epochs whose median is taken: one that a sleeping laptop stretched decides nothing."""
EARLY = 0.1
"""Share of the time in which nothing is decided: what is done once (files, pictures, memory) makes the first seconds slow."""


class HasLength(Protocol):
    """A part of a training that depends on how many steps it has."""

    def change_length(self, steps: int, *, instead_of: int) -> None:
        """The run has so many steps now."""


class KeepTime:
    """Ignite handler: see the module. At the end of each epoch it estimates when the training will end.

    What the first epoch and the first validation waited for their cases does not count: these are decoded once. A training that goes on
    keeps the epochs that its checkpoint has, so that it ends with the weights of one that nobody interrupted.

    Args:
        kept: the plan. Its ``most_minutes`` run from now on, so that what is done before the first step counts; its ``changed_epochs`` are
            obeyed.
        evaluator: runs validation.
        val_interval: epochs between two validations.
        parts: are told of another number of steps.
        clock: gives seconds; None for those of the clock on the wall.
    """

    def __init__(
        self,
        kept: KeepPlan,
        evaluator: Evaluator,
        *,
        val_interval: int,
        parts: Sequence[HasLength],
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.kept = kept
        self.evaluator = evaluator
        self.val_interval = val_interval
        self.parts = parts
        self.clock = clock or time.monotonic
        self._began = self._since = self.clock()
        self._planned = 0
        self._by_clock = self._warned = False  # from the first step of a training on, never of one that goes on
        self._waits = _Waits(self.clock)
        self._training: list[float] = []
        self._rest: dict[bool, list[float]] = {True: [], False: []}  # of an epoch, by whether there was a validation

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with the trainer, after what makes the folder ready and before the ``ValidationHandler``; of one process only."""
        plan = self.kept.plan
        if between_several() or not (plan.most_minutes or plan.changed_epochs):
            return
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_STARTED, self._epoch_started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._warn_in_first_epoch)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_trained)
        engine.add_event_handler(Events.COMPLETED, self._completed)
        self._waits.attach(engine)
        self._waits.attach(self.evaluator)

    def _start(self, engine: SupervisedTrainer) -> None:
        self._since = self.clock()
        self._waits.take()

    def _lap(self, before: list[float]) -> None:
        """Add the seconds since the last lap to those of earlier epochs; the first is without its waits for cases."""
        now, waited = self.clock(), self._waits.take()
        before.append(now - self._since - (0.0 if before else waited))
        self._since = now

    def _epoch_started(self, engine: SupervisedTrainer) -> None:
        if engine.state.iteration == 0:
            self._by_clock = self.kept.plan.most_minutes is not None
            self._planned = engine.state.max_epochs
        elif self._training:
            self._lap(self._rest[self.evaluator.state.epoch == engine.state.epoch - 1])

    def _epoch_trained(self, engine: SupervisedTrainer) -> None:
        self._lap(self._training)
        done, now = engine.state.epoch, engine.state.max_epochs
        epochs = dict(self.kept.plan.changed_epochs).get(done)
        if epochs is None and self._by_clock and done < now:
            epochs = self._in_time(done, now)
            if epochs != now:
                self._say(done, now, epochs)
                self.kept.change(changed_epochs=(*self.kept.plan.changed_epochs, (done, epochs)))
        if epochs is not None and epochs != now:  # else the checkpoint knows of it
            for part in self.parts:
                part.change_length(epochs * engine.state.epoch_length, instead_of=now * engine.state.epoch_length)
            engine.state.max_epochs = epochs

    def _limit(self) -> float:
        """Seconds that training may take; no limit is 0."""
        return 60 * (self.kept.plan.most_minutes or 0.0)

    def _in_time(self, done: int, now: int) -> int:
        """How many epochs there are to be: as many as now, or as many of those planned as are possible, at least those that are done."""
        limit, spent = self._limit(), self.clock() - self._began
        ends = spent + self._to_come(done, now)
        late, early = ends > limit, ends < ROOM * limit and now < self._planned
        if spent < EARLY * limit or not (late or early):
            return now
        room = SAFE * (limit - spent)
        fitting = [epochs for epochs in range(done, self._planned + 1) if self._to_come(done, epochs) <= room]
        return max(fitting, default=done)

    def _to_come(self, done: int, epochs: int) -> float:
        """Seconds from the last step of an epoch to the end of a training of so many epochs."""
        validations = sum(epoch % self.val_interval == 0 or epoch == epochs for epoch in range(done, epochs + 1))
        without = epochs - done + 1 - validations
        usual = self._rest[False] or self._rest[True]
        return (
            (epochs - done) * _usual(self._training)
            + validations * _usual(self._rest[True] or usual)
            + without * _usual(usual)
        )

    def _say(self, done: int, now: int, epochs: int) -> None:
        if epochs > now:
            logger.info("the machine is as quick again: training ends after %d epochs, not after %d", epochs, now)
            return
        logger.warning(
            "slower than planned: %d epochs of %s would take %s, and training has %s: it ends after %d, its learning rate falling faster. "
            "More time (--minutes), or a machine without other work, would let it see more",
            now,
            duration(self._to_come(done, done + 1) - self._to_come(done, done)),
            duration(self.clock() - self._began + self._to_come(done, now)),
            duration(self._limit()),
            epochs,
        )

    def _warn_in_first_epoch(self, engine: SupervisedTrainer) -> None:
        """Say early if the first epoch alone takes longer than the time for all of them: an epoch is never cut short."""
        if self._warned or not self._by_clock or engine.state.epoch > 1:
            return
        limit, spent = self._limit(), self.clock() - self._began
        expected = spent / engine.state.iteration * engine.state.epoch_length
        if spent >= EARLY * limit and expected > limit:
            self._warned = True
            logger.warning(
                "slower than planned: the first epoch alone will take about %s, of %s in all; training ends after it. To end earlier, "
                "stop it (Ctrl-C) and plan anew",
                duration(expected),
                duration(limit),
            )

    def _completed(self, engine: Workflow) -> None:
        """Who repeats the training by its plan is not to look at the clock."""
        if self.kept.plan.most_minutes is not None:
            self.kept.change(most_minutes=None)


class _Waits:
    """Seconds that engines waited for their cases."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._asked = self._seconds = 0.0

    def attach(self, engine: Workflow) -> None:
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._ask)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._given)

    def take(self) -> float:
        """Those since this was asked last."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds

    def _ask(self, engine: Workflow) -> None:
        self._asked = self.clock()

    def _given(self, engine: Workflow) -> None:
        self._seconds += self.clock() - self._asked


def _usual(seconds: Sequence[float]) -> float:
    """The median of the latest, the first only if it is the only one; 0 for none."""
    return median((seconds[1:] or seconds)[-RECENT:]) if seconds else 0.0
