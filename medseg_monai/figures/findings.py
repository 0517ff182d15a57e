"""Findings about weights and labels, drawn: settings before and after, predicted and true Dice, doubtful labels, exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from medseg_monai.figures import drawing
from medseg_monai.figures.cases import hexadecimal, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GREY = "#777777"
ALARM = hexadecimal(drawing.VERMILLION)
MOST_LABELS = 300
"""Labels that are drawn, the most doubtful ones: the others make one flat line."""


def before_and_after(before: Mapping[str, float], after: Mapping[str, float], *, label: str) -> Figure:
    """Two scores of each class, joined by a line.

    Args:
        before, after: by class name.
        label: of the axis.
    """
    figure = new_figure(7.0, 1.1 + 0.45 * len(before))
    axes = figure.subplots()
    for row, (name, old) in enumerate(before.items()):
        axes.plot([old, after[name]], [row, row], color=GREY, linewidth=2, zorder=1)
    rows = range(len(before))
    axes.plot(list(before.values()), rows, "o", color="white", markeredgecolor=GREY, markersize=8, label="before")
    axes.plot([after[name] for name in before], rows, "o", color=ALARM, markersize=8, label="after")
    axes.set(yticks=rows, yticklabels=list(before), xlabel=label, ylim=(len(before) - 0.5, -0.5))
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper right", frameon=False, ncols=2)
    return figure


def predicted_against_true(
    predicted: ArrayLike, true: ArrayLike, *, failure: float, flagged: ArrayLike, label: str = "Dice"
) -> Figure:
    """Each validation case at its predicted and its true score; those that are flagged in colour.

    Args:
        predicted, true: one number for each case.
        failure: a case below this is a failure; drawn as a line.
        flagged: whether a person is asked to look at the case.
        label: the score.
    """
    figure = new_figure(5.6, 4.6)
    axes = figure.subplots()
    x, y, asked = np.asarray(predicted, float), np.asarray(true, float), np.asarray(flagged, bool)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, zorder=0)
    axes.axhline(failure, color="black", linewidth=1, linestyle="--", zorder=0)
    axes.plot(x[~asked], y[~asked], "o", color=GREY, alpha=0.6, markersize=5, label="not flagged")
    axes.plot(x[asked], y[asked], "^", color=ALARM, alpha=0.8, markersize=6, label="flagged")
    axes.annotate("a failure below", (0.01, failure), (0, 3), textcoords="offset points", fontsize=8)
    axes.set(xlabel=f"predicted {label}", ylabel=label, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def doubtful_labels(evidence: Sequence[float], kinds: Sequence[str], *, listed_from: float) -> Figure:
    """Labels by evidence against them, the most doubtful first, and the limit from which they are listed.

    Args:
        evidence: in nats, falling.
        kinds: what each label's fault would be, in words; those of listed labels get a colour each.
        listed_from: the limit.
    """
    figure = new_figure(7.5, 3.2)
    axes = figure.subplots()
    shown = np.asarray(evidence[:MOST_LABELS], float)
    ranks = np.arange(1, len(shown) + 1)
    listed = shown >= listed_from
    axes.plot(ranks[~listed], shown[~listed], ".", color=GREY, label="not listed")
    named = dict.fromkeys(kind for kind, doubtful in zip(kinds, listed, strict=False) if doubtful)
    for kind, colour in zip(named, drawing.class_colours(len(named)), strict=True):
        chosen = listed & (np.asarray(kinds[: len(shown)]) == kind)
        axes.plot(ranks[chosen], shown[chosen], "o", color=hexadecimal(colour), markeredgecolor="black", label=kind)
    axes.axhline(listed_from, color="black", linewidth=1, linestyle="--")
    axes.set(xlabel="label, by rank", ylabel="evidence against it (nats)")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def within_limits(differences: Mapping[str, tuple[float, float]]) -> Figure:
    """Differences beside what is allowed, on a logarithmic axis.

    Args:
        differences: by name, the difference and its limit; both 0 or more.
    """
    figure = new_figure(7.0, 1.0 + 0.55 * len(differences))
    axes = figure.subplots()
    smallest = 1e-9  # a difference of 0 has no place on such an axis
    for row, (found, limit) in enumerate(differences.values()):
        axes.barh(row, max(found, smallest), height=0.5, color=ALARM if found > limit else GREY)
        axes.plot([limit, limit], [row - 0.35, row + 0.35], color="black", linewidth=2)
        axes.annotate(
            f"{found:.1e}, allowed {limit:.1e}", (limit, row), (5, 0), textcoords="offset points", va="center"
        )
    axes.set(
        yticks=range(len(differences)), yticklabels=list(differences), xscale="log", ylim=(len(differences) - 0.4, -0.6)
    )
    decades = [10.0**power for power in range(-8, 2, 2)]
    axes.set_xlim(smallest, 1e4 * max(limit for _, limit in differences.values()))
    axes.set_xticks(decades, [f"{value:.0e}" for value in decades])  # formulas are shown as they are typed
    axes.set_xlabel("difference between torch's answers and the file's")
    axes.grid(axis="x", alpha=0.3)
    return figure
