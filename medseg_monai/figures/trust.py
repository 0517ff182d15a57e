"""How well a number tells good masks from poor ones, drawn: the risk-coverage curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from medseg_monai.figures import drawing
from medseg_monai.figures.cases import hexadecimal, new_figure
from medseg_monai.quality.risk_coverage import aurc, risk_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = ("-", "--", ":")
COLOURS = (drawing.BLUE, drawing.VERMILLION, (0, 0, 0))


def risk_coverage_plot(scores: Mapping[str, Sequence[float]], dice: Sequence[float], *, passed: float) -> Figure:
    """Of each score the mean 1 - Dice among the share of the cases that it ranks highest.

    Args:
        scores: by name, of each case: the higher, the better its mask is said to be.
        dice: of each case.
        passed: share of the cases that are not flagged, for a line.
    """
    figure = new_figure(5.2, 3.6)
    axes = figure.subplots()
    shares = np.arange(1, len(dice) + 1) / len(dice)
    for (name, score), colour, style in zip(scores.items(), cycle(COLOURS), cycle(STYLES), strict=False):
        label = f"{name} (AURC {aurc(score, dice):.4f})"
        axes.plot(shares, risk_curve(score, dice), color=hexadecimal(colour), linestyle=style, label=label)
    axes.axvline(passed, color="black", linewidth=0.8, alpha=0.5)
    axes.annotate("not flagged ", (passed, 1), xycoords=("data", "axes fraction"), ha="right", va="top", fontsize=8)
    axes.set(xlabel="share of the cases, the surest first", ylabel="mean of 1 - Dice among them", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return figure
