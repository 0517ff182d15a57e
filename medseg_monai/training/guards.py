"""Guards of the loss: one that is not a number, one that explodes, one that does not fall."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils import CommonKeys

from medseg_monai.program.messages import listed
from medseg_monai.training.processes import mean_over_processes

logger = logging.getLogger(__name__)

BLOCK = 20
"""Steps whose mean loss is looked at: single batches are hard or easy by chance."""
EXPLODED = 2.0
"""So many times the loss of the first steps, when the network knew nothing, is worse than having learnt nothing."""
SOARED = 10.0
"""The same within the first steps, beside the very first of them, which may have been an easy batch."""
LOWER_BY = 4.0
MOST_LOWERED = 2
"""Times that the learning rate is lowered; after that a lower one is not what is needed."""
FALLEN = 0.98
"""The share of the first loss that one which has fallen is below."""
_RATES = ("lr", "initial_lr", "max_lr", "min_lr")
"""What torch's schedules compute a step's learning rate from, in each group of parameters."""


class StopOnNonFiniteLoss:
    """Stop training with a message the moment the loss is NaN or infinite; what was saved before stays.

    At an epoch's end the network is looked at too: the statistics of batch norm can overflow while the loss, which does not use them, is
    still a number. Such a network must not become the best.
    """

    def __init__(self) -> None:
        self._first: float | None = None
        self._latest = 0.0

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with the trainer, before what validates."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._look_at_network)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Raise FloatingPointError before the gradients of such a loss reach the weights."""
        loss = _loss(engine)
        if not math.isfinite(loss):
            self._stop(engine, f"the loss became {loss}")
        self._first, self._latest = self._first or loss, loss

    def _look_at_network(self, engine: SupervisedTrainer) -> None:
        tensors = engine.network.state_dict()
        if broken := [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]:
            self._stop(
                engine,
                f"the loss is still {self._latest:.3g}, but numbers of the network became infinite ({listed(broken, limit=2)})",
            )

    def _stop(self, engine: SupervisedTrainer, why: str) -> NoReturn:
        kept = ", what earlier epochs saved is kept" if engine.state.epoch > 1 else ""
        raise FloatingPointError(f"{why} in {_where(engine)}: training stopped{kept}. {self._advice()}")

    def _advice(self) -> str:
        """Cases that are not in order spoil a step at once; a learning rate that is too high, step by step."""
        if self._first is not None and self._latest > SOARED * self._first:
            return f"It had grown from {self._first:.3g} to {self._latest:.3g}: lower `lr`."
        return "Look at these cases; if they are in order, lower `lr`, or set `precision` to fp32."


class WatchLoss:
    """Lower the learning rate when the loss explodes, stop if that does not help, and say once if the loss does not fall.

    The mean loss of every `BLOCK` steps is held against that of the first ones, and that of the first ones against the loss of the very
    first step. If it is `EXPLODED` (`SOARED`) times as large, the rest of the schedule goes on at a fraction of its learning rates; after
    `MOST_LOWERED` times training stops, and the best epoch's weights are kept. If a fifth of the training has passed and the loss is
    where it was, a warning says so. Several processes go by the mean of their losses, and do the same.
    """

    def __init__(self) -> None:
        self._first: float | None = None
        self._losses: list[float] = []
        self._lowered = 0
        self._looked = False  # whether the loss has fallen

    def state_dict(self) -> dict[str, Any]:
        """The losses so far, and what was done about them."""
        return {"first": self._first, "losses": self._losses, "lowered": self._lowered, "looked": self._looked}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state."""
        self._first, self._losses = state["first"], list(state["losses"])
        self._lowered, self._looked = state["lowered"], state["looked"]

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Take in the loss of a step.

        Raises:
            FloatingPointError: it has exploded too often.
        """
        self._losses.append(_loss(engine))
        if len(self._losses) < BLOCK:
            return
        loss, step = sum(self._losses) / BLOCK, self._losses[0]
        self._losses.clear()
        loss = mean_over_processes(loss, engine.state.device)
        if self._first is None:
            step = mean_over_processes(step, engine.state.device)
            soared = 0 < SOARED * step < loss
            self._first = step if soared else loss
            if soared:
                self._exploded(engine, loss, f"{step:.3g} in the very first")
        elif loss > EXPLODED * self._first:
            self._exploded(engine, loss, f"{self._first:.3g} over the first")
        elif not self._looked and 5 * engine.state.iteration >= _steps_in_all(engine):
            self._looked = True
            if loss > FALLEN * self._first and engine.state.rank == 0:
                logger.warning("%s", _not_fallen(engine, loss, self._first))

    def _exploded(self, engine: SupervisedTrainer, loss: float, before: str) -> None:
        what = f"the loss exploded: {loss:.3g} over the last {BLOCK} steps, {before}, in {_where(engine)}"
        if self._lowered == MOST_LOWERED:
            raise FloatingPointError(
                f"{what}; the learning rate was lowered {MOST_LOWERED} times and that did not help: training stopped, the best "
                "epoch's weights are kept. Lower `lr`, and look at the cases and their masks."
            )
        self._lowered += 1
        for group in engine.optimizer.param_groups:
            group.update({key: group[key] / LOWER_BY for key in _RATES if key in group})
        if engine.state.rank == 0:
            logger.warning("%s; the rest of the training goes on at a learning rate %g times lower", what, LOWER_BY)


def _not_fallen(engine: SupervisedTrainer, loss: float, first: float) -> str:
    return (
        f"the loss has not fallen in the first fifth of the training: {first:.3g} at the start, {loss:.3g} in "
        f"{_where(engine, named=False)}. Look at the images with their masks (do they belong together?) and at `lr`; more epochs "
        "alone will hardly help."
    )


def _loss(engine: SupervisedTrainer) -> float:
    """Of the step at hand, whose output may have been taken apart by case."""
    output = engine.state.output
    items = output if isinstance(output, list) else [output]
    return sum(float(torch.as_tensor(item[CommonKeys.LOSS]).detach()) for item in items) / len(items)


def _where(engine: SupervisedTrainer, *, named: bool = True) -> str:
    """The step in words, with the learning rate and the cases of the batch, where these have names."""
    rates = ", ".join(f"{group['lr']:.2g}" for group in engine.optimizer.param_groups)
    cases = engine.state.batch.get("id") if named and isinstance(engine.state.batch, Mapping) else None
    of = f"; cases: {listed(dict.fromkeys(str(case).split('#')[0] for case in cases), limit=8)}" if cases else ""
    return f"epoch {engine.state.epoch}, iteration {engine.state.iteration} (lr {rates}{of})"


def _steps_in_all(engine: SupervisedTrainer) -> int:
    return int((engine.state.max_epochs or 1) * (engine.state.epoch_length or 1))
