"""Contrast by hand, and what it must not depend on."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.evaluation.contrast import contrast

SEEN = np.ones((20, 20), bool)
SQUARE = np.zeros((20, 20), bool)
SQUARE[8:12, 8:12] = True


def checkered(inside, outside, spread):
    """Values that alternate around two means, so that their standard deviation is known; a checker-board has as many of each."""
    signs = np.where(np.indices((20, 20)).sum(axis=0) % 2, 1.0, -1.0)
    return np.where(SQUARE, inside, outside) + spread * signs


def test_difference_of_means_over_the_spread():
    image = checkered(3, 10, 0.5)[None]
    assert contrast(image, SQUARE, others=SQUARE, seen=SEEN) == pytest.approx(7 / 0.5)


def test_the_channel_in_which_it_stands_out_most():
    image = np.stack([checkered(3, 10, 0.5), checkered(10, 3, 0.25), checkered(0, 0, 1)])
    assert contrast(image, SQUARE, others=SQUARE, seen=SEEN) == pytest.approx(7 / 0.25)


def test_surroundings_begin_a_pixel_outside_and_are_no_other_structure_and_no_padding():
    image = checkered(3, 10, 0.5)
    image[7, 7:13] = 1000  # the outline's neighbours
    others = SQUARE.copy()
    others[12:, :] = True
    image[12:, :] = -500
    seen = SEEN.copy()
    seen[:, :7] = False
    image[:, :7] = 77
    image[:2], image[:, 17:] = -30, -30  # far away
    assert contrast(image[None], SQUARE, others=others, seen=seen) == pytest.approx(7 / 0.5)


@given(st.floats(0.1, 50), st.floats(-100, 100))
def test_the_scale_of_intensities_does_not_matter(scale, offset):
    image = checkered(3, 10, 0.5)[None]
    assert contrast(image * scale + offset, SQUARE, others=SQUARE, seen=SEEN) == pytest.approx(14, rel=1e-3)


def test_volumes_too():
    cube = np.zeros((12, 12, 12), bool)
    cube[4:8, 4:8, 4:8] = True
    image = np.where(cube, 5.0, 1.0) + np.where(np.indices(cube.shape).sum(axis=0) % 2, 2, -2)
    assert contrast(image[None], cube, others=cube, seen=np.ones_like(cube)) == pytest.approx(2, rel=0.02)


def test_without_a_structure_or_surroundings_there_is_none():
    assert math.isnan(contrast(np.ones((1, 20, 20)), ~SEEN, others=~SEEN, seen=SEEN))
    assert math.isnan(contrast(np.ones((1, 20, 20)), SEEN, others=SEEN, seen=SEEN))


def test_a_drawing_without_noise_has_a_large_one_that_is_finite():
    image = np.where(SQUARE, 0.0, 1.0)[None]
    assert contrast(image, SQUARE, others=SQUARE, seen=SEEN) == pytest.approx(1000)


@pytest.mark.parametrize("toward", [(1, 0), (-1, 0), (0, 1), (0, -1)])
@pytest.mark.parametrize(("side", "ring"), [(4, range(2, 4)), (20, range(2, 6))])
def test_the_ring_is_two_pixels_wide_or_a_fifth_of_the_root_of_the_structures_size(toward, side, ring):
    """Of a square of 4 x 4 the second and third pixel outside it count, of 20 x 20 those up to the fifth; on all its sides."""
    mask = np.zeros((40, 36), bool)
    low, high = (np.array([10, 8]), np.array([10, 8]) + side - 1)
    mask[low[0] : high[0] + 1, low[1] : high[1] + 1] = True
    noise = np.where(np.indices(mask.shape).sum(axis=0) % 2, 1.0, -1.0)
    plain = contrast((5.0 * mask + noise)[None], mask, others=mask, seen=np.ones_like(mask))
    counts = []
    for distance in range(1, 8):
        place = (low + high) // 2
        axis = 0 if toward[0] else 1
        place[axis] = high[axis] + distance if sum(toward) > 0 else low[axis] - distance
        spot = 5.0 * mask + noise
        spot[tuple(place)] += 100
        if contrast(spot[None], mask, others=mask, seen=np.ones_like(mask)) != plain:
            counts.append(distance)
    assert counts == list(ring)


def test_the_ring_reaches_to_the_images_border():
    mask = np.zeros((9, 9), bool)
    mask[3:6, 3:6] = True
    image = np.where(np.indices(mask.shape).sum(axis=0) % 2, 1.0, -1.0) + 5.0 * mask
    plain = contrast(image[None], mask, others=mask, seen=np.ones_like(mask))
    for place in ((0, 4), (8, 4), (4, 0), (4, 8)):
        spot = image.copy()
        spot[place] += 100
        assert contrast(spot[None], mask, others=mask, seen=np.ones_like(mask)) != plain


def test_the_ring_follows_the_outline_and_not_the_box_around_it():
    """Two arms: in the corner between them the third pixel from an arm counts, and the fourth no longer."""
    mask = np.zeros((30, 30), bool)
    mask[5:25, 5:7] = mask[23:25, 5:25] = True
    image = np.where(np.indices(mask.shape).sum(axis=0) % 2, 1.0, -1.0) + 5.0 * mask
    plain = contrast(image[None], mask, others=mask, seen=np.ones_like(mask))
    for row, counts in ((20, True), (19, False)):
        spot = image.copy()
        spot[row, 15] += 100
        assert (contrast(spot[None], mask, others=mask, seen=np.ones_like(mask)) != plain) == counts
