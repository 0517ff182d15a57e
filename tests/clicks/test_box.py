"""A class that has to fit into a box."""

import numpy as np
import pytest

from medseg_monai.clicks.answer import Answer
from medseg_monai.clicks.box import fit_to_box

ROWS, COLUMNS = np.mgrid[:60, :80]
DISTANCE = np.hypot(ROWS - 30, COLUMNS - 40)
CERTAINTY = (1 / (1 + np.exp((DISTANCE - 20) / 4))).astype(np.float32)


def fitted(mask: np.ndarray, low: int, high: int) -> np.ndarray:
    answer = Answer(mask[None].astype(np.uint8), CERTAINTY[None], exclusive=False)
    fit_to_box(answer, 0, ((30 - low, 40 - low), (30 + high, 40 + high)))
    agrees = np.where(answer.mask[0] > 0, answer.probabilities[0] >= 0.5, answer.probabilities[0] <= 0.5)
    assert agrees[(answer.mask[0] > 0) != mask].all()
    return answer.mask[0] > 0


def test_a_mask_shrinks_or_grows_to_the_level_that_fills_the_box():
    """Levels of the probability are discs around the same centre: the one of the box's half side is expected, within a pixel."""
    for half in (12, 26):
        found = fitted(CERTAINTY > 0.5, half, half)
        assert not (found & (DISTANCE - half > 1)).any()
        assert not (~found & (DISTANCE - half < -1.5)).any()


def test_a_mask_that_fills_its_box_stays():
    mask = DISTANCE <= 20
    assert np.array_equal(fitted(mask, 20, 20), mask)


@pytest.mark.parametrize(("columns", "same"), [(97, True), (96, False)])
def test_from_97_percent_of_the_box_on_a_mask_counts_as_filling_it(columns: int, same: bool):
    mask = np.zeros((1, 4, 100), np.uint8)
    mask[:, :, 2 : 2 + columns] = 1
    answer = Answer(mask, np.full(mask.shape, 0.5, np.float32), exclusive=False)
    fit_to_box(answer, 0, ((0, 0), (3, 99)))
    assert answer.mask.all() != same  # a flat probability has but one level, that of the whole box


def test_an_empty_mask_grows_to_the_tightest_level_that_reaches_the_sides():
    """A cross of 97 columns' width is likelier than what surrounds it, and a dot is likeliest."""
    likely = np.full((1, 5, 100), 0.2, np.float32)
    likely[0, 2, 1:98] = likely[0, :, 40] = 0.3
    cross = likely[0] > 0.25
    likely[0, 2, 40] = 0.4
    answer = Answer(np.zeros(likely.shape, np.uint8), likely, exclusive=False)
    fit_to_box(answer, 0, ((0, 0), (4, 99)))
    assert np.array_equal(answer.mask[0] > 0, cross)


def test_nothing_stays_outside():
    mask = (DISTANCE <= 20) | (COLUMNS > 75)
    assert np.array_equal(fitted(mask, 20, 20), DISTANCE <= 20)


def test_of_exclusive_classes_the_others_stay():
    mask = np.where(COLUMNS < 40, 1, 2).astype(np.uint8)
    probabilities = np.stack([mask == 1, mask == 2]).astype(np.float32)
    answer = Answer(mask, probabilities, exclusive=True)
    fit_to_box(answer, 0, ((10, 0), (59, 39)))
    assert np.array_equal(answer.mask == 1, (COLUMNS < 40) & (ROWS >= 10))
    assert np.array_equal(answer.mask == 2, COLUMNS >= 40)
    assert np.allclose(answer.probabilities.sum(axis=0)[:10, :40], 0, atol=1e-6)


@pytest.mark.parametrize(("depth", "same"), [(4, True), (2, False)])
def test_a_volumes_box_is_filled_along_all_three_axes(depth: int, same: bool):
    mask = np.zeros((1, 6, 7, 8), np.uint8)
    mask[0, 1 : 1 + depth, 1:6, 2:8] = 1
    before = mask.copy()
    answer = Answer(mask, np.full(mask.shape, 0.5, np.float32), exclusive=False)
    fit_to_box(answer, 0, ((1, 1, 2), (4, 5, 7)))
    assert np.array_equal(answer.mask, before) == same
