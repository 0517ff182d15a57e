"""Figures of cases: the panel of one, the grid of several, the slices of a volume. Plots of numbers are in plots.py.

Matplotlib is imported when a figure is made. Figures are objects of their own: nothing
touches pyplot's global state, and no display is needed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from medseg_monai.evaluation.surfaces import Mask
from medseg_monai.figures import drawing
from medseg_monai.figures.axial import fullest_slice, spread_slices, to_axial, with_square_pixels
from medseg_monai.figures.drawing import Colour, Picture
from medseg_monai.files.writing import readable, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST_SIDE = 800  # pixels of a picture inside a figure: more would not be visible
DOTS_PER_INCH = 150
KEYS_IN_A_ROW = 7


@dataclass(frozen=True)
class CaseView:
    """A case to draw.

    Attributes:
        image: (C, W, H) or (W, H); for a volume (C, I, J, K).
        pred: (W, H) or (K, W, H), 0 outside; the image's size. For a volume (K, I, J, K).
        truth: likewise.
        title: shown above it, for example ``Dice 0.93``.
        affine: for a volume, (4, 4), voxel index to RAS millimetres; None leaves its axes unchanged.
        colour: whether 3 channels are red, green and blue.
    """

    image: ArrayLike
    pred: ArrayLike
    truth: ArrayLike
    title: str = ""
    affine: ArrayLike | None = None
    colour: bool = True

    def picture_and_masks(self, *, longest: int = LONGEST_SIDE) -> tuple[Picture, Mask, Mask]:
        """The image, the prediction and the truth as (H, W, 3) and twice (K, H, W), no side longer than ``longest``.

        For a volume the axial slice with most of both masks.
        """
        if np.ndim(self.image) == 4:
            volume = self.axial()
            return volume.slice(fullest_slice(volume.masks), longest=longest)
        picture = drawing.as_picture(self.image, colour=self.colour)
        pred, truth = drawing.as_masks(self.pred, picture), drawing.as_masks(self.truth, picture)
        small, masks = drawing.shrink(picture, np.concatenate([pred, truth]), longest=longest)
        return small, masks[: len(pred)], masks[len(pred) :]

    def axial(self) -> AxialView:
        """A volume's case with its axes in radiological orientation.

        Raises:
            ValueError: the image is not a volume, or its masks have another size.
        """
        shapes = [np.shape(values) for values in (self.image, self.pred, self.truth)]
        if any(len(shape) != 4 or shape[1:] != shapes[0][1:] for shape in shapes):
            raise ValueError(f"image and masks of a volume must have the same shape (C, I, J, K), not {shapes}")
        image, spacing_mm = to_axial(self.image, self.affine)
        pred, truth = (to_axial(masks, self.affine)[0] > 0 for masks in (self.pred, self.truth))
        low, high = np.percentile(image, (0.5, 99.5))  # of the whole volume, so that slices have the same brightness
        grey = np.clip((image - low) * (255 / max(high - low, 1e-12)), 0, 255).round().astype(np.uint8)
        return AxialView(grey, np.concatenate([pred, truth]), len(pred), spacing_mm, self.colour)


@dataclass(frozen=True)
class AxialView:
    """A volume's case, axes to left, back and head.

    Attributes:
        image: (C, I, J, K) uint8.
        masks: bool (N, I, J, K): the prediction's classes, then the truth's.
        n_pred: how many of them are the prediction's.
        spacing_mm: voxel size along the three axes.
        colour: whether 3 channels are colours.
    """

    image: NDArray[np.uint8]
    masks: Mask
    n_pred: int
    spacing_mm: tuple[float, float, float]
    colour: bool = True

    def slice(self, index: int, *, longest: int = LONGEST_SIDE) -> tuple[Picture, Mask, Mask]:
        """One slice: picture, prediction and truth, as `CaseView.picture_and_masks` gives them."""
        picture = drawing.as_picture(self.image[..., index], colour=self.colour)
        masks = drawing.as_masks(self.masks[..., index], picture)
        picture, masks = with_square_pixels(picture, masks, self.spacing_mm[:2])
        picture, masks = drawing.enlarge(picture, masks, longest=longest // 2)
        picture, masks = drawing.shrink(picture, masks, longest=longest)
        return picture, masks[: self.n_pred], masks[self.n_pred :]


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
    figure = new_figure(11.0, 11.0 / 4 * height / width + 0.8)
    for axes, (title, content) in zip(figure.subplots(1, 4), shown.items(), strict=True):
        _show(axes, content, title)
    figure.suptitle(case.title)
    keys = {"found": drawing.RIGHT_COLOUR, "missed": drawing.MISSED_COLOUR, "spurious": drawing.SPURIOUS_COLOUR}
    _colour_key(figure, keys)
    return figure


def gallery(cases: Sequence[CaseView], *, classes: Sequence[str] = ()) -> Figure:
    """A grid with one case per column: image, prediction, and prediction with the true outline.

    Args:
        cases: at least one; columns are as wide as their images are, so that rows are equally high.
        classes: names for the legend; without them it says "prediction".

    Raises:
        ValueError: there are no cases.
    """
    if not cases:
        raise ValueError("a gallery needs at least one case")
    views = [case.picture_and_masks() for case in cases]
    widths = [picture.shape[1] / picture.shape[0] for picture, _, _ in views]
    figure = new_figure(10.0, 3 * 9.6 / sum(widths) + 0.9)
    grid = figure.subplots(3, len(cases), squeeze=False, gridspec_kw={"width_ratios": widths})
    for column, (case, (picture, pred, truth)) in enumerate(zip(cases, views, strict=True)):
        _show(grid[0, column], picture, case.title)
        _show(grid[1, column], _with_masks(picture, pred))
        _show(grid[2, column], _with_truth(_with_masks(picture, pred, fill=0), truth))
    for axes, label in zip(grid[:, 0], ("image", "prediction", "with the truth"), strict=True):
        axes.set_ylabel(label)
    _class_key(figure, classes)
    return figure


def masked_pictures(cases: Sequence[CaseView], *, classes: Sequence[str], columns: int = 4) -> Figure:
    """A grid of images, each with its masks tinted and outlined; the truth, if there is one, is outlined in yellow.

    Args:
        cases: at least one; a case without truth has one of no planes, (0, W, H).
        classes: names for the legend.
        columns: number of images in a row.

    Raises:
        ValueError: there are no cases.
    """
    if not cases:
        raise ValueError("a grid of pictures needs at least one case")
    views = [case.picture_and_masks() for case in cases]
    columns = min(columns, len(views))
    rows = -(-len(views) // columns)
    ratio = max(picture.shape[0] / picture.shape[1] for picture, _, _ in views)
    width = 10.0 if columns > 1 else 5.0
    figure = new_figure(width, rows * (width / columns * ratio + 0.3) + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, case, (picture, pred, truth) in zip(grid, cases, views, strict=False):
        _show(axes, _with_truth(_with_masks(picture, pred), truth), case.title)
    for axes in grid[len(views) :]:
        axes.set_axis_off()
    _class_key(figure, classes, truth=any(len(truth) for _, _, truth in views))
    return figure


def image_and_mask(case: CaseView, *, classes: Sequence[str]) -> Figure:
    """A photograph beside the same with its masks; of a volume the slices with its masks.

    Args:
        case: without truth, which has no planes.
        classes: names for the legend.
    """
    if np.ndim(case.image) == 4:
        figure = montage(case, classes=classes)
    else:
        figure = masked_pictures([replace(case, pred=case.truth, title=""), case], classes=classes)
    show_texts_as_they_are(figure)
    return figure


def montage(case: CaseView, *, count: int = 12, columns: int = 4, classes: Sequence[str] = ()) -> Figure:
    """Axial slices of a volume, evenly spaced through prediction and truth, from foot to head.

    Args:
        case: of a volume; classes are tinted and outlined, the truth is outlined in yellow.
        count: number of slices; fewer if the masks have fewer.
        columns: number of slices in a row.
        classes: names for the legend; without them it says "prediction".

    Raises:
        ValueError: the image is not a volume.
    """
    volume = case.axial()
    chosen = spread_slices(volume.masks, count)
    views = [volume.slice(index, longest=LONGEST_SIDE // 2) for index in chosen]
    rows = -(-len(views) // columns)
    height, width = views[0][0].shape[:2]
    figure = new_figure(10.0, rows * (10.0 / columns * height / width + 0.25) + 0.7)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, index, (picture, pred, truth) in zip(grid, chosen, views, strict=False):
        _show(axes, _with_truth(_with_masks(picture, pred), truth), f"slice {index + 1} of {volume.masks.shape[-1]}")
    for axes in grid[len(views) :]:
        axes.set_axis_off()
    figure.suptitle(case.title)
    _class_key(figure, classes, truth=len(volume.masks) > volume.n_pred)
    return figure


def picture_figure(file: Path) -> Figure:
    """A picture's file as a figure.

    Raises:
        OSError: it cannot be read.
    """
    with Image.open(file, formats=("PNG", "JPEG")) as opened:
        picture = np.asarray(opened.convert("RGB"))
    figure = new_figure(10.0, 10.0 * picture.shape[0] / picture.shape[1])
    _show(figure.subplots(), picture)
    return figure


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure, whole or not at all; the suffix (``.png``, ``.jpg``, ``.svg``, ``.pdf``) decides the format."""
    target = Path(path)
    content = io.BytesIO()
    show_texts_as_they_are(figure)
    figure.savefig(content, dpi=DOTS_PER_INCH, format=target.suffix[1:].lower())
    write_whole(target, content.getvalue())
    return target


def show_texts_as_they_are(figure: Figure) -> None:
    """Show names of cases and classes literally: matplotlib would parse text between dollar signs as a formula, and fail on non-UTF-8."""
    from matplotlib.text import Text

    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        if any(readable(label) != label for label in labels):  # these are reset when drawing
            axis.set_ticklabels(list(map(readable, labels)))
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_text(readable(text.get_text()))


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, that draws without a display."""
    from medseg_monai.figures.own_figure import OwnFigure

    return OwnFigure(width, height)


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


def _class_key(figure: Figure, classes: Sequence[str], *, truth: bool = True) -> None:
    """A legend for the colours of the classes and of the truth."""
    names = list(classes) or ["prediction"]
    colours = dict(zip(names, drawing.class_colours(len(names)), strict=True))
    _colour_key(figure, {**colours, "truth": drawing.TRUTH_COLOUR} if truth else colours)


def _colour_key(figure: Figure, colours: Mapping[str, Colour]) -> None:
    """A legend below the figure."""
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=hexadecimal(colour), edgecolor="black", label=name) for name, colour in colours.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), KEYS_IN_A_ROW), frameon=False)


def hexadecimal(colour: Colour) -> str:
    """A colour for matplotlib."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
