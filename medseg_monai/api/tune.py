"""`medseg_monai.tune`: thresholds and cleaning of masks chosen on validation cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from medseg_monai.api.arguments import (
    Assignments,
    FilePath,
    bundle_and_data,
    given,
    text,
)
from medseg_monai.api.results import failure_lines, save_as

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg_monai.api.datasets import ImageDataset
    from medseg_monai.inference.cases import Failure
    from medseg_monai.tuning.search import Tuning


@dataclass(frozen=True)
class TunedWeights:
    """What was chosen for trained weights; it is used from now on.

    Attributes:
        weights: model.pt, whose spec.json holds the cleaning now.
        tuning: what was tried, what was kept, and the scores before and after.
        report: tuning.md.
        split: that it was chosen on.
        failures: cases that could not be used; all others were.
        notes: what else was warned of.
    """

    weights: Path
    tuning: Tuning = field(repr=False)
    report: Path = field(repr=False)
    split: str = "validation"
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def cleaning(self) -> Mapping[str, Any]:
        """The settings, as spec.json has them."""
        return self.tuning.cleaning.to_dict()

    @property
    def changed(self) -> bool:
        """Whether any setting was better than none."""
        return any(decision.kept for decision in self.tuning.decisions)

    @property
    def markdown(self) -> str:
        """tuning.md."""
        return self.report.read_text(encoding="utf-8")

    def plot(self) -> Figure:
        """A matplotlib figure: the score of each class before and after."""
        from medseg_monai.figures.cases import show_texts_as_they_are
        from medseg_monai.figures.findings import before_and_after

        figure = before_and_after(self.tuning.before, self.tuning.after, label=f"{self.tuning.metric}, {self.split}")
        show_texts_as_they_are(figure)
        return figure

    def save(self, path: FilePath) -> Path:
        """Save the plot (``.png``, ``.pdf`` …), the report (``.md``) or what was tried (``.json``).

        Raises:
            ValueError: the suffix is none of these.
        """
        return save_as(path, {".md": self.report, ".json": self.report.with_suffix(".json")}, self.plot)

    def _repr_html_(self) -> str:
        """Scores and decisions, for a notebook."""
        from medseg_monai.report.notebook import Shown, Table, card, figure_uri

        found = self.tuning
        rows = [
            [one.class_name, one.step, one.best, f"{one.held_out_gain:+.4f}", "kept" if one.kept else "not kept"]
            for one in found.decisions
        ]
        return card(
            f"Cleaning chosen on {found.cases} {self.split} cases",
            subtitle="used from now on" if self.changed else "nothing was better than masks as they come",
            alarms=failure_lines(self.failures),
            pictures=[Shown(figure_uri(self.plot()), wide=True)],
            tables=[Table(["class", "step", "best setting", "held-out gain", ""], rows)],
            facts={"weights": str(self.weights)},
            notes=self.notes,
        )


def tune(
    bundle: FilePath,
    dataset_dir: FilePath | ImageDataset | None = None,
    *,
    weights: FilePath | None = None,
    metric: Literal["dice", "jaccard", "competition"] = "dice",
    split: str = "validation",
    device: str | None = None,
    verbose: bool = False,
    assignments: Assignments = None,
) -> TunedWeights:
    """Choose thresholds and mask cleaning for trained weights; settings that help on held-out cases are written to their spec.json.

    Args:
        bundle: its name or folder.
        dataset_dir: the data set, or its folder; default: generated demo data, if the weights were trained on it.
        weights: file, folder, or the data set's name.
        metric: the score to improve; ``competition``: the UW-Madison one, for slices of scans.
        split: to choose on; never the test split.
        device: ``cpu``, ``cuda`` …; default: a GPU if there is one.
        verbose: show log lines.
        assignments: any key of the config.

    Raises:
        FileNotFoundError, ValueError: a bundle, weights, data set or setting that cannot be used.
    """
    folder, data, overrides = bundle_and_data(bundle, dataset_dir, weights, assignments)
    from medseg_monai.api.noting import notes_of, noting
    from medseg_monai.bundle.paths import demo_kind
    from medseg_monai.inference.recipe import progress
    from medseg_monai.training.dataset import open_dataset
    from medseg_monai.tuning.choosing import tune_bundle

    with noting(verbose) as messages:
        found = tune_bundle(
            folder,
            open_dataset(data, demo=demo_kind(folder)),
            weights=text(weights),
            metric=metric,
            split=split,
            progress=progress("predicting"),
            assignments=overrides,
            **given(device=device),
        )
    return TunedWeights(found.weights_file, found.tuning, found.report, split, found.failures, notes_of(messages))
