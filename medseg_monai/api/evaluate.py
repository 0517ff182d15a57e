"""`medseg_monai.evaluate`: trained weights scored on the cases of a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from medseg_monai.evaluation.metrics import CaseScores
    from medseg_monai.evaluation.summary import Summary
    from medseg_monai.evaluation.tables import Evaluation as Tables
    from medseg_monai.inference.cases import Failure

SHOWN_METRICS = ("dice", "jaccard", "hd95")


@dataclass(frozen=True)
class Evaluation:
    """The scores of trained weights.

    Attributes:
        folder: with cases.csv, summary.json and summary.md.
        tables: what these files hold.
        split: which cases.
        weights: that were scored.
        failures: cases that could not be used; all others are scored.
        notes: what else was noted.
    """

    folder: Path
    tables: Tables = field(repr=False)
    split: str = "test"
    weights: Path | None = None
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, folder: FilePath) -> Evaluation:
        """An evaluation that `medseg evaluate` or `medseg_monai.evaluate` has written.

        Raises:
            FileNotFoundError: there is none in the folder.
            ValueError: its files are invalid.
        """
        from medseg_monai.evaluation.tables import read_evaluation

        tables = read_evaluation(Path(folder))
        weights = tables.run.get("weights")
        return cls(Path(folder), tables, str(tables.run.get("split", "")), Path(str(weights)) if weights else None)

    @property
    def summary(self) -> Summary:
        """Means with their intervals, and counts of missed and spurious structures."""
        return self.tables.summary

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The scores of each case and class, as cases.csv has them: ``pandas.DataFrame(evaluation.rows)``."""
        return [asdict(score) for score in self.tables.scores]

    @property
    def markdown(self) -> str:
        """summary.md."""
        return (self.folder / "summary.md").read_text(encoding="utf-8")

    @property
    def page(self) -> Path | None:
        """report.html, if it was written."""
        file = self.folder / "report.html"
        return file if file.is_file() else None

    def mean(self, metric: str = "dice") -> float:
        """The mean of a metric over cases, of the mean over classes.

        Raises:
            ValueError: there is no such metric.
        """
        from medseg_monai.program.messages import did_you_mean

        scores = self.summary.overall.scores
        if metric not in scores:
            raise ValueError(f"unknown metric {metric!r}{did_you_mean(metric, scores)}")
        return scores[metric].mean

    def worst(self, count: int = 5) -> list[CaseScores]:
        """The structures with the lowest Dice."""
        return sorted(self.tables.scores, key=lambda score: (score.dice, score.case))[:count]

    def plot(self, metric: str = "dice") -> Figure:
        """A matplotlib figure: the score of each case, by class, with median and quartiles; missed and spurious ones as crosses.

        Args:
            metric: one that lies between 0 and 1.

        Raises:
            ValueError: there is no such metric.
        """
        from medseg_monai.evaluation.tables import metric_label
        from medseg_monai.figures.cases import show_texts_as_they_are
        from medseg_monai.figures.plots import score_distribution

        self.mean(metric)
        by_class: dict[str, list[CaseScores]] = {name: [] for name in self.summary.per_class}
        for score in self.tables.scores:
            by_class[score.class_name].append(score)
        figure = score_distribution(
            {name: [getattr(score, metric) for score in scores] for name, scores in by_class.items()},
            label=metric_label(metric, self.summary.distance_unit),
            failed={name: [s.outcome in ("missed", "spurious") for s in scores] for name, scores in by_class.items()},
        )
        show_texts_as_they_are(figure)
        return figure

    def save(self, path: FilePath) -> Path:
        """Save the plot (``.png``, ``.pdf`` …), the table of cases (``.csv``), the summary (``.md``, ``.json``) or the page (``.html``).

        Raises:
            ValueError: the suffix is none of these, or the page was not written.
        """
        names = {".csv": "cases.csv", ".md": "summary.md", ".json": "summary.json", ".html": "report.html"}
        return save_as(path, {suffix: self.folder / name for suffix, name in names.items()}, self.plot)

    def _repr_html_(self) -> str:
        """Scores, the plot and the worst cases, for a notebook."""
        from medseg_monai.report.notebook import Shown, card, figure_uri

        run: Mapping[str, Any] = self.tables.run
        return card(
            f"Evaluation of {run.get('bundle') or 'a network'} on {run.get('dataset') or 'a data set'}",
            subtitle=f"{self.summary.n_cases} {self.split} cases, each at its own resolution",
            alarms=failure_lines(self.failures),
            pictures=[Shown(figure_uri(self.plot()), wide=True)],
            tables=[self._scores(), self._worst()],
            facts={"weights": str(self.weights or ""), "files": str(self.folder)},
            notes=self.notes,
        )

    def _scores(self) -> Any:
        from medseg_monai.evaluation.tables import metric_label
        from medseg_monai.report.notebook import Table

        parts = {"all": self.summary.overall} if len(self.summary.per_class) > 1 else {}
        rows = [
            [
                name,
                *(str(part.scores[metric]) for metric in SHOWN_METRICS),
                part.outcomes["missed"],
                part.outcomes["spurious"],
            ]
            for name, part in {**parts, **self.summary.per_class}.items()
        ]
        columns = [metric_label(metric, self.summary.distance_unit) for metric in SHOWN_METRICS]
        return Table(["", *columns, "missed", "spurious"], rows, title="mean (95 % interval)")

    def _worst(self) -> Any:
        from medseg_monai.report.notebook import Table

        rows = [[score.case, score.class_name, f"{score.dice:.3f}", score.outcome] for score in self.worst()]
        return Table(["case", "class", "Dice", "outcome"], rows, title="lowest Dice")


def evaluate(
    bundle: FilePath,
    dataset_dir: FilePath | ImageDataset | None = None,
    *,
    out: FilePath | None = None,
    weights: FilePath | None = None,
    split: str = "test",
    strata: FilePath | None = None,
    annotators: FilePath | None = None,
    report: bool = False,
    device: str | None = None,
    verbose: bool = False,
    assignments: Assignments = None,
) -> Evaluation:
    """Score trained weights on a split, each image at its own resolution.

    Args:
        bundle: its name or folder.
        dataset_dir: the data set, or its folder; default: generated demo data, if the weights were trained on it.
        out: folder for the tables; default: beside the weights.
        weights: file, folder, or the data set's name.
        split: training, validation or test.
        strata: CSV with image_id and columns by which to divide the cases: centre, scanner …
        annotators: folder with a folder of masks for each annotator, to compare the network with.
        report: also write report.html, one file with pictures.
        device: ``cpu``, ``cuda`` …; default: a GPU if there is one.
        verbose: show log lines.
        assignments: any key of the config.

    Raises:
        FileNotFoundError, ValueError: a bundle, weights, data set or setting that cannot be used.
    """
    folder, data, overrides = bundle_and_data(bundle, dataset_dir, weights, assignments, strata, annotators)
    from medseg_monai.api.running import run_config
    from medseg_monai.evaluation.tables import read_evaluation

    values = given(dataset_dir=text(data), output_dir=text(out), weights=text(weights), split=split, device=device)
    values |= given(strata=text(strata), annotators=text(annotators), report=report or None)
    done = run_config(folder, "evaluate", values, assignments=overrides, verbose=verbose)
    place = Path(done.part("output_dir"))
    return Evaluation(
        place, read_evaluation(place), done.part("split"), Path(done.part("weights_file")), done.failures, done.notes
    )
