"""From logits to a mask: what decides at the threshold itself, and answers that say nothing."""

import pytest
import torch

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.transforms.cleaning import Cleaning
from medseg_monai.transforms.decision import as_mask, check_finite, thresholded

BINARY = DatasetSpec("d", "binary", classes=("a",), channels=("grey",), size=(8, 8))


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
