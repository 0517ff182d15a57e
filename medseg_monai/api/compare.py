"""`medseg_monai.compare`: evaluations of the same cases side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg_monai.api.arguments import FilePath, check_there
from medseg_monai.api.evaluate import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg_monai.evaluation.compare import Comparison as Tables


@dataclass(frozen=True)
class Comparison:
    """Networks on the same cases, the best mean first.

    Attributes:
        metric: that was compared.
        tables: the entries, and the tests of all pairs.
        files: that were written.
    """

    metric: str
    tables: Tables = field(repr=False)
    files: tuple[Path, ...] = field(default=(), repr=False)

    @property
    def best(self) -> str:
        """The name of the network with the best mean."""
        return self.tables.entries[0].name

    @property
    def rows(self) -> list[dict[str, Any]]:
        """For each network its name, its mean with the interval, and what it costs."""
        from medseg_monai.evaluation.compare import COSTS

        found = []
        for entry in self.tables.entries:
            score = entry.score(self.metric)
            costs = {cost: entry.cost(cost) for cost in COSTS}
            found.append({"name": entry.name, self.metric: score.mean, "low": score.low, "high": score.high, **costs})
        return found

    @property
    def markdown(self) -> str:
        """The tables of networks and pairs."""
        from medseg_monai.evaluation.compare import comparison_markdown

        return comparison_markdown(self.tables)

    def plot(self) -> Figure:
        """A matplotlib figure: each case of each network, with means and intervals."""
        from medseg_monai.evaluation.compare import comparison_figure
        from medseg_monai.figures.cases import show_texts_as_they_are

        figure = comparison_figure(self.tables)
        show_texts_as_they_are(figure)
        return figure

    def save(self, folder: FilePath) -> list[Path]:
        """Write tables and plot as `medseg compare` does; returns the files."""
        from medseg_monai.evaluation.compare import write_comparison

        return write_comparison(Path(folder), self.tables)

    def _repr_html_(self) -> str:
        """The plot and the tables, for a notebook."""
        from medseg_monai.report.notebook import Shown, Table, card, figure_uri

        cases = self.tables.entries[0].evaluation.summary.n_cases
        scores = [[entry.name, str(entry.score(self.metric))] for entry in self.tables.entries]
        pairs = [[t.first, t.second, str(t.difference), f"{t.p:.4f}", f"{t.p_holm:.4f}"] for t in self.tables.tests]
        return card(
            f"{len(scores)} networks on the same {cases} cases",
            pictures=[Shown(figure_uri(self.plot()), wide=True)],
            tables=[
                Table(["", self.metric], scores, title="mean (95 % interval)"),
                Table(["better mean", "than", "difference", "p", "p (Holm)"], pairs, title="paired permutation tests"),
            ],
        )


def compare(
    evaluations: Sequence[FilePath | Evaluation], *, out: FilePath | None = None, metric: str = "dice"
) -> Comparison:
    """Compare several evaluations of the same cases, with intervals and paired significance tests.

    Args:
        evaluations: as `medseg_monai.evaluate` returned them, or their folders; two or more.
        out: folder to write tables and plot to; default: nothing is written.
        metric: the metric to test for differences.

    Raises:
        FileNotFoundError: a folder contains no finished evaluation.
        ValueError: an unknown metric, or evaluations of different cases.
    """
    folders = [one.folder if isinstance(one, Evaluation) else Path(one) for one in evaluations]
    check_there(*folders)
    from medseg_monai.evaluation.compare import compare as compare_evaluations
    from medseg_monai.evaluation.compare import write_comparison

    found = compare_evaluations(folders, metric=metric)
    return Comparison(metric, found, tuple(write_comparison(Path(out), found)) if out is not None else ())
