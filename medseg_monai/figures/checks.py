"""Plots of the checks: deletion and insertion curves against random order, and similarity of maps under random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medseg_monai.figures import drawing
from medseg_monai.figures.cases import hexadecimal, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#777777"
COLOURS = (drawing.VERMILLION, drawing.BLUE, drawing.GREEN, drawing.PURPLE, drawing.ORANGE, drawing.SKY_BLUE)
MARKERS = ("o", "s", "^", "D", "v", "P")


def check_curves(
    curves: Mapping[tuple[str, str], Sequence[Sequence[float]]], likeness: Mapping[str, Mapping[str, Sequence[float]]]
) -> Figure:
    """Three plots: deletion, insertion, randomisation.

    Args:
        curves: by check (``deletion``, ``insertion``) and order (a method, ``region first``, ``random``): curves over 0 .. 1.
        likeness: rank correlations with the trained map, by method and stage from the output back.
    """
    figure = new_figure(13.0, 4.3)
    left, middle, right = figure.subplots(1, 3)
    colours = {method: hexadecimal(colour) for method, colour in zip(likeness, COLOURS, strict=False)}
    for axes, check in ((left, "deletion"), (middle, "insertion")):
        _removal(axes, check, {order: each for (name, order), each in curves.items() if name == check}, colours)
    _randomisation(right, likeness, colours)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _removal(
    axes: Axes, check: str, curves: Mapping[str, Sequence[Sequence[float]]], colours: Mapping[str, str]
) -> None:
    for order, found in curves.items():
        values = np.array(found)
        shares = np.linspace(0, 100, values.shape[1])
        mean = values.mean(axis=0)
        if order == "random":
            spread = values.std(axis=0)
            axes.fill_between(shares, mean - spread, mean + spread, color=GREY, alpha=0.25, linewidth=0)
            axes.plot(shares, mean, color=GREY, label="random order (band: ±1 sd)")
        elif order in colours:
            axes.plot(shares, mean, color=colours[order], linewidth=2, label=order)
        else:
            axes.plot(shares, mean, color="black", linestyle="--", label=order)
    verb, good = ("removed", "low is good") if check == "deletion" else ("shown", "high is good")
    axes.set(title=f"{check} ({good})", xlabel=f"% of the image {verb}, hottest first", ylim=(-0.02, 1.02))
    axes.set_ylabel("mean probability in the region")
    axes.grid(alpha=0.3)


def _randomisation(
    axes: Axes, likeness: Mapping[str, Mapping[str, Sequence[float]]], colours: Mapping[str, str]
) -> None:
    stages: list[str] = []
    for (method, by_stage), marker in zip(likeness.items(), MARKERS, strict=False):
        stages = list(by_stage)
        mean = [1.0, *(float(np.mean(values)) for values in by_stage.values())]
        spread = [0.0, *(float(np.std(values)) for values in by_stage.values())]
        axes.errorbar(range(len(mean)), mean, yerr=spread, color=colours[method], marker=marker, capsize=3, linewidth=2)
    names = ["trained", *(f"+ {name}" if number else name for number, name in enumerate(stages))]
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(title="random weights (near 0 is good)", ylim=(-1.05, 1.05), xticks=range(len(names)))
    axes.set_xticklabels(names, rotation=25, ha="right")
    axes.set_xlabel("random from the output back to")
    axes.set_ylabel("rank correlation with the trained map")
    axes.grid(alpha=0.3)
