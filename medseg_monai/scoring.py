"""Score trained weights case by case while the evaluator runs, each case on its own grid."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.engines.utils import IterationEvents
from monai.engines.workflow import Workflow

import medseg_monai
from medseg_monai.bundle import Trained
from medseg_monai.dataset import Dataset, DatasetSpec
from medseg_monai.inference import UNUSABLE, Scans
from medseg_monai.masks import read_mask
from medseg_monai.metrics import CaseScores, class_masks, score_case
from medseg_monai.scores import write_evaluation
from medseg_monai.summary import summarise


class ScoreCases:
    """Ignite handler: compare each predicted mask with the truth at the image's own resolution; write the tables at the end.

    A case whose truth cannot be read is put aside like a scan that cannot be read.

    Args:
        scans: the cases, with ``label``.
        spec: the data set's spec.
        folder: where ``cases.csv``, ``summary.json`` and ``summary.md`` go.
        run: facts of the run for the summary.

    Attributes:
        scores: one entry per case and class, so far.
    """

    def __init__(self, scans: Scans, *, spec: DatasetSpec, folder: str | Path, run: Mapping[str, Any]) -> None:
        self.scans = scans
        self.spec = spec
        self.folder = Path(folder)
        self.run = dict(run)
        self.scores: list[CaseScores] = []
        self._cases = {case["id"]: case for case in scans.data}
        self._network_seconds = 0.0
        self._images = 0
        self._started = 0.0

    def attach(self, engine: Workflow) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_STARTED, self._start)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._stop)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._score)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _begin(self, engine: Workflow) -> None:
        self.scores.clear()
        self._network_seconds, self._images = 0.0, 0

    def _start(self, engine: Workflow) -> None:
        self._started = time.perf_counter()

    def _stop(self, engine: Workflow) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._network_seconds += time.perf_counter() - self._started

    def _score(self, engine: Workflow) -> None:
        for item, answer in zip(engine.state.batch, engine.state.output, strict=True):
            case = self._cases[item["id"]]
            self._images += 1
            try:
                truth = read_mask(case["label"], self.spec, image=item["image_meta_dict"]["filename_or_obj"])
            except UNUSABLE as error:
                self.scans.set_aside(case, error)
                continue
            self.scores += self._score_case(case["id"], answer["pred"].cpu().numpy(), truth)

    def _score_case(self, case_id: str, pred: Any, truth: Any) -> list[CaseScores]:
        count = len(self.spec.classes)
        return score_case(
            class_masks(pred, count),
            class_masks(truth, count),
            case=case_id,
            classes=self.spec.classes,
            spacing=self.spec.spacing_mm,
        )

    def _write(self, engine: Workflow) -> None:
        if not self.scores:
            raise ValueError("no case could be scored: the messages above say why")
        per_image = 1000 * self._network_seconds / self._images
        run = {**self.run, "images": self._images, "inference_ms_per_image": round(per_image, 2)}
        unit = "mm" if self.spec.spacing_mm else "px"
        write_evaluation(self.folder, self.scores, summarise(self.scores, distance_unit=unit), run=run)


def run_facts(trained: Trained, *, weights: str | Path, dataset: str, split: str, **more: Any) -> dict[str, Any]:
    """What an evaluation's ``summary.json`` says about the run."""
    return {
        "bundle": trained.bundle,
        "weights": str(weights),
        "architecture": dict(trained.architecture),
        "parameters": trained.training.get("parameters"),
        "train_seconds": trained.training.get("train_seconds"),
        "dataset": dataset,
        "split": split,
        "versions": {"medseg-monai": medseg_monai.__version__, "torch": torch.__version__},
        **more,
    }


def labelled(dataset: Dataset, split: str, trained: Trained) -> list[dict[str, Any]]:
    """The split's cases, refused if there are none, one has no truth, or the weights were trained for something else.

    Raises:
        ValueError: says which of these.
    """
    for key in ("task", "classes", "channels"):
        theirs, ours = getattr(trained.dataset, key), getattr(dataset.spec, key)
        if theirs != ours:
            name = dataset.spec.name
            raise ValueError(
                f"the weights were trained for the {key} {_words(theirs)}, data set {name} has {_words(ours)}"
            )
    cases = dataset.cases(split)
    if not cases:
        raise ValueError(
            f"data set {dataset.spec.name} has no {split} cases: choose another split, or prepare it with splits"
        )
    if missing := [str(case["id"]) for case in cases if not case.get("label")]:
        raise ValueError(f"{len(missing)} {split} cases have no label to score against, the first is {missing[0]}")
    return cases


def _words(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(value)
