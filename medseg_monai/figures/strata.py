"""A dot plot of strata: the mean of each with its interval, the worst marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medseg_monai.evaluation.strata import Stratum, worst
from medseg_monai.figures import drawing
from medseg_monai.figures.cases import hexadecimal, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 40
"""More strata than these would not fit on a page: the lowest are shown."""


def strata_plot(strata: Sequence[Stratum], *, label: str = "Dice") -> Figure:
    """Each stratum in a row: a dot for its mean, a bar for the interval, its number of cases.

    Args:
        strata: at least one.
        label: of the axis.
    """
    shown = sorted(strata, key=lambda one: one.score.mean)[:MOST_ROWS]
    shown = [one for one in strata if one in shown]
    several = len({one.class_name for one in shown}) > 1
    lowest = worst(strata)
    figure = new_figure(8.0, 1.0 + 0.34 * len(shown))
    axes = figure.subplots()
    for row, one in enumerate(shown):
        colour = hexadecimal(drawing.SPURIOUS_COLOUR) if one is lowest else hexadecimal(drawing.class_colours(1)[0])
        axes.plot([one.score.low, one.score.high], [row, row], color=colour, linewidth=2, solid_capstyle="butt")
        axes.plot(one.score.mean, row, "D" if one is lowest else "o", color=colour, markersize=7)
    names = [f"{one.class_name}, {one.title}" if several else one.title for one in shown]
    axes.set(yticks=range(len(shown)), xlabel=f"{label}, mean and 95 % interval")
    axes.set_yticklabels([f"{name}: {one.cases} cases" for name, one in zip(names, shown, strict=True)])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    return figure
