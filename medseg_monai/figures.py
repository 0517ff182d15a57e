"""Figures: the panel of a case, the grid of cases that opens the README, training curves, comparisons.

The only module that uses matplotlib, imported when a figure is made. Figures are objects of their own: nothing
touches pyplot's global state, and no display is needed.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from medseg_monai import drawing
from medseg_monai.drawing import Colour, Picture
from medseg_monai.files import write_whole
from medseg_monai.surfaces import Mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST_SIDE = 800  # pixels of a picture inside a figure: more is not seen
DOTS_PER_INCH = 150


@dataclass(frozen=True)
class CaseView:
    """A case to draw.

    Attributes:
        image: (C, W, H) or (W, H).
        pred: (W, H) or (K, W, H), 0 outside; the image's size.
        truth: likewise.
        title: shown above it, ``Dice 0.93`` say.
    """

    image: ArrayLike
    pred: ArrayLike
    truth: ArrayLike
    title: str = ""

    def picture_and_masks(self) -> tuple[Picture, Mask, Mask]:
        """The image, the prediction and the truth as (H, W, 3) and twice (K, H, W), as small as a figure shows them."""
        picture = drawing.as_picture(self.image)
        pred, truth = drawing.as_masks(self.pred, picture), drawing.as_masks(self.truth, picture)
        small, masks = drawing.shrink(picture, np.concatenate([pred, truth]), longest=LONGEST_SIDE)
        return small, masks[: len(pred)], masks[len(pred) :]


def panel(case: CaseView) -> Figure:
    """One case in a row: image, truth, prediction, and where they differ.

    >>> figure = panel(CaseView(np.zeros((1, 8, 6)), np.ones((8, 6)), np.ones((8, 6)), title="Dice 1.00"))
    >>> [axes.get_title() for axes in figure.axes]
    ['image', 'truth', 'prediction', 'differences']
    """
    picture, pred, truth = case.picture_and_masks()
    shown = {
        "image": picture,
        "truth": _with_truth(picture, truth),
        "prediction": _with_masks(picture, pred),
        "differences": drawing.error_map(picture, pred, truth),
    }
    height, width = picture.shape[:2]
    figure = _new_figure(11.0, 11.0 / 4 * height / width + 0.8)
    for axes, (title, content) in zip(figure.subplots(1, 4), shown.items(), strict=True):
        _show(axes, content, title)
    figure.suptitle(case.title)
    keys = {"found": drawing.RIGHT_COLOUR, "missed": drawing.MISSED_COLOUR, "extra": drawing.EXTRA_COLOUR}
    _colour_key(figure, keys)
    return figure


def gallery(cases: Sequence[CaseView], *, classes: Sequence[str] = ()) -> Figure:
    """A grid with one case per column: image, prediction, and prediction with the true outline.

    Args:
        cases: at least one; columns are as wide as their images are, so that rows are equally high.
        classes: names for the key to the colours; without them the key says "prediction".

    Raises:
        ValueError: no cases.
    """
    if not cases:
        raise ValueError("a gallery takes at least one case")
    views = [case.picture_and_masks() for case in cases]
    widths = [picture.shape[1] / picture.shape[0] for picture, _, _ in views]
    figure = _new_figure(10.0, 3 * 9.6 / sum(widths) + 0.9)
    grid = figure.subplots(3, len(cases), squeeze=False, gridspec_kw={"width_ratios": widths})
    for column, (case, (picture, pred, truth)) in enumerate(zip(cases, views, strict=True)):
        _show(grid[0, column], picture, case.title)
        _show(grid[1, column], _with_masks(picture, pred))
        _show(grid[2, column], _with_truth(_with_masks(picture, pred, fill=0), truth))
    for axes, label in zip(grid[:, 0], ("image", "prediction", "with the truth"), strict=True):
        axes.set_ylabel(label)
    names = list(classes) or ["prediction"]
    colours = drawing.class_colours(len(names))
    _colour_key(figure, {**dict(zip(names, colours, strict=True)), "truth": drawing.TRUTH_COLOUR})
    return figure


def training_curves(
    losses: Mapping[str, Sequence[tuple[float, float]]], scores: Mapping[str, Sequence[tuple[float, float]]]
) -> Figure:
    """Losses and scores over the epochs, side by side.

    Args:
        losses: by name, pairs of (epoch, value).
        scores: by name, pairs of (epoch, value), 0 to 1; the best one of each is marked.
    """
    figure = _new_figure(9.0, 3.4)
    left, right = figure.subplots(1, 2)
    for axes, curves, label in ((left, losses, "loss"), (right, scores, "score")):
        for (name, points), colour in zip(curves.items(), _line_colours(len(curves)), strict=True):
            epochs, values = zip(*points, strict=True) if points else ((), ())
            axes.plot(epochs, values, label=name, color=colour)
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
        axes.grid(alpha=0.3)
        if curves:
            axes.legend(frameon=False)
    return figure


def compare_scores(
    names: Sequence[str], values: Sequence[ArrayLike], *, intervals: Sequence[tuple[float, float]], label: str
) -> Figure:
    """Each network in a row: every case a dot, the mean a bar with its interval.

    Args:
        names: of the networks, the first on top.
        values: per network, one value per case.
        intervals: per network, low and high of the mean.
        label: of the axis.
    """
    figure = _new_figure(8.0, 0.9 + 0.75 * len(names))
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


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure, whole or not at all; the suffix (``.png``, ``.jpg``, ``.svg``, ``.pdf``) says as what."""
    target = Path(path)
    content = io.BytesIO()
    figure.savefig(content, dpi=DOTS_PER_INCH, format=target.suffix[1:].lower())
    write_whole(target, content.getvalue())
    return target


def _new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, that draws without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _show(axes: Axes, picture: Picture, title: str = "") -> None:
    """Put a picture on axes, without ticks and frame."""
    axes.imshow(picture)
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set_visible(False)


def _with_masks(picture: Picture, masks: Mask, *, fill: float = 0.2) -> Picture:
    """A copy of the picture with each class's mask."""
    drawn: Picture = picture.copy()
    drawing.draw_masks(drawn, masks, fill=fill)
    return drawn


def _with_truth(picture: Picture, masks: Mask) -> Picture:
    """A copy of the picture with the true outlines."""
    drawn: Picture = picture.copy()
    for mask in masks:
        drawing.draw_outline(drawn, mask, drawing.TRUTH_COLOUR)
    return drawn


def _colour_key(figure: Figure, colours: Mapping[str, Colour]) -> None:
    """A key to the colours below the figure."""
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=_hex(colour), edgecolor="black", label=name) for name, colour in colours.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)


def _line_colours(n_lines: int) -> Iterable[str]:
    """Colours for lines on white; yellow is not among them."""
    return [_hex(colour) for colour in drawing.class_colours(n_lines)]


def _hex(colour: Colour) -> str:
    """A colour as matplotlib reads it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
