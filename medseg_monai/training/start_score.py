"""The score of the weights that a training starts from: what it must beat."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from ignite.engine import Events
from monai.engines import Evaluator, SupervisedTrainer

from medseg_monai.training.folder import WEIGHTS_FILE
from medseg_monai.training.handlers import RecordEpochs, StopEarly
from medseg_monai.training.saving import SaveTrained

logger = logging.getLogger(__name__)


class ScoreStart:
    """Ignite handler: validate before the first step, as epoch 0, so that the start is kept if no epoch is better.

    Attach to the trainer after those that it tells. A training that goes on does not score its start again: this is a part of its state.

    Args:
        evaluator: runs validation.
        saving: keeps the start as the best weights so far.
        stopping: counts the start as the best score so far.
        history: records it.
    """

    def __init__(
        self, evaluator: Evaluator, *, saving: SaveTrained, stopping: StopEarly, history: RecordEpochs
    ) -> None:
        self.evaluator = evaluator
        self.saving = saving
        self.stopping = stopping
        self.history = history
        self.score: float | None = None
        saving.parts["start"] = self

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.STARTED, self._score)
        if engine.state.rank == 0:
            engine.add_event_handler(Events.COMPLETED, self._say)

    def state_dict(self) -> dict[str, Any]:
        """The start's score, if it has one yet."""
        return {"score": self.score}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state."""
        self.score = state["score"]

    def _score(self, engine: SupervisedTrainer) -> None:
        if self.score is not None or engine.state.iteration or engine.should_terminate:
            return
        began = time.monotonic()
        self.evaluator.run(0)
        self.score = float(self.evaluator.state.metrics[self.evaluator.state.key_metric_name])
        self.stopping.compare(engine)
        if engine.state.rank == 0:
            self.history.record_start(engine, time.monotonic() - began)
            self.saving.keep_epoch(engine)

    def _say(self, engine: SupervisedTrainer) -> None:
        state = self.evaluator.state
        if self.score is not None and state.best_metric_epoch == 0:
            last = float(state.metrics[state.key_metric_name])
            logger.warning(
                "No epoch was better than the start: %s holds the weights that the training started from (%s %.4f; after the last "
                "epoch %.4f)", self.saving.folder / WEIGHTS_FILE, state.key_metric_name, self.score, last,
            )  # fmt: skip
