"""Layers of the viewer, decoded again and compared with the masks."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from medseg_monai.app.layers import (
    LONGEST_SIDE,
    THUMBNAIL,
    fill_png,
    heat_png,
    image_jpeg,
    outline_png,
    shown_step,
    thumbnail_jpeg,
)
from medseg_monai.figures.drawing import class_colours, draw_outline

MASKS = np.zeros((2, 40, 60), bool)
MASKS[0, 5:20, 5:30] = True
MASKS[1, 15:35, 25:55] = True


def decoded(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_fill_is_exactly_the_mask() -> None:
    layer = decoded(fill_png(MASKS))
    assert np.array_equal(layer[..., 3] > 0, MASKS.any(axis=0))
    assert tuple(layer[6, 6]) == (*class_colours(2)[0], 255)
    assert tuple(layer[18, 27]) == (*class_colours(2)[1], 255)  # the later class is on top


def test_outline_on_an_image_is_the_programs_own() -> None:
    ground = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    wanted = ground.copy()
    draw_outline(wanted, MASKS[0], class_colours(1)[0])
    layer = decoded(outline_png(MASKS[:1])).astype(float)
    opacity = layer[..., 3:] / 255
    shown = ground * (1 - opacity) + layer[..., :3] * opacity
    assert np.abs(shown - wanted).max() <= 4
    assert (np.abs(wanted.astype(int) - ground).max(axis=2) > 60).sum() > 50


def test_an_empty_mask_has_empty_layers() -> None:
    for layer in (fill_png(MASKS & False), outline_png(MASKS & False)):
        assert decoded(layer)[..., 3].max() == 0


@pytest.mark.parametrize(
    ("size", "step"), [((100, 60), 1), ((LONGEST_SIDE, 9), 1), ((LONGEST_SIDE + 1, 9), 2), ((9, 3 * LONGEST_SIDE), 3)]
)
def test_large_pictures_are_reduced_by_a_whole_factor(size: tuple[int, int], step: int) -> None:
    assert shown_step(size) == step
    width, height = size
    shape = decoded(image_jpeg(np.zeros((height, width, 3), np.uint8))).shape
    assert shape[:2] == (-(-height // step), -(-width // step))


@pytest.mark.parametrize("size", [(LONGEST_SIDE + 1, 9), (7, 3 * LONGEST_SIDE - 1), (2 * LONGEST_SIDE, 4)])
def test_layers_of_large_pictures_lie_on_the_picture(size: tuple[int, int]) -> None:
    """They have its pixels, and what fills its left half fills the half that is shown."""
    width, height = size
    planes = np.zeros((1, height, width), bool)
    planes[:, :, : width // 2] = True
    shape = decoded(image_jpeg(np.zeros((height, width, 3), np.uint8))).shape[:2]
    fill, outline, heat = (
        decoded(content) for content in (fill_png(planes), outline_png(planes), heat_png(planes[0] * 1.0))
    )
    assert fill.shape[:2] == outline.shape[:2] == heat.shape[:2] == shape
    assert abs(np.count_nonzero(fill[0, :, 3]) - shape[1] / 2) <= 1
    assert np.array_equal(heat.sum(axis=2) > heat.sum(axis=2).mean(), fill[..., 3] > 0)


def test_heat_has_the_maps_colours() -> None:
    shown = decoded(heat_png(np.array([[0.0, 1.0, 7.0, -1.0]]))).astype(int)
    assert np.array_equal(shown[0, 1], shown[0, 2])
    assert np.array_equal(shown[0, 0], shown[0, 3])
    assert shown[0, 1].sum() > shown[0, 0].sum() + 300  # light is much


def test_a_thumbnail_has_the_pictures_proportions_and_lies_in_the_middle() -> None:
    for size, box in (((400, 600), (32, 0, 160, 192)), ((600, 300), (0, 48, 192, 144))):
        shown = decoded(thumbnail_jpeg(np.full((*size, 3), 255, np.uint8)))
        rows, columns = (np.flatnonzero((shown.mean(axis=2) > 128).any(axis=axis)) for axis in (1, 0))
        assert (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) == box


def test_a_thumbnail_is_square_and_shows_the_outline() -> None:
    plain, outlined = (decoded(thumbnail_jpeg(np.full((40, 60, 3), 90, np.uint8), masks)) for masks in (None, MASKS))
    assert plain.shape[0] == plain.shape[1] == outlined.shape[0]
    assert np.abs(plain.astype(int) - outlined).max() > 60


def test_a_thumbnail_is_filled_whatever_the_size() -> None:
    for size in ((10, 5), (1000, 500)):
        white = np.full((size[1], size[0], 3), 255, np.uint8)
        drawn = np.asarray(Image.open(io.BytesIO(thumbnail_jpeg(white))).convert("L"))
        rows, columns = np.nonzero(drawn > 128)
        assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == (2 * THUMBNAIL, THUMBNAIL)
