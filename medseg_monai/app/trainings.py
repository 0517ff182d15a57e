"""Training on corrections: a plan first, then the training itself, in processes that belong to the server and outlive the tab."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medseg_monai.api.training import NO_SCORES, Training
from medseg_monai.app import commands
from medseg_monai.app.commands import Command
from medseg_monai.app.jobs import Job
from medseg_monai.app.network import Choice
from medseg_monai.app.saving import corrections_in
from medseg_monai.bundle.paths import find_bundle, models_folder
from medseg_monai.bundle.trained import Trained
from medseg_monai.planning.plan import Plan, read_plan
from medseg_monai.training.folder import WEIGHTS_FILE

PLANNING_S = 15 * 60
"""Looking at data and timing steps takes a minute or two."""
LONGEST_MINUTES = 24 * 60
FEWEST = 2
ENDING_S = 60
"""At the server's end a training gets so long to keep what it has."""


@dataclass
class CorrectionsTraining:
    """A training on a folder of corrections.

    Attributes:
        folder: with the corrected images, and later the data set and the plan.
        choice: weights to go on from.
        classes: of the masks.
        minutes: that it may take.
        out: folder of the new weights.
        size: of the network's input, as the weights know it.
        planning, training: the processes; None before they are wanted.
    """

    folder: Path
    choice: Choice
    classes: Sequence[str]
    minutes: float
    out: Path
    size: Sequence[int] = ()
    planning: Job | None = None
    training: Job | None = None
    began: float = field(default_factory=time.time)

    @property
    def job(self) -> Job | None:
        """The process that runs, or ran last."""
        return self.training or self.planning

    @property
    def running(self) -> bool:
        """Whether a process runs, or waits for its turn."""
        return self.job is not None and not self.job.ended

    @property
    def finished(self) -> bool:
        """Whether there are new weights."""
        return self.training is not None and self.training.ended and (self.out / WEIGHTS_FILE).is_file()

    @property
    def made(self) -> Choice:
        """The new weights."""
        return Choice(self.choice.bundle, self.out.name)

    @property
    def commands(self) -> list[Command]:
        """All that make the new weights."""
        choice, folder = self.choice, self.folder
        return [*self._planning_commands(), commands.train(choice, folder, out=self.out)]

    def _planning_commands(self) -> list[Command]:
        return [
            commands.prepare_corrections(self.folder, self.classes),
            commands.plan(self.choice, self.folder, minutes=self.minutes, size=self.size),
        ]

    @property
    def plan(self) -> Plan | None:
        """What is to be trained and why, once it is known."""
        if self.planning is None or self.planning.state != "done":
            return None
        return read_plan(self.folder / "plan.yaml")

    @property
    def history(self) -> list[dict[str, float]]:
        """Loss and scores of each epoch so far."""
        if self.training is None or self.training.state == "waiting":
            return []
        try:
            return Training(self.out, find_bundle(self.choice.bundle)).history
        except (OSError, ValueError):  # it is being moved to its place
            return []

    def status(self) -> str:
        """In a few words, for people."""
        job = self.job
        if job is None:
            return "not begun"
        what = "training" if self.training is not None else "planning"
        if job.state == "waiting":
            return f"{what}: waiting until another one ends"
        if job.state == "failed":
            return f"{what} failed: {job.error}"
        if job.state == "stopped":
            return f"{what} was stopped{f'; kept in {self.out}' if (self.out / WEIGHTS_FILE).is_file() else ''}"
        if job.state == "running":
            epochs = len(self.history)
            count = self.plan.max_epochs if self.plan is not None else None
            far = f", epoch {epochs} of {count}" if self.training is not None and count else ""
            return f"{what}{far}"
        return f"new weights: {self.choice.bundle} ({self.out.name})" if self.training is not None else "planned"


def curves(history: Sequence[dict[str, float]]) -> dict[str, list[tuple[float, float]]]:
    """(epoch, value) of the loss and of each score.

    >>> curves([{"epoch": 1, "loss": 0.5, "seconds": 2}, {"epoch": 2, "loss": 0.25, "dice": 0.75}])
    {'loss': [(1, 0.5), (2, 0.25)], 'dice': [(2, 0.75)]}
    """
    names = ["loss", *dict.fromkeys(key for epoch in history for key in epoch if key not in NO_SCORES)]
    return {name: [(epoch["epoch"], epoch[name]) for epoch in history if name in epoch] for name in names}


class Trainings:
    """All trainings of this server. One runs at a time, from whichever tab it was started; others wait for their turn."""

    def __init__(self) -> None:
        self.all: list[CorrectionsTraining] = []
        self._turn, self._lock = threading.Lock(), threading.Lock()

    def __iter__(self) -> Iterator[CorrectionsTraining]:
        return iter(self.all)

    def plan(self, folder: Path, choice: Choice, classes: Sequence[str], *, minutes: float) -> CorrectionsTraining:
        """Prepare the data and plan.

        Raises:
            ValueError: there is too little to train on, the time is not a number above 0, or the folder is being trained on.
            FileNotFoundError: the weights are gone.
        """
        if not 0 < minutes <= LONGEST_MINUTES:
            raise ValueError(f"minutes: a number above 0, at most {LONGEST_MINUTES}")
        if corrections_in(folder) < FEWEST:
            raise ValueError(f"{folder}/ needs at least {FEWEST} corrected images: one to learn from, one to choose by")
        if any(one.running and one.folder.resolve() == folder.resolve() for one in self.all):
            raise ValueError(f"{folder}/ is being trained on; stop that training first, or wait for its end")
        with self._lock:  # two tabs do not choose the same folder
            size = Trained.read(choice.file.parent).dataset.size or ()
            one = CorrectionsTraining(folder, choice, tuple(classes), minutes, self._free_folder(folder, choice), size)
            self.all.append(one)
        one.planning = Job(one._planning_commands(), turn=self._turn, most_s=PLANNING_S).start()
        return one

    def train(self, one: CorrectionsTraining) -> None:
        """Train what was planned.

        Raises:
            ValueError: nothing is planned, or it runs already.
        """
        if one.plan is None or one.training is not None:
            raise ValueError("plan first" if one.plan is None else "it has been started already")
        most_s = 60 * (3 * one.minutes + 15)  # plans are kept within minutes; what goes wrong is ended
        one.training = Job([one.commands[-1]], turn=self._turn, most_s=most_s).start()

    def close(self) -> None:
        """Stop all; what is finished is kept, and `medseg train --resume` goes on."""
        jobs = [one.job for one in self.all if one.running]
        for job in jobs:
            if job is not None:
                job.stop()
        for job in jobs:
            if job is not None:
                job.wait(ENDING_S)

    def _free_folder(self, folder: Path, choice: Choice) -> Path:
        """A folder of new weights beside earlier ones, which stay."""
        place, name = models_folder(find_bundle(choice.bundle)), folder.resolve().name or "corrections"
        taken = {one.out for one in self.all}
        number, free = 1, place / name
        while free.exists() or free in taken:
            number += 1
            free = place / f"{name}_{number}"
        return free
