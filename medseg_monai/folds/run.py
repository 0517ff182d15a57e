"""Train the folds of a data set, one after the other or side by side, and put together what comes of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from medseg_monai.bundle.workflow import bundle_workflow, run_bundle, run_workflow
from medseg_monai.dataset import TRAINED_ON, Dataset, check_files, check_splits, read_dataset, write_dataset
from medseg_monai.dataset.cases import as_list
from medseg_monai.evaluation.tables import SUMMARY_FILE
from medseg_monai.files.writing import HIDDEN_FOLDER
from medseg_monai.folds.combine import combine
from medseg_monai.folds.split import draw_folds, fold_datasets, members_of
from medseg_monai.planning.in_config import bundle_plan
from medseg_monai.training.folder import PLAN_FILE
from medseg_monai.training.recorded import read_record

logger = logging.getLogger(__name__)

DATA_FOLDER = "data"
EVALUATION, PROBABILITIES = "evaluation_validation", "probabilities"


@dataclass(frozen=True)
class FoldRun:
    """A training by folds.

    Attributes:
        bundle: its folder.
        dataset_dir: the whole data set.
        folder: where all goes: ``fold_1`` … with a training each, ``data`` with their data sets, the ensemble's weights, and
            ``out_of_fold`` with the scores.
        count: of folds.
        values, assignments, overlays, tracking: of each training, as `bundle_workflow` takes them.
        keep_probabilities: also keep the probabilities of each case by the network that has not seen it.
    """

    bundle: Path
    dataset_dir: Path
    folder: Path
    count: int
    values: Mapping[str, Any]
    assignments: Mapping[str, Any]
    overlays: tuple[Path, ...] = ()
    tracking: str | None = None
    keep_probabilities: bool = False

    def train(self, fold: int | None = None) -> bool:
        """Train all folds that are not done, or the one that is named (from 1); whether all are done now, and put together.

        A fold that was stopped or killed goes on where it was.

        Any number of processes may train folds of one folder at once. Folds share one plan, made by the first.

        Raises:
            ValueError: no such fold, too few groups, or the folder has other folds.
        """
        if fold is not None and not 1 <= fold <= self.count:
            raise ValueError(f"fold: 1 to {self.count}, got {fold}")
        if self.keep_probabilities and any(
            len(as_list(case["image"])) > 1 for case in read_dataset(self.dataset_dir).training
        ):
            raise ValueError("probabilities are kept of images of one file each, and here they have several")
        with self._one_at_a_time():
            self._write_datasets()
            self._write_plan()
        for number in range(1, self.count + 1) if fold is None else (fold,):
            if not self.is_done(number):
                logger.info("Fold %d of %d", number, self.count)
                if not self._train(number):
                    return False
        if not all(map(self.is_done, range(1, self.count + 1))):
            return False
        with self._one_at_a_time():
            combine(self.folder, [self.place(number) for number in range(1, self.count + 1)], evaluation=EVALUATION)
        return True

    def place(self, number: int) -> Path:
        """The folder of a fold's training."""
        return self.folder / f"fold_{number}"

    def is_done(self, number: int) -> bool:
        """Whether a fold has been trained and scored."""
        return (self.place(number) / EVALUATION / SUMMARY_FILE).is_file()

    def dataset_file(self, number: int) -> Path:
        """The data set whose validation split is the fold."""
        return self.folder / DATA_FOLDER / f"fold_{number}.json"

    def _one_at_a_time(self) -> FileLock:
        hidden = self.folder / HIDDEN_FOLDER
        hidden.mkdir(parents=True, exist_ok=True)
        return FileLock(hidden / "folds.lock")

    def _write_datasets(self) -> None:
        there = sorted((self.folder / DATA_FOLDER).glob("fold_*.json"))
        if not there:
            dataset = read_dataset(self.dataset_dir)
            check_files(dataset, TRAINED_ON)
            check_splits(dataset)
            fold_of = draw_folds(members_of(dataset), self.count, seed=int(self.values.get("seed", 0)))
            for number, part in enumerate(fold_datasets(dataset, fold_of, self.count), 1):
                write_dataset(part, self.dataset_file(number))
        elif len(there) != self.count:
            raise ValueError(
                f"{self.folder} holds {len(there)} folds, not {self.count}: name another folder with --out, or as many folds"
            )
        elif (before := _ids(read_dataset(there[0]))) != (now := _ids(read_dataset(self.dataset_dir))):
            raise ValueError(
                f"{self.folder} holds folds of {len(before)} other cases than the {len(now)} of {self.dataset_dir}: name another "
                "folder with --out"
            )

    def _write_plan(self) -> None:
        """One plan for all: members of an ensemble see images of one size."""
        if (self.folder / PLAN_FILE).is_file() or "plan_file" in self.values:
            return
        values = {**self.values, "dataset_dir": str(self.dataset_file(1)), "output_dir": str(self.place(1))}
        plan = bundle_plan(
            bundle_workflow(self.bundle, "train", values, assignments=self.assignments, overlays=self.overlays)
        )
        replace(plan, bundle=plan.bundle or self.bundle.name).write(self.folder / PLAN_FILE)

    def _train(self, number: int) -> bool:
        """Train a fold, or go on with it, and score it; False if something has asked training to stop."""
        data, place = str(self.dataset_file(number)), str(self.place(number))
        planned = {key: value for key, value in self.values.items() if key not in ("minutes", "preset", "as_published")}
        plan = {"plan_file": str(self.folder / PLAN_FILE), "resume": True}
        planned = {**plan, **planned, "dataset_dir": data, "output_dir": place}
        training = bundle_workflow(
            self.bundle, "train", planned, assignments=self.assignments, overlays=self.overlays, tracking=self.tracking
        )
        run_workflow(training)
        if not (read_record(self.place(number)) or {}).get("finished"):
            return False
        device = {key: self.values[key] for key in ("device",) if key in self.values}
        if self.keep_probabilities:
            images = [case["image"] for case in read_dataset(self.dataset_file(number)).cases("validation")]
            out = str(self.place(number) / PROBABILITIES)
            values = {
                "dataset_dir": images,
                "weights": place,
                "output_dir": out,
                "probabilities": True,
                "report": False,
            }
            run_bundle(self.bundle, "inference", {**values, **device})
        out = str(self.place(number) / EVALUATION)
        run_bundle(
            self.bundle,
            "evaluate",
            {"dataset_dir": data, "weights": place, "split": "validation", "output_dir": out, **device},
        )
        return True


def _ids(dataset: Dataset) -> set[str]:
    return {case["id"] for split in ("training", "validation") for case in dataset.cases(split)}
