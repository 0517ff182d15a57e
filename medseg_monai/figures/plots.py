"""Plots of numbers: training curves, scores per case, comparisons of networks, confused classes.

Drawn with matplotlib, which is imported when a figure is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medseg_monai.evaluation.confusion import NOTHING, Overlap
from medseg_monai.figures import drawing
from medseg_monai.figures.cases import hexadecimal, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from medseg_monai.quality.calibration import Reliability


LINE_STYLES = ("-", "--", ":", "-.")  # distinguishable in black and white


def training_curves(
    losses: Mapping[str, Sequence[tuple[float, float]]], scores: Mapping[str, Sequence[tuple[float, float]]]
) -> Figure:
    """Losses and scores over the epochs, side by side.

    Args:
        losses: by name, pairs of (epoch, value).
        scores: by name, pairs of (epoch, value), 0 to 1; the best one of each is marked.
    """
    figure = new_figure(9.0, 3.4)
    left, right = figure.subplots(1, 2)
    for axes, curves, label in ((left, losses, "loss"), (right, scores, "score")):
        styles = cycle(LINE_STYLES)
        for (name, points), colour in zip(curves.items(), _line_colours(len(curves)), strict=True):
            epochs, values = zip(*points, strict=True) if points else ((), ())
            axes.plot(epochs, values, label=name, color=colour, linestyle=next(styles))
            if axes is right and points:
                best = int(np.argmax(values))
                axes.plot(epochs[best], values[best], "o", color=colour)
                axes.annotate(
                    f"{values[best]:.3f}",
                    (epochs[best], values[best]),
                    xytext=(-4, -12),
                    textcoords="offset points",
                    ha="right",
                )
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if (
            curves
        ):  # at a place of its own: matplotlib's search for the best one is slow, and warns of that on a busy machine
            axes.legend(frameon=False, loc="upper right" if axes is left else "lower right")
    return figure


def compare_scores(
    names: Sequence[str], values: Sequence[ArrayLike], *, intervals: Sequence[tuple[float, float]], label: str
) -> Figure:
    """Each network in a row: every case a dot, the mean a bar with its interval.

    Args:
        names: of the networks, the first at the top.
        values: per network, one value per case.
        intervals: per network, low and high of the mean.
        label: of the axis.
    """
    figure = new_figure(8.0, 0.9 + 0.75 * len(names))
    axes = figure.subplots()
    rows = zip(values, intervals, _line_colours(len(names)), strict=True)
    for row, (per_case, (low, high), colour) in enumerate(rows):
        cases = np.asarray(per_case, dtype=np.float64)
        scatter = np.random.default_rng(0).uniform(-0.25, 0.25, cases.size)
        axes.plot(cases, row + scatter, ".", color=colour, alpha=0.35, markeredgewidth=0, markersize=7)
        axes.plot([low, high], [row, row], color="black", linewidth=3, solid_capstyle="butt")
        axes.plot(cases.mean(), row, "D", color=colour, markeredgecolor="black", markersize=7)
        axes.annotate(
            f"{cases.mean():.3f}", (cases.mean(), row), xytext=(0, 8), textcoords="offset points", ha="center"
        )
    axes.set(yticks=range(len(names)), yticklabels=names, xlabel=f"{label}: cases, and their mean with 95 % interval")
    axes.set_ylim(len(names) - 0.5, -0.6)
    axes.grid(axis="x", alpha=0.3)
    return figure


def reliability_diagram(found: Mapping[str, Reliability]) -> Figure:
    """How often what was given a probability is true, a panel for each class: on the diagonal probabilities are frequencies.

    Args:
        found: by name, of the same classes; the larger a dot, the more pixels (on a logarithmic scale).
    """
    classes = next(iter(found.values())).classes
    figure = new_figure(3.6 * min(len(classes), 3), 3.4 * -(-len(classes) // 3))
    panels = figure.subplots(-(-len(classes) // 3), min(len(classes), 3), squeeze=False).flat
    for number, (axes, name) in enumerate(zip(panels, classes, strict=False)):
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
        for (what, one), colour, style in zip(
            found.items(), _line_colours(len(found)), cycle(LINE_STYLES), strict=False
        ):
            probability, frequency, share = one.curve(number)
            axes.plot(
                probability, frequency, color=colour, linestyle=style, label=f"{what} (error {one.ece()[number]:.4f})"
            )
            axes.scatter(probability, frequency, s=8 * (6 + np.log10(share)).clip(0.5), color=colour)
        axes.set(title=name, xlabel="probability", ylabel="how often it is true", xlim=(0, 1), ylim=(0, 1))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    for axes in panels:
        axes.set_axis_off()
    return figure


def score_distribution(
    values: Mapping[str, ArrayLike], *, label: str, failed: Mapping[str, ArrayLike] | None = None
) -> Figure:
    """Each class in a row: every case a dot above its box (quartiles and median), failures as crosses.

    Args:
        values: by class name, one score per case, 0 to 1.
        label: of the axis, for example ``Dice``.
        failed: by class name, which cases are missed or spurious structures.
    """
    figure = new_figure(8.0, 1.0 + 0.8 * max(len(values), 1))
    axes = figure.subplots()
    for row, ((name, scores), colour) in enumerate(zip(values.items(), _line_colours(len(values)), strict=True)):
        cases = np.asarray(scores, dtype=np.float64)
        crosses = np.asarray((failed or {}).get(name, np.zeros(cases.size)), dtype=bool)
        heights = row - 0.17 - np.random.default_rng(0).uniform(0, 0.28, cases.size)
        axes.plot(cases[~crosses], heights[~crosses], ".", color=colour, alpha=0.5, markeredgewidth=0, markersize=7)
        axes.plot(cases[crosses], heights[crosses], "x", color="black", markersize=5)
        _box(axes, cases, row, colour)
    names = [f"{name}\n{np.size(scores)} cases" for name, scores in values.items()]
    axes.set(yticks=range(len(names)), yticklabels=names, xlabel=f"{label}: dots are cases, the box is the middle half")
    axes.set(xlim=(-0.02, 1.02), ylim=(len(names) - 0.5, -0.7))
    axes.grid(axis="x", alpha=0.3)
    if any(np.any(crosses) for crosses in (failed or {}).values()):
        axes.plot([], [], "x", color="black", label="missed or spurious")
        figure.legend(loc="outside upper right", frameon=False)
    return figure


def _box(axes: Axes, cases: NDArray[np.float64], row: float, colour: str) -> None:
    """A box from the first to the third quartile with the median, its number beside it, below a row of dots."""
    first, median, third = np.quantile(cases, (0.25, 0.5, 0.75))
    axes.fill_between([first, third], row + 0.02, row + 0.22, color=colour, alpha=0.45, linewidth=0)
    axes.plot([median, median], [row - 0.02, row + 0.26], color="black", linewidth=2, solid_capstyle="butt")
    axes.annotate(
        f"median {median:.3f}", (first, row + 0.12), (-6, 0), textcoords="offset points", ha="right", va="center"
    )


def class_overlap(overlap: Overlap) -> Figure:
    """What was predicted where each class is: shares of its pixels, the diagonal being what was found."""
    names = [*overlap.classes, NOTHING]
    side = 1.6 + 0.62 * len(names)
    figure = new_figure(side + 1.6, side + 0.5)
    axes = figure.subplots()
    shares = overlap.shares
    shown = axes.imshow(np.ma.masked_invalid(shares), cmap="cividis", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        text, on_pale = ("–", True) if np.isnan(share) else (f"{share:.2f}", share > 0.55)
        axes.text(column, row, text, ha="center", va="center", color="black" if on_pale else "white")
    axes.set(xticks=range(len(names)), yticks=range(len(names)), xlabel="predicted", ylabel="truth")
    axes.set_yticklabels([*overlap.classes, f"{NOTHING}\n(spurious)"])
    axes.set_xticklabels([*overlap.classes, f"{NOTHING} (missed)"], rotation=40, ha="right", rotation_mode="anchor")
    axes.spines[:].set_visible(False)
    figure.colorbar(shown, ax=axes, label="share of the true class's pixels", shrink=0.8)
    return figure


def _line_colours(n_lines: int) -> Iterable[str]:
    """Colours for lines on white; yellow is not among them."""
    return [hexadecimal(colour) for colour in drawing.class_colours(n_lines)]
