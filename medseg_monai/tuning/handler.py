"""Tune cleaning while the evaluator runs: probabilities are computed once, then searched; the result is written beside the weights."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

from ignite.engine import Events
from monai.engines.workflow import Workflow

from medseg_monai.bundle.trained import Trained
from medseg_monai.evaluation.answers import answered_cases
from medseg_monai.files.writing import write_whole
from medseg_monai.inference.cases import CaseStream
from medseg_monai.transforms.cleaning import PLAIN
from medseg_monai.tuning.cases import TuningCases, TuningMetric
from medseg_monai.tuning.search import Tuning, tune, tuning_markdown

logger = logging.getLogger(__name__)

REPORT_FILE, RESULT_FILE = "tuning.md", "tuning.json"


class TuneCleaning:
    """Ignite handler: keep each case's probabilities; at the end choose the cleaning, write it into ``spec.json``, and a report.

    Expects decollated output with ``probability`` on the image's own grid.

    Args:
        dataset: the cases, with ``label``.
        weights: folder of ``model.pt`` and ``spec.json``, whose ``cleaning`` is replaced (removed if nothing is better than plain).
        folder: folder for ``tuning.md`` and ``tuning.json``.
        metric: the score to improve, see `TuningCases`.
        on: which cases these are, for the report.

    Attributes:
        tuning: the result, once the evaluator has run.
    """

    def __init__(
        self,
        dataset: CaseStream,
        *,
        weights: str | Path,
        folder: str | Path,
        metric: TuningMetric = "dice",
        on: str = "validation",
    ) -> None:
        self.dataset = dataset
        self.weights = Path(weights)
        self.folder = Path(folder)
        self.on = on
        self.trained = Trained.read(self.weights)
        self.cases = TuningCases(self.trained.dataset, metric)
        self.tuning: Tuning | None = None
        self._cases = {case["id"]: case for case in dataset.data}

    def attach(self, engine: Workflow) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._keep)
        engine.add_event_handler(Events.COMPLETED, self._tune)

    def _keep(self, engine: Workflow) -> None:
        for case, grid, answer, truth in answered_cases(engine, self.dataset, self._cases, self.trained.dataset):
            probabilities = answer["probability"].cpu().numpy()
            self.cases.add(case["id"], case["group"], probabilities, truth, voxel_volume=grid.pixel_size)

    def _tune(self, engine: Workflow) -> None:
        if not len(self.cases):
            raise ValueError("there is no usable case to tune on: see the messages above")
        logger.info("trying settings on %d cases …", len(self.cases))
        self.tuning = tune(self.cases)
        cleaning = None if self.tuning.cleaning == PLAIN else self.tuning.cleaning
        replace(self.trained, cleaning=cleaning).write(self.weights)
        write_whole(self.folder / REPORT_FILE, tuning_markdown(self.tuning, on=self.on))
        write_whole(self.folder / RESULT_FILE, (json.dumps(self.tuning.to_dict(), indent=2) + "\n").encode())
