"""Log-odds whose sign is the mask, and how large a clicked object is."""

import numpy as np
import pytest

from medseg_monai.clicks.evidence import evidence, logit, object_radius

ROWS, COLUMNS = np.mgrid[:40, :60]


def disc(row: float, column: float, radius: float) -> np.ndarray:
    return np.hypot(ROWS - row, COLUMNS - column) <= radius


def test_the_sign_is_the_mask_whatever_made_it():
    """A threshold of 0.2, a filled hole and a removed part: probability says otherwise at all three."""
    distance = np.hypot(ROWS - 20, COLUMNS - 25)
    probability = 1 / (1 + np.exp(distance - 8))
    probability[20, 25] = 0.01
    probability[2:5, 50:53] = 0.9
    mask = (distance <= 8 + np.log(4)).astype(np.float32)
    field = evidence(mask, probability, radius=8.0, steps=(1.0, 1.0))
    assert np.array_equal(field > 0, mask > 0)
    assert field.dtype == np.float32


def test_certainty_grows_with_the_distance_from_the_outline():
    """Also where the network says 1 and 0 only."""
    mask = disc(20, 30, 10).astype(np.float32)
    field = evidence(mask, mask, radius=10.0, steps=(1.0, 1.0))
    assert np.all(np.diff(field[20, 41:50]) < 0)
    assert np.all(np.diff(field[20, 31:40]) < 0)


def test_it_is_three_parts_probability_and_two_parts_distance():
    """Log-odds of log 4 and 0 lie log 2 on either side of the outline; a radius of 3.5 is worth 7, so half a pixel is worth 1."""
    inside = COLUMNS < 30
    field = evidence(inside.astype(np.float32), np.where(inside, 0.8, 0.5), radius=3.5, steps=(1.0, 1.0))
    assert np.allclose(field[:, 29], 0.6 * np.log(2) + 0.4 * 1)
    assert np.allclose(field[:, 27], 0.6 * np.log(2) + 0.4 * 5)
    assert np.allclose(field[:, 30], -0.6 * np.log(2) - 0.4 * 1)
    assert np.allclose(field[:, 59], -0.6 * np.log(2) - 0.4 * np.log(999))  # as sure as a probability can be


@pytest.mark.parametrize(("value", "sign"), [(0.0, -1), (1.0, 1)])
def test_empty_and_full_masks_are_far_from_any_outline(value: float, sign: int):
    """A probability that contradicts the mask counts a quarter for it."""
    probability = np.full((5, 6), 0.5 - sign * 0.1)
    field = evidence(np.full((5, 6), value), probability, radius=3.0, steps=(1.0, 1.0))
    assert np.allclose(field, sign * (0.6 * 0.25 + 0.4 * np.log(999)))


def test_log_odds_are_limited():
    assert np.allclose(logit(np.array([0.0, 0.5, 0.8, 1.0])), [np.log(0.001 / 0.999), 0, np.log(4), np.log(999)])


def test_the_radius_is_that_of_the_clicked_part_or_of_the_nearest():
    mask = disc(20, 15, 10) | disc(20, 50, 4)
    assert object_radius(mask, [(20, 15)], (1, 1)) == pytest.approx(10, abs=0.2)
    assert object_radius(mask, [(20, 43)], (1, 1)) == pytest.approx(4, abs=0.2)
    assert object_radius(mask, [(20, 15), (20, 43)], (1, 1)) == pytest.approx(7, abs=0.2)


def test_the_radius_has_the_unit_of_the_spacing():
    ball = np.hypot(np.hypot(*np.mgrid[:20, :20][:, :, :, None] - 9.5), np.arange(20) - 9.5) <= 6
    assert object_radius(ball, [(9, 9, 9)], (1, 1, 1)) == pytest.approx(6, abs=0.1)
    assert object_radius(ball, [(9, 9, 9)], (2, 2, 2)) == pytest.approx(12, abs=0.2)


def test_an_empty_mask_and_a_dot_have_a_radius():
    """A hundredth of 40 x 60 pixels is a disc of radius 2.76; the smallest is 3."""
    assert object_radius(np.zeros((40, 60), bool), [(1, 1)], (1, 1)) == 3
    assert object_radius(np.zeros((80, 60), bool), [(1, 1)], (1, 1)) == pytest.approx((48 / np.pi) ** 0.5)
    assert object_radius(disc(3, 3, 0), [(1, 1)], (1, 1)) == 3


def test_a_large_image_is_looked_at_coarsely():
    mask = np.zeros((1000, 1200), bool)
    mask[200:600, 300:900] = True
    assert object_radius(mask, [(999, 1199)], (1, 1)) == pytest.approx((400 * 600 / np.pi) ** 0.5, rel=0.02)


def test_small_objects_of_a_large_image_are_seen():
    """Every fourth pixel of 1000 x 1200 is looked at."""
    mask = np.zeros((1000, 1200), bool)
    mask[20:36, 20:36] = True
    assert object_radius(mask, [(500, 500)], (1, 1)) == pytest.approx((16 * 16 / np.pi) ** 0.5)
