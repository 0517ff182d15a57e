"""What `medseg_monai.train` returns: where the weights are, how training went, and what comes next."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg_monai.api.arguments import FilePath
from medseg_monai.api.results import save_as
from medseg_monai.program.messages import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg_monai.api.datasets import ImageDataset
    from medseg_monai.api.evaluate import Evaluation
    from medseg_monai.bundle.trained import Trained
    from medseg_monai.predictor import Predictor

NO_SCORES = ("epoch", "loss", "seconds")
"""Columns of a history that are not scores."""


@dataclass(frozen=True)
class Training:
    """A training, finished or stopped.

    Attributes:
        folder: of the weights: model.pt, spec.json, history.csv …
        bundle: folder of the bundle.
        data: folder of the data set; None for the demo's.
        folds: how many networks a cross-validation trains; None for one network.
        folds_left: the folds that are not done yet.
        notes: what was warned of.
        left_out: images that teachers could not use and that were not learnt from, and why; see `medseg_monai.distill`.
    """

    folder: Path
    bundle: Path
    data: Path | None = None
    folds: int | None = None
    folds_left: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=(), repr=False)
    left_out: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, folder: FilePath) -> Training:
        """A training of earlier.

        Raises:
            FileNotFoundError: the folder has no weights, or their bundle does not exist.
        """
        from medseg_monai.bundle.paths import named_bundle
        from medseg_monai.bundle.trained import Trained

        trained = Trained.read(Path(folder))
        count = trained.training.get("folds")
        return cls(Path(folder), named_bundle(trained.bundle), folds=int(count) if count else None)

    @property
    def weights(self) -> Path:
        """model.pt: the epoch with the best score."""
        return self.folder / "model.pt"

    @property
    def finished(self) -> bool:
        """Whether it has come to its end; ``resume=True`` continues one that was stopped."""
        from medseg_monai.training.folder import files_of
        from medseg_monai.training.recorded import read_record

        record = read_record(files_of(self.folder)) or {}
        return not self.folds_left and bool(record.get("finished", True))

    @cached_property
    def trained(self) -> Trained:
        """What spec.json says of the weights.

        Raises:
            FileNotFoundError: there are none yet.
        """
        from medseg_monai.bundle.trained import Trained

        return Trained.read(self.folder)

    @property
    def scores(self) -> dict[str, float]:
        """The validation scores of the best epoch, whose weights are kept."""
        return {str(name): float(value) for name, value in dict(self.trained.training.get("validation", {})).items()}

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights are kept; 0 for those that training started from."""
        return self.trained.training.get("best_epoch")

    @property
    def epochs(self) -> int | None:
        """How many epochs were trained."""
        return self.trained.training.get("epochs")

    @property
    def history(self) -> list[dict[str, float]]:
        """Loss and scores of each epoch so far; scores of the epochs with validation. Empty for folds, each of which has its own."""
        from medseg_monai.training.folder import HISTORY_FILE, files_of

        file = files_of(self.folder) / HISTORY_FILE
        if not file.is_file():
            return []
        with file.open(newline="", encoding="utf-8") as table:
            return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(table)]

    @property
    def doubts(self) -> list[str]:
        """What a person should know before using the weights."""
        if not self.finished:
            return []
        doubts = [f"could not be used: {listed(list(self.left_out))}"] if self.left_out else []
        best, last = self.best_epoch, self.epochs
        if best == 0:
            return [*doubts, "no epoch was better than the weights that it started from, which it keeps"]
        if self.scores.get("mean_dice") == 0:
            nothing = (
                "the validation Dice is 0, nothing is where it should be: train for longer, or look at images and masks"
            )
            return [*doubts, nothing]
        if self.scores.get("mean_dice") == 1:
            empty = (
                "the validation Dice is 1, as where nothing is to be found: look whether the validation masks are empty"
            )
            return [*doubts, empty]
        late = best is not None and best == last
        return [*doubts, "the last epoch was the best: more epochs may improve the scores"] if late else doubts

    def plot(self) -> Figure:
        """A matplotlib figure of loss and scores over the epochs.

        Raises:
            ValueError: there is no history: no epoch is done, or it is of several folds.
        """
        from medseg_monai.figures.plots import training_curves

        history = self.history
        if not history:
            raise ValueError(f"{self.folder}: there is no history of epochs to draw")
        names = [name for name in dict.fromkeys(key for epoch in history for key in epoch) if name not in NO_SCORES]
        losses, scores = (
            {name: [(epoch["epoch"], epoch[name]) for epoch in history if name in epoch] for name in wanted}
            for wanted in (["loss"], names)
        )
        return training_curves(losses, scores)

    def predictor(self, *, device: str | None = None, engine: str | None = None, tta: str | None = None) -> Predictor:
        """The weights as a function of images; for more options `medseg_monai.Predictor` with ``weights=training.folder``."""
        from medseg_monai.api.arguments import given
        from medseg_monai.predictor import Predictor

        return Predictor(self.bundle, weights=self.folder, **given(device=device, engine=engine, tta=tta))

    def evaluate(
        self,
        dataset_dir: FilePath | ImageDataset | None = None,
        *,
        split: str = "test",
        report: bool = False,
        device: str | None = None,
        verbose: bool = False,
    ) -> Evaluation:
        """`medseg_monai.evaluate` of these weights; default: on the data set that they were trained on."""
        from medseg_monai.api.evaluate import evaluate

        data = self.data if dataset_dir is None else dataset_dir
        return evaluate(
            self.bundle, data, weights=self.folder, split=split, report=report, device=device, verbose=verbose
        )

    def save(self, path: FilePath) -> Path:
        """Save the curves (``.png``, ``.pdf`` …), the history (``.csv``), the plan (``.yaml``) or the weights (``.pt``).

        Raises:
            ValueError: the suffix is none of these, or there is no such file.
        """
        from medseg_monai.training.folder import HISTORY_FILE, PLAN_FILE, files_of

        place = files_of(self.folder)
        files = {".csv": place / HISTORY_FILE, ".yaml": place / PLAN_FILE, ".pt": self.weights}
        return save_as(path, files, self.plot)

    def _repr_html_(self) -> str:
        """Scores, curves and what comes next, for a notebook."""
        from medseg_monai.report.notebook import Shown, card, figure_uri

        curves = [Shown(figure_uri(self.plot()), wide=True)] if self.history else []
        if not self.finished:
            left = f"; folds {', '.join(map(str, self.folds_left))} are left" if self.folds_left else ""
            alarm = f"stopped before its end{left}: the same call with resume=True continues"
            return card(f"{self.bundle.name}: training", alarms=[alarm], pictures=curves, notes=self.notes)
        return card(
            f"{self.bundle.name} trained on {self.trained.dataset.name}",
            subtitle=", ".join(f"{name} {value:.3f}" for name, value in self.scores.items()),
            alarms=self.doubts,
            pictures=curves,
            facts=self._facts(),
            notes=self.notes,
        )

    def _facts(self) -> dict[str, Any]:
        best = "" if self.best_epoch is None else f"epoch {self.best_epoch} of {self.epochs}"
        return {"best": best, "folds": self.folds, "weights": str(self.weights)}
