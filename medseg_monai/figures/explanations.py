"""Pictures of explanations: a case in rows of classes, with the maps of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from medseg_monai.figures import drawing
from medseg_monai.figures.axial import fullest_slice, to_axial
from medseg_monai.figures.cases import LONGEST_SIDE, hexadecimal, new_figure
from medseg_monai.figures.drawing import Colour, Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

Heat = NDArray[np.float32]
Mask = NDArray[np.bool_]

COLOUR_MAP = "magma"  # perceptually uniform, readable in greyscale, and without the outlines' blue
HEAT_OPACITY = 0.65
MID_GREY = 118
SHORTEST_SIDE = 400  # pixels of a picture inside a figure, so that outlines are lines and not blocks
REGION_COLOUR: Colour = (255, 255, 255)


@dataclass(frozen=True)
class MapView:
    """A map to draw.

    Attributes:
        title: method and layer.
        heat: (*S), 0 .. 1; None if there is no map.
        note: written in the picture if the map is empty.
    """

    title: str
    heat: Heat | None
    note: str = ""


@dataclass(frozen=True)
class ClassView:
    """One class of a case: a row of the panel.

    Attributes:
        name: of the class.
        index: among the classes, for its colour.
        pred: bool (*S).
        truth: likewise, or None.
        region: drawn if it is not one of these.
        maps: of the class.
    """

    name: str
    index: int
    pred: Mask
    truth: Mask | None
    region: Mask | None
    maps: Sequence[MapView]


def explanation_panel(
    image: ArrayLike, classes: Sequence[ClassView], *, affine: ArrayLike | None = None, colour: bool = True
) -> Figure:
    """A case's classes in rows: input, truth if known, prediction, and each map with the prediction's outline.

    Args:
        image: (C, W, H), or a volume (C, I, J, K), of which each class's fullest axial slice is shown.
        classes: at least one.
        affine: of a volume.
        colour: whether 3 channels are colours.
    """
    rows = [_cells(image, view, affine, colour) for view in classes]
    columns = len(rows[0])
    cell = min(2.6, 13.0 / columns)
    heights = [cell * cells[0][1].shape[0] / cells[0][1].shape[1] for cells in rows]
    figure = new_figure(cell * columns + 0.9, sum(heights) + 0.08 * len(rows) + 0.85)
    grid = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for number, (axes_row, cells, view) in enumerate(zip(grid, rows, classes, strict=True)):
        for axes, (title, picture, note) in zip(axes_row, cells, strict=True):
            _show(axes, picture, title if number == 0 else "", note)
        if len(classes) > 1:
            axes_row[0].set_ylabel(view.name)
    _heat_bar(figure, list(grid[:, -1]))
    _outline_key(figure, classes)
    return figure


def _cells(image: ArrayLike, view: ClassView, affine: ArrayLike | None, colour: bool) -> list[tuple[str, Picture, str]]:
    """Title, picture and note of each cell of a class's row."""
    picture, masks, heats = _flat(image, view, affine, colour)
    pred, truth, region = masks
    found = picture.copy()
    class_colour = drawing.class_colours(view.index + 1)[-1]
    drawing.tint(found, pred, class_colour, 0.2)
    drawing.draw_outline(found, pred, class_colour)
    cells = [("input", picture, ""), ("prediction", found, "" if pred.any() else f"no {view.name} predicted")]
    if view.truth is not None:
        known = picture.copy()
        drawing.draw_outline(known, truth, drawing.TRUTH_COLOUR)
        cells.insert(1, ("truth", known, "" if truth.any() else f"no {view.name} in the truth"))
    for shown, values in zip(view.maps, heats, strict=True):
        drawn = heat_picture(picture, values) if values is not None else picture // 4
        drawing.draw_outline(drawn, pred, class_colour)
        drawing.draw_outline(drawn, region, REGION_COLOUR)
        cells.append((shown.title, drawn, shown.note))
    return cells


def heat_picture(picture: Picture, heat: Heat) -> Picture:
    """Heat (H, W) of 0 .. 1 in colours over a grey copy of a picture (H, W, 3)."""
    from matplotlib import colormaps

    grey = picture.mean(axis=2, keepdims=True)
    colours = colormaps[COLOUR_MAP](heat)[..., :3] * 255
    mixed: Picture = (HEAT_OPACITY * colours + (1 - HEAT_OPACITY) * grey + 0.5).astype(np.uint8)
    return mixed


def _flat(
    image: ArrayLike, view: ClassView, affine: ArrayLike | None, colour: bool
) -> tuple[Picture, Mask, list[Heat | None]]:
    """Picture (H, W, 3), masks (3, H, W) of prediction, truth and region, and heats (H, W), of one size that figures can show."""
    values = np.asarray(image)
    nothing = np.zeros_like(view.pred)
    masks = np.stack([view.pred, *(nothing if m is None else m for m in (view.truth, view.region))])
    heats = [shown.heat for shown in view.maps]
    spacing_mm = (1.0, 1.0)
    if values.ndim == 4:
        values, (across, down, _) = to_axial(values, affine)
        masks = to_axial(masks, affine)[0]
        index = fullest_slice(masks)
        low, high = np.percentile(values, (0.5, 99.5))
        values = np.clip((values[..., index] - low) * (255 / max(high - low, 1e-12)), 0, 255).round().astype(np.uint8)
        masks = masks[..., index]
        heats = [None if heat is None else to_axial(heat, affine)[0][..., index] for heat in heats]
        spacing_mm = (across, down)
    picture = drawing.as_picture(values, colour=colour)
    height, width = picture.shape[:2]
    finest = min(spacing_mm)
    shown_size = (width * spacing_mm[0] / finest, height * spacing_mm[1] / finest)
    scale = min(max(1.0, SHORTEST_SIDE / max(shown_size)), LONGEST_SIDE / max(shown_size))
    size = (max(1, round(shown_size[0] * scale)), max(1, round(shown_size[1] * scale)))
    planes = [_resized(mask.T.astype(np.float32), size) >= 0.5 for mask in masks]
    return (
        np.array(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)),
        np.array(planes),
        [None if heat is None else _resized(heat.T, size).clip(0, 1) for heat in heats],
    )


def _resized(plane: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W) at another (width, height)."""
    shown = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    resized: NDArray[np.float32] = np.array(shown.resize(size, Image.Resampling.BILINEAR))
    return resized


def _show(axes: Axes, picture: Picture, title: str, note: str) -> None:
    axes.imshow(picture)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=10)
    axes.spines[:].set_visible(False)
    if note:
        axes.text(
            0.5, 0.03, _folded(note), transform=axes.transAxes, ha="center", va="bottom", fontsize=7, color="white",
            bbox={"facecolor": "black", "alpha": 0.75, "linewidth": 0, "pad": 2},
        )  # fmt: skip


def _folded(text: str, width: int = 34) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))


def _heat_bar(figure: Figure, column: list[Axes]) -> None:
    """The key to the heat's colours, as they look over mid grey."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), _mixed_colours()), ax=column, shrink=0.85, aspect=22, pad=0.02
    )
    bar.set_ticks([0, 0.5, 1], labels=["0\nleast", "0.5", "1\nmost"])
    bar.ax.tick_params(labelsize=8)
    bar.set_label("importance", fontsize=9)
    bar.outline.set_visible(False)


def _mixed_colours() -> ListedColormap:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    colours = colormaps[COLOUR_MAP](np.linspace(0, 1, 256))[:, :3]
    return ListedColormap(HEAT_OPACITY * colours + (1 - HEAT_OPACITY) * MID_GREY / 255)


def _outline_key(figure: Figure, classes: Sequence[ClassView]) -> None:
    from matplotlib.lines import Line2D

    colours = {f"predicted {view.name}": drawing.class_colours(view.index + 1)[-1] for view in classes}
    if any(view.truth is not None for view in classes):
        colours["truth"] = drawing.TRUTH_COLOUR
    if any(view.region is not None for view in classes):
        colours["explained region"] = REGION_COLOUR
    lines = [
        Line2D([], [], color=hexadecimal(colour), linewidth=3, label=name, path_effects=_dark_edge())
        for name, colour in colours.items()
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=min(len(lines), 6), frameon=False, fontsize=9)


def _dark_edge() -> list[object]:
    from matplotlib import patheffects

    return [patheffects.Stroke(linewidth=4.5, foreground="black"), patheffects.Normal()]
