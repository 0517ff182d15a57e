"""A tab's images scored against true masks: `medseg prepare` pairs them by name, `medseg evaluate` scores and writes the page."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from medseg_monai.api.evaluate import Evaluation
from medseg_monai.app import commands
from medseg_monai.app.commands import Command
from medseg_monai.app.jobs import Job
from medseg_monai.app.network import Choice
from medseg_monai.app.received import IMAGES, TRUTHS, Received, free_path
from medseg_monai.dataset.cases import absolute_path, case_names
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.csv_tables import csv_text
from medseg_monai.files.writing import write_whole
from medseg_monai.prepare.pairs import PICTURES, VOLUMES, find_files
from medseg_monai.program.messages import counted

MOST_S = 4 * 3600
SOURCES = {2: ("folder", PICTURES), 3: ("nifti", VOLUMES)}
"""What `medseg prepare` calls a folder of photographs and one of volumes, and their files; by number of spatial axes."""
LEFT_OUT = "left out: "
SHOWN = ("dice", "jaccard")
_turn = threading.Lock()
"""One evaluation at a time, whichever tab asks."""


@dataclass(frozen=True)
class Scoring:
    """An evaluation that runs or has run.

    Attributes:
        folder: of the data set and the scores.
        choice: the weights.
        commands: that are run.
        job: the process.
    """

    folder: Path
    choice: Choice
    commands: tuple[Command, ...]
    job: Job

    @property
    def scores(self) -> Path:
        """Folder of report.html and the tables."""
        return self.folder / "scores"

    @property
    def page(self) -> Path | None:
        """report.html, once it is there."""
        file = self.scores / "report.html"
        return file if self.job.ended and file.is_file() else None

    @property
    def found(self) -> Evaluation | None:
        """The scores, once they are there."""
        return Evaluation.read(self.scores) if self.page is not None else None

    def status(self) -> str:
        """In a few words, for people."""
        found = self.found
        if found is None:
            states = {"waiting": "waiting until another one ends", "running": "scoring", "stopped": "was stopped"}
            return states.get(self.job.state, f"failed: {self.job.error}")
        cases = found.summary.n_cases
        metrics = ", ".join(f"{metric} {found.summary.overall.scores[metric]}" for metric in SHOWN)
        return f"{counted(cases, 'case')}: {metrics}"

    @property
    def left_out(self) -> list[str]:
        """Which files were left out, and why."""
        place = f"{self.folder.parent}{os.sep}"
        lines = [line.removeprefix(LEFT_OUT) for line in self.job.lines if line.startswith(LEFT_OUT)]
        return [line.replace(place, "") for line in lines if not line.startswith(str(self.folder))]


def score(received: Received, choice: Choice, spec: DatasetSpec, truths: Path | None = None) -> Scoring:
    """Begin to score the images that were dropped.

    Args:
        received: the tab's files.
        choice: the weights.
        spec: what they were trained for.
        truths: folder of true masks on this machine; default: those that were dropped.

    Raises:
        FileNotFoundError: there are no images, or no masks.
    """
    masks = received.folder / TRUTHS if truths is None else truths.expanduser().absolute()
    if not masks.is_dir():
        raise FileNotFoundError("drop true masks first" if truths is None else f"{truths}: no such folder")
    source, files = SOURCES[spec.spatial_dims]
    images, _ = find_files(received.folder / IMAGES, files)
    folder = free_path(received.folder / "evaluation")
    splits = folder / "splits.csv"
    names = case_names([absolute_path(image) for image in images])
    write_whole(splits, csv_text([("image_id", "split"), *((name, "test") for name in names)]))
    dataset = folder / "dataset"
    prepare = commands.prepare_truths(
        received.folder,
        IMAGES,
        TRUTHS if truths is None else str(masks),
        kind=source,
        splits=splits,
        classes=spec.classes,
        out=dataset,
    )
    both = prepare, commands.evaluate(choice, dataset, folder / "scores")
    # 1: some images could not be used, which the report says
    job = Job(both, turn=_turn, most_s=MOST_S, passing=(0, 1)).start()
    return Scoring(folder, choice, both, job)
