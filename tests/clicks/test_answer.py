"""A mask and its probabilities stay of one opinion, for overlapping and for exclusive classes."""

import numpy as np
import pytest

from medseg_monai.clicks.answer import Answer, small_cut

HERE = (slice(0, 1), slice(1, 3))
BOTH = np.array([[True, True]])


def exclusive() -> Answer:
    """Background everywhere, class 1 likelier than class 2."""
    probabilities = np.empty((2, 2, 4), np.float32)
    probabilities[0], probabilities[1] = 0.3, 0.1
    return Answer(np.zeros((2, 4), np.uint8), probabilities, exclusive=True)


def test_what_is_given_to_a_class_is_also_its_probability():
    answer = exclusive()
    answer.add(1, HERE, BOTH)
    assert answer.mask.tolist() == [[0, 2, 2, 0], [0, 0, 0, 0]]
    assert np.allclose(answer.probabilities[:, 0, 1], [0.3, 0.6])  # background and class 2 have exchanged 0.6 and 0.1
    assert np.allclose(answer.probabilities[:, 1, 1], [0.3, 0.1])


def test_what_is_taken_from_a_class_goes_to_the_next_best():
    answer = exclusive()
    answer.probabilities[:, 0, 1] = 0.5, 0.4
    answer.probabilities[:, 0, 2] = 0.5, 0.1
    answer.mask[0, 1:3] = 1
    answer.remove(0, HERE, BOTH)
    assert answer.mask.tolist() == [[0, 2, 0, 0], [0, 0, 0, 0]]
    assert np.allclose(answer.probabilities[:, 0, 1], [0.4, 0.5])
    assert np.allclose(answer.probabilities[:, 0, 2], [0.4, 0.1])


def test_overlapping_classes_do_not_touch_each_other():
    answer = Answer(np.ones((2, 2, 4), np.uint8), np.full((2, 2, 4), 0.7, np.float32), exclusive=False)
    answer.remove(1, HERE, BOTH)
    assert answer.mask.sum(axis=(1, 2)).tolist() == [8, 6]
    assert np.allclose(answer.probabilities[1, 0], [0.7, 0.3, 0.3, 0.7])
    assert np.allclose(answer.probabilities[0], 0.7)


def test_log_odds_add_up():
    """Odds of 3:7 times e^log(7/3) are even; the other class keeps its share of what is left: 0.1 of 0.7 becomes 0.0714."""
    answer = exclusive()
    answer.odds_change(0, HERE, np.array([[np.log(7 / 3), 0]], np.float32))
    assert np.allclose(answer.probabilities[:, 0, 1], [0.5, 0.5 / 7])
    assert np.allclose(answer.probabilities[:, 0, 2], [0.3, 0.1])


def test_of_overlapping_classes_the_odds_of_one_change():
    answer = Answer(np.zeros((2, 2, 4), np.uint8), np.full((2, 2, 4), 0.5, np.float32), exclusive=False)
    answer.odds_change(0, HERE, np.array([[1, 0]], np.float32))
    assert np.allclose(answer.probabilities[0, 0], [0.5, np.e / (1 + np.e), 0.5, 0.5])
    assert np.all(answer.probabilities[1] == 0.5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_certain_probabilities_can_be_moved(value: float):
    answer = Answer(np.zeros((1, 1, 2), np.uint8), np.full((1, 1, 2), value, np.float32), exclusive=False)
    answer.odds_change(0, (slice(0, 1), slice(0, 2)), np.array([[20.0 if value == 0 else -20.0, 0]], np.float32))
    assert (answer.probabilities[0, 0, 0] > 0.5) == (value == 0)
    assert answer.probabilities[0, 0, 1] == value


def test_what_is_given_stays_as_it_was():
    mask, probabilities = np.zeros((1, 2, 4), np.uint8), np.zeros((1, 2, 4), np.float32)
    Answer(mask, probabilities, exclusive=False).add(0, HERE, BOTH)
    assert not mask.any()
    assert not probabilities.any()


def test_a_cut_ends_at_the_border():
    assert small_cut((0, 5), (2, 1), (4, 6)) == (slice(0, 3), slice(4, 6))
