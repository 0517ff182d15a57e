"""What has changed in a batch of images, drawn: by how much each number has moved, and the images that are least like training's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medseg_monai.figures import drawing
from medseg_monai.figures.cases import hexadecimal, new_figure
from medseg_monai.images.photos import read_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from medseg_monai.quality.drift import Change, Drift

MOST_BARS = 14
MOST_PICTURES = 6
LONGEST = 200
"""Pixels of a small picture's longer side."""


def draw_drift(drift: Drift, pictures: Sequence[str | Path], *, name: str) -> Figure:
    """Bars of the numbers that have moved most, changed ones in colour; beneath them the strangest pictures.

    Args:
        drift: what was found.
        pictures: files, the strangest first; as many as fit are shown, none if there are none.
        name: of the data set that the network was trained on.
    """
    shown = drift.changes[:MOST_BARS]
    small = [picture for picture in map(_small, pictures[:MOST_PICTURES]) if picture is not None]
    heights = [0.9 + 0.28 * len(shown), *([1.9] if small else [])]
    figure = new_figure(9.0, sum(heights))
    rows = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_bars(rows[0].subplots(), shown)
    verdict = "changed" if drift.alarm else "no change"
    rows[0].suptitle(f"{drift.images} images against {name}: {verdict}", fontsize=11)
    if small:
        for axes, picture in zip(rows[1].subplots(1, MOST_PICTURES), [*small, *[None] * MOST_PICTURES], strict=False):
            axes.set_axis_off()
            if picture is not None:
                axes.imshow(picture)
        rows[1].suptitle("least like the pictures of training", fontsize=9)
    return figure


def _draw_bars(axes: Axes, shown: Sequence[Change]) -> None:
    colours = [hexadecimal(drawing.VERMILLION) if change.changed else "#999999" for change in shown]
    axes.barh(range(len(shown)), [change.shift for change in shown], color=colours)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(shown)), [change.name for change in shown], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(
        "standard deviations of single images (coloured: more than chance, and far enough to matter)", fontsize=8
    )
    axes.grid(axis="x", alpha=0.3)


def _small(file: str | Path) -> drawing.Picture | None:
    """A small picture; None if it cannot be read as one."""
    try:
        picture = drawing.as_picture(read_image(file, 3))
    except (OSError, ValueError):
        return None
    return drawing.shrink(picture, np.zeros((0, *picture.shape[:2]), bool), longest=LONGEST)[0]
