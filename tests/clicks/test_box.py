"""A class that has to fit into a box."""

import numpy as np

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
