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
