"""The tables and the picture of `accuracy.py`: each network's scores, and how far ours is from each peer case by case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions, version
from pathlib import Path

import numpy as np
import torch
from networks import cpu_name
from numpy.typing import NDArray

from medseg_monai.evaluation.intervals import mean_interval
from medseg_monai.evaluation.significance import holm, paired_permutation_p
from medseg_monai.evaluation.summary import Estimate
from medseg_monai.evaluation.tables import read_evaluation
from medseg_monai.figures.cases import save_figure
from medseg_monai.figures.plots import compare_scores
from medseg_monai.files.markdown import markdown_table
from medseg_monai.files.writing import write_whole

RESAMPLES = 10_000
LIBRARIES = ("torch", "monai", "timm", "segmentation-models-pytorch", "nnunetv2")


@dataclass(frozen=True)
class Row:
    """A finished training.

    Attributes:
        title: as the table names it.
        folder: of its evaluation.
        rival: the folder of that of ours which it is compared with; None for ours.
    """

    title: str
    folder: Path
    rival: Path | None = None


def line_of(folder: Path) -> str:
    """A finished training in a few words."""
    found = read_evaluation(folder)
    run, jaccard = found.run, found.summary.overall.scores["jaccard"]
    return f"Jaccard {jaccard}, {run['seconds']:.0f} s, {run['seen']} pictures, {run['precision']}"


def write_report(out: Path, tables: Mapping[str, Sequence[Row]], *, facts: str) -> str:
    """Write ``accuracy.md`` and, for each start, ``accuracy_N.png``; return the text.

    Args:
        out: folder to write to.
        tables: rows by how their networks began.
        facts: what was equal for all.
    """
    lines = [f"{facts}. {machine()}.", ""]
    for number, (start, rows) in enumerate(tables.items(), 1):
        lines += [f"### From {start}", "", *_table(rows), ""]
        lines += [*pairs, ""] if (pairs := _pairs(rows)) else []
        figure = compare_scores(
            [row.title for row in rows],
            [jaccard_of(row.folder) for row in rows],
            intervals=[(mean.low, mean.high) for mean in (_mean(row.folder) for row in rows)],
            label="Jaccard",
        )
        save_figure(figure, out / f"accuracy_{number}.png")
    text = "\n".join(lines)
    write_whole(out / "accuracy.md", text.encode())
    return text


def machine() -> str:
    """The processor and the versions that decide a result."""
    installed = [name for name in LIBRARIES if any(distributions(name=name))]
    versions = ", ".join(f"{name} {version(name)}" for name in installed)
    return f"{cpu_name()}, {torch.backends.cpu.get_cpu_capability()}, one thread; {versions}"


def _table(rows: Sequence[Row]) -> list[str]:
    cells = []
    for row in rows:
        run = read_evaluation(row.folder).run
        parameters, seen = f"{run['parameters'] / 1e6:.2f} M", f"{run['seen']:,}"
        cells.append([row.title, parameters, run["precision"], seen, f"{run['seconds']:.1f}", _mean(row.folder)])
    return markdown_table(["network", "parameters", "precision", "pictures seen", "seconds", "Jaccard"], cells)


def _pairs(rows: Sequence[Row]) -> list[str]:
    """Ours minus each peer: mean difference per case, its interval, and p, also corrected for the number of pairs; none, no table."""
    names = {row.folder: row.title for row in rows}
    pairs = [(row.rival, row.folder) for row in rows if row.rival in names]
    if not pairs:
        return []
    differences = [jaccard_of(first) - jaccard_of(second) for first, second in pairs]
    p_values = [paired_permutation_p(difference) for difference in differences]
    cells = [
        [names[first], names[second], estimate_of(difference), f"{p:.4f}", f"{corrected:.4f}"]
        for (first, second), difference, p, corrected in zip(pairs, differences, p_values, holm(p_values), strict=True)
    ]
    return markdown_table(["ours", "minus", "difference in Jaccard", "p", "p (Holm)"], cells)


def estimate_of(difference: NDArray[np.float64]) -> Estimate:
    """The mean of differences case by case, with its interval."""
    low, high = mean_interval(difference, seed=0, n_bootstrap=RESAMPLES)
    return Estimate(float(difference.mean()), float(low), float(high))


def _mean(folder: Path) -> Estimate:
    return read_evaluation(folder).summary.overall.scores["jaccard"]


def jaccard_of(folder: Path) -> NDArray[np.float64]:
    """One value per case, in the order of the cases' ids."""
    by_case = sorted((score.case, score.jaccard) for score in read_evaluation(folder).scores)
    return np.array([jaccard for _, jaccard in by_case])
