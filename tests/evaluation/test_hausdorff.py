"""Hausdorff distances against drawings and SciPy's own, over all pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.spatial.distance import directed_hausdorff

from medseg_monai.evaluation import hausdorff
from medseg_monai.evaluation.hausdorff import hausdorff_distance, normalised_hausdorff

spacings = st.tuples(*[st.floats(0.1, 10)] * 3)


@st.composite
def pairs(draw):
    """Two masks of one shape with at least one pixel each, sparse or dense."""
    shape = draw(array_shapes(min_dims=3, max_dims=3, max_side=20))
    seed, share = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([0.01, 0.3, 0.9]))
    masks = np.random.default_rng(seed).random((2, *shape)) < share
    masks[0].flat[seed % masks[0].size] = masks[1].flat[-1] = True
    return masks


def scipys(pred, truth, steps):
    """The larger of the two directed distances between all pixels."""
    places = np.argwhere(pred) * steps, np.argwhere(truth) * steps
    return max(directed_hausdorff(*places)[0], directed_hausdorff(*places[::-1])[0])


@given(pairs(), spacings)
def test_equal_to_scipy(masks, spacing):
    assert hausdorff_distance(*masks, spacing) == pytest.approx(scipys(*masks, spacing), rel=1e-9)


@given(st.integers(0, 2**32 - 1), spacings)
def test_equal_to_scipy_where_blocks_are_ruled_out(seed, spacing):
    generator = np.random.default_rng(seed)
    masks = np.zeros((2, 70, 50, 40), bool)
    for mask in masks:
        mask[tuple(generator.integers(0, (70, 50, 40), (60, 3)).T)] = True
    assert hausdorff_distance(*masks, spacing) == pytest.approx(scipys(*masks, spacing), rel=1e-9)


@given(masks=pairs())
def test_both_ways_of_searching_agree(masks):
    kept = hausdorff.DENSE_SURFACE
    try:
        found = []
        for limit in (0, 2):
            hausdorff.DENSE_SURFACE = limit
            found.append(hausdorff_distance(*masks))
    finally:
        hausdorff.DENSE_SURFACE = kept
    assert found[0] == pytest.approx(found[1], rel=1e-9)


def test_the_farthest_pixel_may_lie_inside():
    ring = np.ones((41, 41), bool)
    ring[1:-1, 1:-1] = False
    assert hausdorff_distance(np.ones((41, 41), bool), ring) == 20  # the disc's centre is not on its surface


def test_axes_have_their_own_length():
    one, other = np.zeros((2, 4, 5, 10), bool)
    one[0, 0, 0] = other[2, 0, 0] = True
    assert normalised_hausdorff(one, other) == pytest.approx(2 / 4 / 3**0.5)
    assert normalised_hausdorff(one, np.roll(one, 4, axis=1)) == pytest.approx(4 / 5 / 3**0.5)
    assert normalised_hausdorff(one, np.roll(one, 3, axis=2)) == pytest.approx(3 / 10 / 3**0.5)


def test_empty_masks():
    empty, some = np.zeros((2, 3, 3, 3), bool)
    some[1, 1, 1] = True
    assert normalised_hausdorff(empty, empty) == 0
    assert normalised_hausdorff(some, some) == 0
    assert normalised_hausdorff(empty, some) == normalised_hausdorff(some, empty) == 1


@given(pairs())
def test_a_share_between_0_and_1(masks):
    assert 0 <= normalised_hausdorff(*masks) < 1


@given(arrays(np.bool_, (3, 4, 5)))
def test_masks_without_pixels_have_no_distance(mask):
    with pytest.raises(ValueError, match="empty mask"):
        hausdorff_distance(mask, np.zeros_like(mask))
