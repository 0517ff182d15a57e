"""Which exclusive classes a pixel must not get when a click takes it from another."""

import numpy as np

from medseg_monai.clicks.refusals import Refusals, squared_distances

SAID = {0: {(0, 0): False, (0, 9): False}, 1: {(0, 0): False, (0, 9): True}, 2: {(0, 0): False}}
CUT = (slice(0, 2), slice(2, 8))


def test_a_pixel_follows_the_nearest_click():
    """Columns 2 to 4 are nearer to the click on background, which no class may get; of the others only class 0 is refused."""
    near = Refusals(SAID, 3, (1, 1)).near(0, CUT)
    assert near.shape == (3, 2, 6)
    assert np.array_equal(near[:, 0], [[True] * 6, [True] * 3 + [False] * 3, [True] * 3 + [False] * 3])


def test_without_such_a_click_nothing_is_refused():
    """What is inside class 0 is in none of the others, which says nothing about pixels that class 0 loses."""
    said = {0: {(0, 9): True}, 1: {(0, 9): False}, 2: {(0, 9): False}}
    assert not Refusals(said, 3, (1, 1)).near(0, CUT).any()


def test_one_click_for_all_around_it():
    assert Refusals(SAID, 3, (1, 1)).at((0, 9), CUT).all(axis=(1, 2)).tolist() == [True, False, False]


def test_squared_distances_have_the_unit_of_the_spacing():
    assert np.array_equal(squared_distances((slice(1, 3), slice(0, 2)), (1, 1), (2, 3)), [[9, 0], [13, 4]])
