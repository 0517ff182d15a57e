"""Pictures pixel by pixel: order of axes, colours where they belong, the input left alone."""

import time

import numpy as np
import pytest

from medseg_monai.figures import drawing
from medseg_monai.figures.drawing import as_masks, as_picture, draw_outline, enlarge, error_map, overlay, shrink

GREY = 100


def square(width, height, *, low=0, high=None):
    """A mask (W, H) that holds the pixels low <= x, y < high."""
    mask = np.zeros((width, height), bool)
    mask[low:high, low:high] = True
    return mask


def test_picture_is_turned_from_width_height_to_height_width():
    image = np.zeros((3, 4, 2), np.uint8)
    image[:, 3, 0] = (10, 20, 30)  # the pixel at x = 3, y = 0
    picture = as_picture(image)
    assert picture.shape == (2, 4, 3)
    assert picture[0, 3].tolist() == [10, 20, 30]


def test_grey_and_many_channels_become_grey_colours():
    grey = np.arange(6, dtype=np.uint8).reshape(3, 2)
    assert (as_picture(grey) == grey.T[..., None]).all()
    stack = np.stack([grey * 0, grey, grey * 0, grey * 0])[:2]
    assert (as_picture(stack) == grey.T[..., None]).all()


def test_wide_ranges_are_stretched_between_percentiles():
    image = np.linspace(1000, 13_000, 10_000).reshape(1, 100, 100)
    picture = as_picture(image)
    assert (picture.min(), picture.max()) == (0, 255)
    assert abs(int(picture[49, 49, 0]) - round(255 * 0.4949)) <= 2


def test_constant_image_is_drawn():
    assert (as_picture(np.full((1, 4, 4), 7.0)) == 0).all()


@pytest.mark.parametrize("shape", [(5,), (1, 2, 3, 4), (3, 0, 4)])
def test_what_is_no_image_is_named(shape):
    with pytest.raises(ValueError, match="take a slice"):
        as_picture(np.zeros(shape, np.uint8))


def test_masks_of_another_size_are_named():
    picture = as_picture(np.zeros((3, 6, 4), np.uint8))
    assert as_masks(np.ones((2, 6, 4)), picture).shape == (2, 4, 6)
    with pytest.raises(ValueError, match=r"\(4, 6\) do not fit an image 6 wide and 4 high"):
        as_masks(np.ones((4, 6)), picture)


def test_overlay_tints_inside_outlines_the_border_and_leaves_the_rest():
    image = np.full((3, 60, 40), GREY, np.uint8)
    pred = square(60, 40, low=10, high=30)
    picture = overlay(image, pred, fill=0.5)
    assert picture[2, 2].tolist() == [GREY] * 3  # far outside
    assert picture[20, 20].tolist() == [93, 140, 167]  # deep inside: half grey, half (86, 180, 233), rounded
    assert picture[20, 10].tolist() == list(drawing.SKY_BLUE)  # on the border at x = 10
    assert (image == GREY).all()  # the caller's image is not drawn on


def test_truth_is_yellow_and_beneath_the_prediction():
    image = np.full((1, 60, 40), GREY, np.uint8)
    picture = overlay(image, square(60, 40, low=10, high=30), square(60, 40, low=20, high=35))
    assert picture[34, 27].tolist() == list(drawing.YELLOW)
    assert picture[20, 10].tolist() == list(drawing.SKY_BLUE)


def test_classes_have_their_own_colours():
    masks = np.stack([square(60, 60, low=5, high=20), square(60, 60, low=35, high=50)])
    picture = overlay(np.zeros((1, 60, 60), np.uint8), masks)
    assert picture[10, 5].tolist() == list(drawing.SKY_BLUE)
    assert picture[40, 35].tolist() == list(drawing.ORANGE)


def test_eighteen_classes_have_eighteen_colours():
    colours = drawing.class_colours(20)
    assert len(set(colours[:18])) == 18
    assert colours[18:] == colours[:2]
    assert colours[6] == tuple((level + 255) // 2 for level in drawing.SKY_BLUE)


# Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113: what a reader without one kind of cone sees of linear RGB
COLOUR_BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("kind", COLOUR_BLIND)
def test_colours_are_told_apart_by_the_colour_blind(kind):
    def seen(colour):
        level = np.asarray(colour) / 255
        linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
        return lab(np.clip(np.array(COLOUR_BLIND[kind]) @ linear, 0, 1))

    for group in (
        [*drawing.CLASS_COLOURS[:3], drawing.TRUTH_COLOUR],
        [drawing.RIGHT_COLOUR, drawing.MISSED_COLOUR, drawing.SPURIOUS_COLOUR],
    ):
        colours = [seen(colour) for colour in group]
        nearest = min(np.linalg.norm(a - b) for i, a in enumerate(colours) for b in colours[:i])
        assert nearest > 10  # a difference of 2.3 in CIELAB is just noticed


def lab(linear):
    """Linear sRGB as CIELAB (D65)."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = to_xyz @ linear / [0.9505, 1.0, 1.089]
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_three_channels_that_are_no_colours_show_the_middle_one():
    stack = np.stack([np.full((3, 2), level, np.uint8) for level in (10, 20, 30)])
    assert (as_picture(stack, colour=False) == 20).all()


def test_small_pictures_grow_by_whole_factors():
    picture, masks = np.full((4, 6, 3), 9, np.uint8), np.array([[[True] + [False] * 5] * 4])
    larger, planes = enlarge(picture, masks, longest=20)
    assert larger.shape == (12, 18, 3)
    assert (larger == 9).all()
    assert planes[0, 0].tolist() == [True] * 3 + [False] * 15
    assert enlarge(picture, masks, longest=11)[0] is picture


@pytest.mark.parametrize("empty", [True, False])
def test_overlay_of_nothing_is_the_image(empty):
    image = np.random.default_rng(0).integers(255, size=(3, 9, 7), dtype=np.uint8)
    picture = overlay(image, np.zeros((9, 7)), np.zeros((9, 7)) if empty else None)
    assert (picture == image.transpose(2, 1, 0)).all()


def test_line_grows_with_the_image():
    small, large = np.zeros((100, 100, 3), np.uint8), np.zeros((2000, 1000, 3), np.uint8)
    assert drawing.line_width(small) == drawing.NARROWEST_LINE
    assert drawing.line_width(large) == 2000 * drawing.LINE_SHARE


def test_outline_is_as_wide_as_asked():
    picture = np.full((50, 50, 3), GREY, np.uint8)
    draw_outline(picture, square(50, 50, high=25).T, drawing.YELLOW, width=5)
    row = picture[10]  # the border lies at x = 24
    assert [pixel.tolist() == list(drawing.YELLOW) for pixel in row[20:30]].count(True) == 5
    assert (row[35:] == GREY).all()


def test_error_map_shows_found_missed_and_spurious():
    picture = np.full((1, 4, 3), 200, np.uint8)
    pred, truth = np.array([[[1, 1, 0, 0]]], bool), np.array([[[1, 0, 1, 0]]], bool)
    errors = error_map(picture, pred, truth)[0].astype(int)
    grey = 200 // 2 + 127
    assert errors[3].tolist() == [grey] * 3
    for pixel, colour, opacity in zip(
        errors, (drawing.GREEN, drawing.VERMILLION, drawing.BLUE), (0.35, 0.85, 0.85), strict=False
    ):
        assert pixel == pytest.approx(grey * (1 - opacity) + np.multiply(colour, opacity), abs=1)


def test_shrink_averages_by_a_whole_factor():
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:, ::2] = 200
    masks = np.zeros((2, 4, 6), bool)
    masks[1, :2] = True
    small, fewer = shrink(picture, masks, longest=3)
    assert (small == 100).all()
    assert small.shape == (2, 3, 3)
    assert fewer.tolist() == [[[False] * 3] * 2, [[True] * 3, [False] * 3]]
    assert shrink(picture, masks, longest=6)[0] is picture


def test_overlay_of_24_megapixels_takes_seconds():
    image = np.zeros((1, 6000, 4000), np.uint8)
    x, y = np.ogrid[:6000, :4000]
    began = time.process_time()  # whatever else the machine does
    overlay(image, (x - 3000) ** 2 + (y - 2000) ** 2 < 1500**2)
    assert time.process_time() - began < 30  # measured: about 2 s on one idle core
