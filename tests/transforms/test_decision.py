"""From logits to a mask: what decides at the threshold itself, and answers that say nothing."""

from typing import Any

import pytest
import torch

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.transforms.cleaning import Cleaning
from medseg_monai.transforms.decision import as_mask, check_finite, probabilities, thresholded, to_probabilities

BINARY = DatasetSpec("d", "binary", classes=("a",), channels=("grey",), size=(8, 8))
EXCLUSIVE = DatasetSpec("d", "multiclass", classes=("a", "b"), channels=("grey",), size=(8, 8))
EXCLUSIVE_PROBS = torch.tensor(  # background, a, b of four pixels
    [[[0.2, 0.2, 0.6, 0.33]], [[0.5, 0.3, 0.2, 0.35]], [[0.3, 0.5, 0.2, 0.32]]]
)


def test_the_threshold_itself_is_background() -> None:
    probs = torch.tensor([[[0.25, 0.5, 0.5001]]])
    assert as_mask(probs, BINARY).tolist() == [[[0, 0, 1]]]
    assert as_mask(probs, BINARY, threshold=0.25).tolist() == [[[0, 1, 1]]]
    assert thresholded(probs, BINARY, Cleaning(threshold=0.25)).tolist() == [[[0, 1, 1]]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_large_numbers_are_finite_even_if_their_sum_is_not(dtype: torch.dtype) -> None:
    large = torch.finfo(dtype).max
    check_finite(torch.full((2, 4, 5), large, dtype=dtype))
    check_finite(torch.full((2, 4, 5), -large, dtype=dtype))


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("channel", [0, 1])
def test_one_number_that_is_not_finite_refuses_the_answer(broken: float, channel: int) -> None:
    logits = torch.zeros(2, 4, 5)
    logits[channel, 3, 1] = broken
    with pytest.raises(ValueError, match="not finite"):
        check_finite(logits)
    logits[:, 0] = float("inf")  # infinities of both signs make no number either
    with pytest.raises(ValueError, match="not finite"):
        check_finite(logits)


def test_probabilities_of_each_task_by_hand() -> None:
    """Two cases of three channels: classes that exclude each other share 1 in each case, the others are asked one by one."""
    logits = torch.tensor([[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]]).log1p().view(2, 3, 1, 1)  # log 1, log 3
    logits[0, 2] = torch.tensor(2.0).log()
    exclusive = to_probabilities(logits.half(), "multiclass")
    assert exclusive.dtype == torch.float32
    assert exclusive.flatten(1).tolist() == [pytest.approx([0.25, 0.25, 0.5], abs=1e-3), pytest.approx([1 / 3] * 3)]
    each = to_probabilities(logits, "multilabel").flatten(1).tolist()
    assert each == [pytest.approx([0.5, 0.5, 2 / 3]), pytest.approx([0.75] * 3)]
    assert probabilities(logits[0], EXCLUSIVE).flatten().tolist() == pytest.approx([0.25, 0.25, 0.5])


def test_without_a_threshold_the_half_or_the_most_probable_decides() -> None:
    assert thresholded(torch.tensor([[[0.5, 0.6]]]), BINARY, Cleaning()).tolist() == [[[0, 1]]]
    assert thresholded(EXCLUSIVE_PROBS, EXCLUSIVE, Cleaning()).tolist() == [[[1, 2, 0, 1]]]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.35, [1, 2, 0, 0]),  # the last: 0.35 does not exceed it, background is next
        ((0.5, 0.1), [2, 2, 0, 0]),  # the first: 0.5 does not exceed its own, the second class's 0.3 exceeds 0.1
        ((0.2, 0.5), [1, 1, 0, 1]),  # the second: 0.5 does not exceed its own
        (0.9, [0, 0, 0, 0]),
    ],
)
def test_classes_that_exclude_each_other_need_more_than_their_threshold(threshold: Any, expected: list[int]) -> None:
    found = thresholded(EXCLUSIVE_PROBS, EXCLUSIVE, Cleaning(threshold=threshold))
    assert (found.tolist(), found.dtype) == ([[expected]], torch.uint8)


def test_overlapping_classes_have_a_threshold_each() -> None:
    spec = DatasetSpec("d", "multilabel", classes=("a", "b"), channels=("grey",), size=(8, 8))
    probs = torch.tensor([[[0.3, 0.5, 0.6]], [[0.3, 0.5, 0.6]]])
    assert thresholded(probs, spec, Cleaning(threshold=(0.3, 0.5))).tolist() == [[[0, 1, 1]], [[0, 0, 1]]]
