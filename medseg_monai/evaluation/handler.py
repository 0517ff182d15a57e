"""Score trained weights case by case while the evaluator runs, each case on its own grid."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines.utils import IterationEvents
from monai.engines.workflow import Workflow

from medseg_monai.dataset import DatasetSpec
from medseg_monai.evaluation.agreement import Annotators, agreement_lines
from medseg_monai.evaluation.answers import answered_cases
from medseg_monai.evaluation.case_columns import annotator_masks, case_columns
from medseg_monai.evaluation.confusion import OVERLAP_FILE, Overlap, count_label_overlap, write_overlap
from medseg_monai.evaluation.labels import Label, PackedLabel, case_view, label_contrasts, score_labels
from medseg_monai.evaluation.metrics import DEFAULTS, CaseScores, class_masks, split_ignored
from medseg_monai.evaluation.options import MeasureOptions
from medseg_monai.evaluation.reliability import MeasureCalibration
from medseg_monai.evaluation.scan_scores import ScanMasks, ScanScores, are_slices, score_scan
from medseg_monai.evaluation.strata import STRATA_FILE, strata_lines, stratify, write_strata
from medseg_monai.evaluation.summary import summarise
from medseg_monai.evaluation.surfaces import Mask
from medseg_monai.evaluation.tables import write_evaluation
from medseg_monai.evaluation.trust import MeasureTrust
from medseg_monai.figures.cases import CaseView, gallery, save_figure
from medseg_monai.figures.plots import class_overlap, score_distribution
from medseg_monai.figures.strata import strata_plot
from medseg_monai.files.writing import lock_folder, remove_parts
from medseg_monai.grids import Grid
from medseg_monai.grids.kinds import kind_of
from medseg_monai.inference.cases import CaseStream
from medseg_monai.inference.inferer import preparation_seconds
from medseg_monai.report.case_pictures import PICTURES_FOLDER, remove_case_pictures, write_case_pictures
from medseg_monai.report.evaluation import REPORT_FILE
from medseg_monai.transforms.cleaning import PLAIN, Cleaning, drop_isolated_slices

PICTURE_FILE, DISTRIBUTION_FILE, OVERLAP_PICTURE, STRATA_PICTURE = "cases.jpg", "dice.png", "overlap.png", "strata.png"


class ScoreCases:
    """Ignite handler: compare each predicted mask with the truth at the image's own resolution; write the tables at the end.

    Distances are in pixels, for volumes in millimetres.

    A case whose truth cannot be read is recorded as failed, like an unreadable image.

    Args:
        dataset: the cases, with ``label``.
        spec: the data set's spec.
        folder: folder for ``cases.csv``, ``summary.json`` and ``summary.md``.
        run: facts of the run for the summary.
        pictures: number of cases in ``cases.jpg``, from the lowest to the highest Dice; 0 for no picture.
        report: also draw the cases that a report shows, into ``pictures/``.
        cleaning: its ``drop_isolated`` is applied here if cases are slices of scans, because it needs whole scans.
        options: tolerances, and when lesions match.
        calibration: the handler that measures calibration; its numbers by case go into ``cases.csv``.
        trust: the handler that notes predicted Dice and flags; how far they hold goes into the summary and files of its own.
        contrast: whether to measure how much each structure stands out: ``auto`` for photographs, for whose small masks it takes no time.
        strata: a table with columns by which to divide cases, besides the data set's own ``strata``.
        annotators: a folder with a folder of masks for each annotator, besides the data set's own ``annotators``.

    Attributes:
        scores: one entry per case and class, so far; slices come at the end, with their scans.
        scan_scores: one entry per scan and class, if cases are slices.
    """

    def __init__(
        self,
        dataset: CaseStream,
        *,
        spec: DatasetSpec,
        folder: str | Path,
        run: Mapping[str, Any],
        pictures: int = 6,
        report: bool = False,
        cleaning: Cleaning = PLAIN,
        options: MeasureOptions = DEFAULTS,
        calibration: MeasureCalibration | None = None,
        trust: MeasureTrust | None = None,
        contrast: bool | str = "auto",
        strata: str | Path | None = None,
        annotators: str | Path | None = None,
    ) -> None:
        if contrast not in (True, False, "auto"):
            raise ValueError(f"contrast is true, false or auto, not {contrast!r}")
        self.dataset = dataset
        self.spec = spec
        self.folder = Path(folder)
        self.run = dict(run)
        self.scores: list[CaseScores] = []
        self._cases = {case["id"]: case for case in dataset.data}
        self.pictures = pictures
        self.report = report
        self._overlap: Overlap | None = None
        self.cleaning = cleaning
        self.scan_scores: list[ScanScores] = []
        self._slices = ScanMasks() if spec.spatial_dims == 2 and are_slices(self._cases) else None
        self.options = options
        self.calibration = calibration
        self.trust = trust
        self.contrast = kind_of(spec).measures_all if contrast == "auto" else bool(contrast)
        self._contrasts: dict[str, list[float]] = {}
        self._columns = case_columns(dataset.data, strata)
        self._annotators = Annotators(annotator_masks(dataset.data, annotators, spatial_dims=spec.spatial_dims), spec)
        self._labels: dict[str, PackedLabel] = {}
        self._grids: dict[str, Grid] = {}
        self._network_seconds = 0.0
        self._images = 0
        self._started = self._prepared = 0.0

    def attach(self, engine: Workflow) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_STARTED, self._start)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._stop)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._score)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _begin(self, engine: Workflow) -> None:
        self.scores.clear()
        self.scan_scores.clear()
        self._labels.clear()
        self._contrasts.clear()
        self._annotators.clear()
        self._grids.clear()
        self._overlap = None
        if self._slices is not None:
            self._slices.clear()
        self._network_seconds, self._images = 0.0, 0

    def _start(self, engine: Workflow) -> None:
        self._prepared = preparation_seconds(getattr(engine, "inferer", None))
        self._started = time.perf_counter()

    def _stop(self, engine: Workflow) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        preparation = preparation_seconds(getattr(engine, "inferer", None)) - self._prepared
        self._network_seconds += time.perf_counter() - self._started - preparation

    def _score(self, engine: Workflow) -> None:
        self._images += len(engine.state.batch)
        for case, grid, answer, label, image in answered_cases(engine, self.dataset, self._cases, self.spec):
            truth, ignored = split_ignored(label)
            self._grids[case["id"]] = grid
            if self.contrast:
                self._contrasts[case["id"]] = label_contrasts(image, truth, grid, self.spec)
            pred = answer["pred"].cpu().numpy()
            self._annotators.add(case, grid, pred)
            if self._slices is None:
                self._score_case(case["id"], pred, truth, ignored)
            else:  # distances of the whole scan follow later: ignored pixels count as empty
                count = len(self.spec.classes)
                found, true = class_masks(pred, count), class_masks(truth, count)
                self._slices.add(case["id"], found if ignored is None else found & ~ignored, true)

    def _score_case(self, case_id: str, pred: Label, truth: Label, ignored: Mask | None = None) -> None:
        classes, spacing = self.spec.classes, self._grids[case_id].spacing
        found = score_labels(
            pred, truth, case=case_id, classes=classes, spacing=spacing, ignored=ignored, options=self.options
        )
        contrasts = self._contrasts.get(case_id, [math.nan] * len(classes))
        self.scores += [replace(score, contrast=one) for score, one in zip(found, contrasts, strict=True)]
        if len(classes) > 1:
            counted = pred if ignored is None else np.where(ignored, np.uint8(0), pred)
            self._add_overlap(count_label_overlap(counted, truth, classes))
        if self.pictures or self.report:
            self._labels[case_id] = PackedLabel.of(pred)

    def _add_overlap(self, overlap: Overlap) -> None:
        self._overlap = overlap if self._overlap is None else self._overlap + overlap

    def _score_slices(self, slices: ScanMasks) -> None:
        """Score each scan as a whole, and its slices."""
        for scan in slices.scans():
            pred = drop_isolated_slices(scan.pred, self.cleaning, scan.numbers).astype(bool)
            self.scan_scores += score_scan(
                pred, scan.truth, scan=scan.name, classes=self.spec.classes, numbers=scan.numbers
            )
            for case_id, mask, truth in zip(scan.cases, pred, scan.truth, strict=True):
                self._score_case(case_id, mask.astype(np.uint8), truth.astype(np.uint8))

    def _write(self, engine: Workflow) -> None:
        if self._slices is not None:
            self._score_slices(self._slices)
        if not self.scores:
            first = "".join(f"; the first: {each.path}: {each.reason}" for each in self.dataset.failures[:1])
            raise ValueError(f"none of the {len(self._cases)} cases could be scored{first}")
        if not any(score.truth_pixels for score in self.scores):
            cases = len({score.case for score in self.scores})
            raise ValueError(
                f"the true masks of all {cases} cases are empty, so there is nothing to score against: "
                "check the masks, and their values if they are class numbers"
            )
        self._add_calibration()
        lock = lock_folder(self.folder)
        try:
            self._write_tables()
        finally:
            lock.release()

    def _add_calibration(self) -> None:
        """Complete the scores by calibration, which was measured beside them."""
        by_case = self.calibration.by_case if self.calibration else {}
        place = {name: number for number, name in enumerate(self.spec.classes)}
        for number, score in enumerate(self.scores):
            if score.case in by_case:
                ece, brier = by_case[score.case][:, place[score.class_name]].tolist()
                self.scores[number] = replace(score, ece=ece, brier=brier)

    def _write_tables(self) -> None:
        """Write everything into the folder, which no other process writes to meanwhile."""
        remove_parts([self.folder, self.folder / PICTURES_FOLDER])
        for name in (
            REPORT_FILE,
            OVERLAP_FILE,
            OVERLAP_PICTURE,
            STRATA_FILE,
            STRATA_PICTURE,
        ):  # an earlier evaluation's
            (self.folder / name).unlink(missing_ok=True)
        remove_case_pictures(self.folder)
        per_image = 1000 * self._network_seconds / self._images
        run = {**self.run, "images": self._images, "inference_ms_per_image": round(per_image, 2)}
        run |= {"failed": len(self.dataset.failures), "measures": self.options.to_dict()}
        unit = next(iter(self._grids.values())).unit
        summary = summarise(self.scores, distance_unit=unit)
        strata = stratify(self.scores, self._columns, size_unit=kind_of(self.spec).relative_size)
        more = [*strata_lines(strata), *agreement_lines(self._annotators.write(self.folder), self._annotators.unread)]
        more += self.trust.write(self.scores, self.folder) if self.trust else []
        if strata:
            write_strata(self.folder, strata)
        write_evaluation(self.folder, self.scores, summary, run=run, scans=self.scan_scores, more=more)
        if self._overlap is not None:
            write_overlap(self.folder, self._overlap)
        self.dataset.write_failures(self.folder)
        if self.pictures:
            self._draw()
            if strata:
                save_figure(strata_plot(strata), self.folder / STRATA_PICTURE)
        if self.report:
            write_case_pictures(self.folder, self.scores, lambda case_id: self._view(case_id, ""))

    def _draw(self) -> None:
        """``cases.jpg``: cases evenly spaced from the lowest to the highest mean Dice: image, prediction, and the true outline."""
        by_case: dict[str, list[float]] = {case_id: [] for case_id in self._labels}
        for score in self.scores:
            by_case[score.case].append(score.dice)
        dice = {case_id: np.mean(scores) for case_id, scores in by_case.items()}
        ranked = sorted(dice, key=lambda case_id: (dice[case_id], case_id))
        chosen = [ranked[int(i)] for i in np.unique(np.linspace(0, len(ranked) - 1, self.pictures).round())]
        views = [self._view(case_id, f"Dice {dice[case_id]:.2f}") for case_id in chosen]
        save_figure(gallery(views, classes=self.spec.classes), self.folder / PICTURE_FILE)
        self._plot()

    def _plot(self) -> None:
        """``dice.png``: the Dice of every case; ``overlap.png``: which of several classes was mistaken for which."""
        by_class = {name: [s for s in self.scores if s.class_name == name] for name in self.spec.classes}
        dice = {name: [s.dice for s in scores] for name, scores in by_class.items()}
        failed = {name: [s.outcome in ("missed", "spurious") for s in scores] for name, scores in by_class.items()}
        save_figure(score_distribution(dice, label="Dice", failed=failed), self.folder / DISTRIBUTION_FILE)
        if self._overlap is not None:
            save_figure(class_overlap(self._overlap), self.folder / OVERLAP_PICTURE)

    def _view(self, case_id: str, title: str) -> CaseView:
        label = self._labels[case_id].label()
        return case_view(self._cases[case_id], label, self._grids[case_id], self.spec, title)
