"""Boundary IoU against its authors' definition, and erosion and dilation against scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import binary_dilation, binary_erosion

from medseg_monai.evaluation.boundary import boundary_iou, dilated, eroded

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9))


def by_the_authors(mask, dilation):
    """`mask_to_boundary` of their repository: erosion by 3 x 3 squares, as often as the band is wide, of a mask padded by 0."""
    padded = np.pad(mask, 1)
    inner = binary_erosion(padded, np.ones((3,) * mask.ndim), iterations=dilation)
    return mask & ~inner[(slice(1, -1),) * mask.ndim]


@given(mask=masks, radius=st.integers(1, 4))
def test_erosion_and_dilation_are_scipys(mask, radius):
    box = np.ones((2 * radius + 1,) * mask.ndim)
    assert np.array_equal(eroded(mask, [radius] * mask.ndim), binary_erosion(mask, box))
    assert np.array_equal(dilated(mask, [radius] * mask.ndim), binary_dilation(mask, box))


@given(pair=arrays(np.bool_, st.tuples(st.just(2), st.integers(2, 12), st.integers(2, 12))), width=st.integers(1, 4))
def test_it_is_the_authors(pair, width):
    pair[:, 0, 0] = True  # neither is empty
    bands = [by_the_authors(mask, width) for mask in pair]
    expected = (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum()
    assert boundary_iou(*pair, width=width, spacing=(1, 1)) == pytest.approx(expected)
    assert boundary_iou(*pair[::-1], width=width, spacing=(1, 1)) == pytest.approx(expected)
    assert boundary_iou(pair[0], pair[0], width=width, spacing=(1, 1)) == 1
    assert boundary_iou(*pair, width=3 * width, spacing=(3, 3)) == pytest.approx(expected)


def test_the_band_is_as_wide_along_each_axis_as_the_spacing_says():
    square = np.ones((9, 9), bool)
    thinner = square.copy()
    thinner[:, :1] = False
    # 2 mm are 2 rows and 1 column: bands of 81 - 5 * 7 = 46 and 72 - 5 * 6 = 42 pixels. The second has 5 pixels in column 1 that are
    # inside the first, which has 9 in column 0 that the second lacks.
    assert boundary_iou(square, thinner, width=2, spacing=(1, 2)) == (42 - 5) / (42 + 9)


def test_a_band_is_at_least_a_pixel_wide():
    square = np.zeros((9, 9), bool)
    square[2:7, 2:7] = True
    larger = square.copy()
    larger[7, 4] = True  # one pixel more, which leaves no other inside: rings of 16 and 17 pixels
    assert boundary_iou(square, larger, width=0.1, spacing=(1, 1)) == 16 / 17


def test_it_notices_the_outline_of_a_large_mask():
    disc = np.hypot(*np.mgrid[-150:150, -150:150]) < 100
    smaller = np.hypot(*np.mgrid[-150:150, -150:150]) < 92
    iou = (disc & smaller).sum() / (disc | smaller).sum()
    assert iou > 0.84
    assert boundary_iou(disc, smaller, width=8.5, spacing=(1, 1)) < 0.15
