"""`medseg_monai.rerun`: a training repeated from its record, and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medseg_monai.api.arguments import (
    Assignments,
    FilePath,
    check_there,
    data_folder,
    given,
    listed,
    parsed,
)
from medseg_monai.api.results import save_as
from medseg_monai.api.training import NO_SCORES, Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg_monai.api.datasets import ImageDataset
    from medseg_monai.training.comparison import Comparison


@dataclass(frozen=True)
class RepeatedTraining:
    """A training and its repetition.

    Attributes:
        first: folder of the training.
        folder: of the repetition, with rerun.json.
        comparison: weights to the bit, scores, what has changed.
        notes: what was warned of.
    """

    first: Path
    folder: Path
    comparison: Comparison = field(repr=False)
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def equal(self) -> bool:
        """Whether the weights are equal to the bit."""
        return self.comparison.equal

    @property
    def training(self) -> Training:
        """The repetition."""
        return Training.read(self.folder)

    def plot(self) -> Figure:
        """A matplotlib figure: loss and scores of both over the epochs."""
        from medseg_monai.figures.plots import training_curves

        histories = {"first": Training.read(self.first).history, "repeated": self.training.history}
        losses = {
            name: [(e["epoch"], e["loss"]) for e in history if "loss" in e] for name, history in histories.items()
        }
        scores = {
            f"{key}, {name}": [(e["epoch"], e[key]) for e in history if key in e]
            for name, history in histories.items()
            for key in dict.fromkeys(key for epoch in history for key in epoch if key not in NO_SCORES)
        }
        return training_curves(losses, scores)

    def save(self, path: FilePath) -> Path:
        """Save the plot (``.png``, ``.pdf`` …) or the comparison (``.json``).

        Raises:
            ValueError: the suffix is none of these.
        """
        from medseg_monai.training.folder import RERUN_FILE

        return save_as(path, {".json": self.folder / RERUN_FILE}, self.plot)

    def _repr_html_(self) -> str:
        """The comparison, for a notebook."""
        from medseg_monai.report.notebook import Shown, card, figure_uri

        lines = dict(line.split(": ", 1) for line in self.comparison.lines())
        return card(
            "Equal to the bit" if self.equal else "The weights differ",
            subtitle=f"{self.first} repeated",
            pictures=[Shown(figure_uri(self.plot()), wide=True)],
            facts={**lines, "files": str(self.folder)},
            notes=self.notes,
        )


def rerun(
    folder: FilePath,
    *,
    out: FilePath | None = None,
    dataset_dir: FilePath | ImageDataset | None = None,
    bundle: FilePath | None = None,
    device: str | None = None,
    workers: int | None = None,
    resume: bool = False,
    anyway: bool = False,
    assignments: Assignments = None,
    overlay: FilePath | Sequence[FilePath] | None = None,
    verbose: bool = False,
) -> RepeatedTraining:
    """Repeat a training from its record (run.json, plan.yaml) in a new folder, and compare: weights to the bit, scores, what has changed.

    Args:
        folder: of a finished training, with run.json.
        out: folder for the repetition; default: FOLDER_rerun.
        dataset_dir: where the data set is now, if it was moved.
        bundle: name or folder of the bundle; default: as recorded, if `medseg list` names it, else the one of its name.
        device: ``cpu``, ``cuda`` …; default: as recorded.
        workers: processes or threads that read images.
        resume: continue a repetition that was stopped or killed; compare one that has ended.
        anyway: also with other data or settings, which are named then.
        assignments: settings that were expressions, which are code and have to be given again.
        overlay: config files that the training was given.
        verbose: show log lines.

    Raises:
        FileNotFoundError: nothing is recorded, or data, bundle or starting weights are gone.
        ValueError: it would be another training, or was stopped; says what differs.
    """
    place, data, overlays = Path(folder), data_folder(dataset_dir), [Path(file) for file in listed(overlay)]
    check_there(place, data, *overlays)
    from medseg_monai.bundle.paths import find_bundle
    from medseg_monai.training.recorded import finished_run

    finished_run(place)
    root = None if bundle is None else find_bundle(bundle)
    overrides = parsed(assignments)
    from medseg_monai.api.noting import notes_of, noting
    from medseg_monai.training.repeating import Repetition

    place = place.resolve() if place.name in ("", "..") else place
    target = place.with_name(f"{place.name}_rerun") if out is None else Path(out)
    values = given(device=device, num_workers=workers, resume=resume or None)
    repetition = Repetition(
        place, target, dataset_dir=data, bundle=root, values=values, assignments=overrides, overlays=overlays,
        anyway=anyway,
    )  # fmt: skip
    with noting(verbose) as messages:
        compared = repetition.run()
    compared.write(target)
    return RepeatedTraining(place, target, compared, notes_of(messages))
