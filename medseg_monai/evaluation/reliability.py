"""Whether probabilities mean what they say, measured while the evaluator runs: before and after calibration, with a plot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines.workflow import Workflow
from numpy.typing import NDArray

from medseg_monai.bundle.trained import Trained
from medseg_monai.evaluation.metrics import class_masks, split_ignored
from medseg_monai.figures.cases import save_figure
from medseg_monai.figures.plots import reliability_diagram
from medseg_monai.files.writing import write_whole
from medseg_monai.grids import grid_of
from medseg_monai.grids.truth import read_truth
from medseg_monai.inference.cases import UNUSABLE, CaseStream, was_set_aside
from medseg_monai.quality.calibration import Reliability

CALIBRATION_FILE, CALIBRATION_PICTURE = "calibration.json", "calibration.png"


class MeasureCalibration:
    """Ignite handler: compare each case's probabilities with the truth; write ``calibration.json`` and ``calibration.png`` at the end.

    Expects decollated output with ``probability``, as the network gives it, on the image's own grid. Cases whose truth cannot be read
    are skipped: the scoring of the masks reports them.

    Args:
        dataset: the cases, with ``label``.
        trained: what is known of the weights.
        folder: where the files go.
        enabled: False for doing nothing.

    Attributes:
        by_case: by the cases' ids, calibration error and Brier score of each class, (2, classes): of the calibrated probabilities if a
            temperature is known, for these are what users get.
    """

    def __init__(self, dataset: CaseStream, *, trained: Trained, folder: str | Path, enabled: bool = True) -> None:
        self.trained = trained
        self.spec = trained.dataset
        self.folder = Path(folder)
        self.enabled = enabled
        self.before, self.after = Reliability(self.spec.classes), Reliability(self.spec.classes)
        self.by_case: dict[str, NDArray[np.float64]] = {}
        self._cases = {case["id"]: case for case in dataset.data}

    def attach(self, engine: Workflow) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        if self.enabled:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
            engine.add_event_handler(Events.COMPLETED, self._write)

    def _begin(self, engine: Workflow) -> None:
        self.before, self.after = Reliability(self.spec.classes), Reliability(self.spec.classes)
        self.by_case.clear()
        for name in (CALIBRATION_FILE, CALIBRATION_PICTURE):  # an earlier evaluation's
            (self.folder / name).unlink(missing_ok=True)

    def _add(self, engine: Workflow) -> None:
        for item, answer in zip(engine.state.batch, engine.state.output, strict=True):
            if not was_set_aside(answer):
                self._add_case(item, torch.as_tensor(answer["probability"]))

    def _add_case(self, item: Mapping[str, Any], probability: torch.Tensor) -> None:
        try:
            grid = grid_of(item["image_meta_dict"], self.spec)
            truth, ignored = split_ignored(read_truth(self._cases[item["id"]], grid, self.spec))
        except UNUSABLE:
            return
        count, quality = len(self.spec.classes), self.trained.quality
        planes = class_masks(truth, count)
        found = self.before.add(probability[-count:].float().cpu().numpy(), planes, ignored)
        if quality is not None and quality.calibration is not None:
            calibrated = quality.calibration.apply(probability.cpu(), self.spec.task)
            found = self.after.add(calibrated[-count:].numpy(), planes, ignored)
        self.by_case[item["id"]] = found

    def _write(self, engine: Workflow) -> None:
        if not self.before.cases:
            return
        content: dict[str, Any] = {"cases": self.before.cases, "before": _numbers(self.before)}
        if self.after.cases:
            content["after"] = _numbers(self.after)
        write_whole(self.folder / CALIBRATION_FILE, (json.dumps(content, indent=2) + "\n").encode())
        shown = {"as the network says": self.before, **({"calibrated": self.after} if self.after.cases else {})}
        save_figure(reliability_diagram(shown), self.folder / CALIBRATION_PICTURE)


def _numbers(found: Reliability) -> dict[str, dict[str, float]]:
    """Class -> expected calibration error and Brier score."""
    rows = zip(found.classes, found.ece().tolist(), found.brier().tolist(), strict=True)
    return {name: {"ece": round(ece, 6), "brier": round(brier, 6)} for name, ece, brier in rows}


def read_calibration(folder: Path) -> dict[str, Any] | None:
    """The content of ``calibration.json``; None if it was not measured.

    Raises:
        ValueError: it is not such a file.
    """
    file = folder / CALIBRATION_FILE
    if not file.is_file():
        return None
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("before"), dict):
        raise ValueError(f"{file} is not a measured calibration")
    return content
