"""Pictures that the viewer puts on top of one another, as PNG and JPEG: image, fill, outline, maps."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from medseg_monai.figures.drawing import Picture, class_colours, draw_outline
from medseg_monai.figures.explanations import COLOUR_MAP

LONGEST_SIDE = 2048
"""Of what the browser gets: more than a screen has."""
THUMBNAIL = 96


def shown_step(size: tuple[int, int]) -> int:
    """The whole factor by which a picture of this width and height is reduced for the browser."""
    return max(1, -(-max(size) // LONGEST_SIDE))


def image_jpeg(picture: Picture, *, quality: int = 92) -> bytes:
    """The image itself."""
    height, width = picture.shape[:2]
    return _encoded(Image.fromarray(picture).reduce(shown_step((width, height))), "JPEG", quality)


def thumbnail_jpeg(picture: Picture, planes: NDArray[np.bool_] | None = None) -> bytes:
    """A small square of the image with the outlines, for the list."""
    small = ImageOps.contain(Image.fromarray(picture), (2 * THUMBNAIL, 2 * THUMBNAIL))
    drawn = np.array(small)
    for plane, colour in zip(
        () if planes is None else planes, class_colours(0 if planes is None else len(planes)), strict=True
    ):
        reduced = np.asarray(Image.fromarray(plane).resize(small.size, Image.Resampling.NEAREST))
        draw_outline(drawn, reduced, colour)
    square = Image.new("RGB", (2 * THUMBNAIL, 2 * THUMBNAIL))
    square.paste(Image.fromarray(drawn), ((2 * THUMBNAIL - small.width) // 2, (2 * THUMBNAIL - small.height) // 2))
    return _encoded(square, "JPEG", 85)


def fill_png(planes: NDArray[np.bool_]) -> bytes:
    """Each class's pixels in its colour, the others transparent: (K, H, W)."""
    small = _reduced(planes)
    layer = np.zeros((*small.shape[1:], 4), np.uint8)
    for plane, colour in zip(small, class_colours(len(small)), strict=True):
        layer[plane] = (*colour, 255)
    return _encoded(Image.fromarray(layer), "PNG")


def outline_png(planes: NDArray[np.bool_]) -> bytes:
    """Each class's outline as on all pictures of the program, on nothing."""
    small = _reduced(planes)
    on_black = np.zeros((*small.shape[1:], 3), np.uint8)
    on_white = np.full_like(on_black, 255)
    for plane, colour in zip(small, class_colours(len(small)), strict=True):
        for ground in (on_black, on_white):
            draw_outline(ground, plane, colour)
    opacity = 255 - (on_white.astype(int) - on_black).clip(0, 255).max(axis=2)  # what of the ground is covered
    colour_there = on_black.astype(int) * 255 // np.maximum(opacity, 1)[..., None]
    return _encoded(Image.fromarray(np.dstack([colour_there.clip(0, 255), opacity]).astype(np.uint8)), "PNG")


def heat_png(values: NDArray[np.floating]) -> bytes:
    """A map of 0..1, (H, W), in the colours of the program's maps."""
    from matplotlib import colormaps

    colours = colormaps[COLOUR_MAP](np.clip(_reduced(values), 0, 1), bytes=True)
    return _encoded(Image.fromarray(np.ascontiguousarray(colours[..., :3])), "PNG")


def _reduced(maps: NDArray[Any]) -> NDArray[Any]:
    """The middle pixels of the blocks that the image is reduced by: (…, H, W), as many as the image has on the screen."""
    step = shown_step((maps.shape[-1], maps.shape[-2]))
    rows, columns = (np.minimum(np.arange(0, side, step) + step // 2, side - 1) for side in maps.shape[-2:])
    return maps if step == 1 else maps[..., rows[:, None], columns]


def _encoded(picture: Image.Image, kind: str, quality: int = 0) -> bytes:
    content = io.BytesIO()
    if kind == "JPEG":
        picture.save(content, kind, quality=quality)
    else:
        picture.save(content, kind, compress_level=1)
    return content.getvalue()
