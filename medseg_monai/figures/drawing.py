"""Masks drawn into pictures, pixel by pixel: outlines, overlays, error maps. No plotting library.

Images and masks are in MONAI's order, (C, W, H) and (K, W, H); pictures are (H, W, 3) uint8, the order of
image files. Colours are those of Okabe and Ito (2008), which colour-blind readers can distinguish too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from medseg_monai.evaluation.surfaces import Mask, surface

Picture = NDArray[np.uint8]
Indices = NDArray[np.intp]
Colour = tuple[int, int, int]

SKY_BLUE, ORANGE, GREEN = (86, 180, 233), (230, 159, 0), (0, 158, 115)
YELLOW, BLUE, VERMILLION, PURPLE = (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)
CLASS_COLOURS: tuple[Colour, ...] = (SKY_BLUE, ORANGE, GREEN, PURPLE, VERMILLION, BLUE)
TRUTH_COLOUR: Colour = YELLOW
RIGHT_COLOUR, MISSED_COLOUR, SPURIOUS_COLOUR = GREEN, BLUE, VERMILLION
HALO_COLOUR: Colour = (0, 0, 0)

# Share of the longer side: equally wide in thumbnails of a 24-megapixel photograph and of a small image.
LINE_SHARE = 0.007
NARROWEST_LINE = 1.5
MARGIN_WIDTH = 0.35  # of the lines of outer and inner masks, as a share of an outline's
HALO = 1.8  # width of the dark line beneath, which separates a colour from a similar background


def as_picture(image: ArrayLike, *, colour: bool = True) -> Picture:
    """An image as (H, W, 3) uint8.

    Args:
        image: (C, W, H) or (W, H). uint8 is shown unchanged; other types from their 0.5th to their 99.5th
            percentile. 3 channels are colours, 1 is grey; of 2 or more than 3 the middle one is shown, in grey.
        colour: False if 3 channels are not colours either (such as neighbouring slices): the middle one is shown.

    Raises:
        ValueError: the number of axes is wrong, or there are no pixels.
    """
    values: NDArray[Any] = np.asarray(image)
    if values.ndim not in (2, 3) or not values.size:
        raise ValueError(f"an image to draw must have the shape (C, W, H) or (W, H), not {values.shape}: take a slice")
    channels = values[None] if values.ndim == 2 else values
    if len(channels) != 3 or not colour:
        channels = np.repeat(channels[len(channels) // 2][None], 3, axis=0)
    if channels.dtype != np.uint8:
        low, high = np.percentile(channels, (0.5, 99.5))
        channels = np.clip((channels - low) * (255 / max(high - low, 1e-12)), 0, 255).round().astype(np.uint8)
    return np.array(channels.transpose(2, 1, 0), order="C")  # (C, W, H) -> (H, W, C), a copy to draw on


def as_masks(masks: ArrayLike, picture: Picture) -> Mask:
    """Masks (W, H) or (K, W, H), anything above 0 inside, as bool (K, H, W) that fit a picture.

    Raises:
        ValueError: masks of another size than the picture.
    """
    values: NDArray[Any] = np.asarray(masks)
    channels = values[None] if values.ndim == 2 else values
    if channels.ndim != 3 or channels.shape[:0:-1] != picture.shape[:2]:
        height, width = picture.shape[:2]
        raise ValueError(f"masks of shape {values.shape} do not fit an image {width} wide and {height} high")
    inside: Mask = channels.transpose(0, 2, 1) > 0  # (K, W, H) -> (K, H, W)
    return inside


def overlay(image: ArrayLike, pred: ArrayLike, truth: ArrayLike | None = None, *, fill: float = 0.2) -> Picture:
    """The image with each class of a prediction tinted and outlined, and the truth outlined in yellow.

    Args:
        image: as in :func:`as_picture`.
        pred: (W, H) or (K, W, H), 0 outside.
        truth: likewise, or None.
        fill: opacity of the tint; 0 for outlines only.

    Returns:
        (H, W, 3) uint8, the image's own size.

    Raises:
        ValueError: masks of another size than the image.
    """
    picture = as_picture(image)
    found = as_masks(pred, picture)
    draw_masks(picture, found, fill=fill)
    for mask in as_masks(truth, picture) if truth is not None else ():
        draw_outline(picture, mask, TRUTH_COLOUR)
    return picture


def draw_masks(picture: Picture, masks: Mask, *, fill: float = 0.2) -> None:
    """Tint and outline masks, bool (K, H, W), each in its class's colour, in place."""
    coloured = list(zip(masks, class_colours(len(masks)), strict=True))
    for mask, colour in coloured:
        tint(picture, mask, colour, fill)
    for mask, colour in coloured:
        draw_outline(picture, mask, colour)


def draw_margins(picture: Picture, masks: Mask) -> None:
    """Thin lines, in place, along outer and inner masks, bool (2 x classes, H, W): all outer ones first, each in its class's colour."""
    width = MARGIN_WIDTH * line_width(picture)
    for mask, colour in zip(masks, 2 * class_colours(len(masks) // 2), strict=True):
        if mask.any() and not mask.all():
            draw_outline(picture, mask, colour, width=width)


def error_map(picture: Picture, pred: Mask, truth: Mask) -> Picture:
    """A pale grey copy of a picture with pixels that were found (green), missed (blue) and spurious (vermillion).

    A pixel of several classes shows an error if one of them is wrong there.

    Args:
        picture: (H, W, 3).
        pred: bool, (K, H, W).
        truth: bool, (K, H, W).
    """
    grey = (picture.mean(axis=2, keepdims=True) * 0.5 + 127).astype(np.uint8)
    errors = np.repeat(grey, 3, axis=2)
    tint(errors, np.logical_or.reduce(pred & truth), RIGHT_COLOUR, 0.35)
    tint(errors, np.logical_or.reduce(truth & ~pred), MISSED_COLOUR, 0.85)
    tint(errors, np.logical_or.reduce(pred & ~truth), SPURIOUS_COLOUR, 0.85)
    return errors


def class_colours(n_classes: int) -> list[Colour]:
    """One colour per class: the six, then six lighter, then six darker ones; repeated after eighteen."""
    return [_shade(CLASS_COLOURS[index % 6], index // 6 % 3) for index in range(n_classes)]


def _shade(colour: Colour, number: int) -> Colour:
    """The colour itself (0), half way to white (1), half way to black (2)."""
    red, green, blue = (level if number == 0 else (level + 255 * (number == 1)) // 2 for level in colour)
    return red, green, blue


def tint(picture: Picture, mask: Mask, colour: Colour, opacity: float) -> None:
    """Mix a colour into the picture's pixels inside a mask, in place."""
    for channel, value in enumerate(colour):
        mixed = (np.arange(256) * (1 - opacity) + value * opacity + 0.5).astype(np.uint8)  # by the old value
        plane = picture[..., channel]
        plane[mask] = mixed[plane[mask]]


def draw_outline(picture: Picture, mask: Mask, colour: Colour, *, width: float | None = None) -> None:
    """Draw a mask's outline, smooth and on a dark halo, in place.

    Args:
        picture: (H, W, 3).
        mask: bool, (H, W).
        colour: of the line.
        width: of the line in pixels; None for one that suits the picture's size.
    """
    width = line_width(picture) if width is None else width
    for line, line_colour in ((width * HALO, HALO_COLOUR), (width, colour)):
        opacity = _line_opacity(mask, line)
        inside = opacity > 0
        share = opacity[inside][:, None] * (0.6 if line_colour == HALO_COLOUR else 1.0)
        picture[inside] = (picture[inside] * (1 - share) + share * np.asarray(line_colour) + 0.5).astype(np.uint8)


def line_width(picture: Picture) -> float:
    """Width in pixels of a line that is equally visible in a large picture shown small and in a small one."""
    longer_side: int = max(picture.shape[:2])
    return max(NARROWEST_LINE, LINE_SHARE * longer_side)


def shrink(picture: Picture, masks: Mask, *, longest: int) -> tuple[Picture, Mask]:
    """Picture and masks reduced by a whole factor, so that no side is longer than ``longest`` pixels."""
    factor = -(-max(picture.shape[:2]) // longest)
    if factor == 1:
        return picture, masks
    small = [np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).reduce(factor)) >= 128 for mask in masks]
    reduced = np.array(Image.fromarray(picture).reduce(factor))
    return reduced, np.array(small, dtype=np.bool_).reshape(len(masks), *reduced.shape[:2])


def enlarge(picture: Picture, masks: Mask, *, longest: int) -> tuple[Picture, Mask]:
    """Picture and masks enlarged by a whole factor, as long as no side is longer than ``longest`` pixels: outlines are then fine."""
    factor = longest // max(picture.shape[:2])
    if factor <= 1:
        return picture, masks
    height, width = picture.shape[:2]
    smooth = Image.fromarray(picture).resize((width * factor, height * factor), Image.Resampling.BICUBIC)
    return np.array(smooth), masks.repeat(factor, axis=1).repeat(factor, axis=2)


def _line_opacity(mask: Mask, width: float) -> NDArray[np.float32]:
    """0 to 1 by the distance of each pixel from the mask's outline: discs stamped on its surface pixels."""
    radius = width / 2
    reach = int(np.ceil(radius))
    rows, columns = _thinned(*np.nonzero(surface(mask)), step=max(1, int(radius / 6)))
    padded = np.zeros(np.add(mask.shape, 2 * reach), np.float32)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            cover = min(1.0, radius + 0.5 - float(np.hypot(down, right)))
            if cover > 0:
                where = (rows + down + reach, columns + right + reach)
                padded[where] = np.maximum(padded[where], np.float32(cover))
    return padded[reach : reach + mask.shape[0], reach : reach + mask.shape[1]]


def _thinned(rows: Indices, columns: Indices, *, step: int) -> tuple[Indices, Indices]:
    """One point of each ``step`` x ``step`` square: broad discs overlap so much that the others add nothing."""
    if step == 1:
        return rows, columns
    squares = np.stack([rows // step, columns // step])
    _, kept = np.unique(squares, axis=1, return_index=True)
    return rows[kept], columns[kept]
