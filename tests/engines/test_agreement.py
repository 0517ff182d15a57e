"""Agreement of two answers: Dice by hand, several batches together, NaN answers."""

import pytest
import torch

from medseg_monai.engines.agreement import Agreement, agreement


def logits(*values: float) -> torch.Tensor:
    """One image of one row and one channel."""
    return torch.tensor([[[list(values)]]])


def test_dice_and_differences_by_hand() -> None:
    # masks 1 1 0 0 and 1 0 0 0: Dice 2 * 1 / (2 + 1)
    found = agreement(logits(5, 1, -1, -5), logits(5, -1, -1, -5), task="binary")
    assert found.dice == pytest.approx(2 / 3)
    difference = 1 / (1 + 2.718281828**-1) - 1 / (1 + 2.718281828)
    assert (found.largest, found.mean) == pytest.approx((difference, difference / 4), abs=1e-6)
    assert not found.holds


def test_the_threshold_is_the_one_of_the_masks() -> None:
    # probabilities 0.73 and 0.62 lie on one side of 0.5 and on two sides of 0.7
    assert agreement(logits(1, 9), logits(0.5, 9), task="binary").dice == 1
    assert agreement(logits(1, 9), logits(0.5, 9), task="binary", threshold=0.7).dice == pytest.approx(2 / 3)


def test_of_several_classes_the_lowest_counts() -> None:
    expected = torch.tensor([[[[0.0, 0, 0]], [[9.0, 0, 0]], [[0, 9.0, 9.0]]]])  # classes 1 2 2
    found = torch.tensor([[[[0.0, 0, 9.0]], [[9.0, 0, 0]], [[0, 9.0, 0]]]])  # classes 1 2 0
    answer = agreement(expected, found, task="multiclass")
    assert (answer.expected, answer.found, answer.overlap) == ((1, 2), (1, 1), (1, 1))
    assert answer.dice == pytest.approx(2 / 3)
    assert agreement(expected[:, 1:] - 1, found[:, 1:] - 1, task="multilabel").dice == pytest.approx(2 / 3)


def test_batches_add_up_by_pixels_not_by_means() -> None:
    whole = agreement(logits(1, 1, 1, 1), logits(1, 1, 1, 1), task="binary")
    half = agreement(logits(1, -1, -1), logits(1, 1, 1), task="binary")
    assert (whole + half).dice == pytest.approx(2 * 5 / (5 + 7))
    assert (whole + half).images == 2
    assert (whole + half).values == 7


def test_two_empty_masks_say_nothing_but_far_probabilities_are_seen() -> None:
    empty = agreement(logits(-9, -9), logits(-9, -9), task="binary")
    assert empty.dice == 1
    assert empty.holds
    assert not empty.says_something
    assert not agreement(logits(-9, -9), logits(-1, -1), task="binary").holds


@pytest.mark.parametrize(
    ("found", "mean", "holds"),
    [(1000, 0.01, True), (1001, 0.01, False), (1000, 0.0101, False), (998, 0.0, True)],
)
def test_the_limits_themselves_hold(found: int, mean: float, holds: bool) -> None:
    """999 pixels of 1000 and `found` that both have: a Dice of 0.999, a little less, and 1."""
    assert Agreement((999,), (1000,), (found,), 0.5, 100 * mean, 100, 1).holds is holds


def test_a_class_that_neither_has_is_right_and_the_number_of_images_is_said() -> None:
    one = agreement(torch.tensor([[[[5.0]], [[-5.0]]]]), torch.tensor([[[[5.0]], [[-5.0]]]]), task="multilabel")
    assert (one.expected, one.found, one.overlap, one.dice) == ((1, 0), (1, 0), (1, 0), 1)
    assert str(one) == "mask Dice 1.00000, probabilities within 0.0e+00 (mean 0.0e+00), 1 image"
    assert str(one + one).endswith("2 images")


def test_a_probability_at_the_threshold_is_background() -> None:
    assert agreement(logits(0), logits(0), task="binary").expected == (0,)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_an_answer_that_is_no_number_never_holds(wrong: float) -> None:
    assert not agreement(logits(-9, 9), logits(-9, wrong), task="binary").holds
    assert not agreement(logits(-9, 9), logits(wrong, 9), task="binary").holds


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="got logits of shape .1, 1, 1, 3., but plain float32 gives .1, 1, 1, 2."):
        agreement(logits(0, 0), logits(0, 0, 0), task="binary")
