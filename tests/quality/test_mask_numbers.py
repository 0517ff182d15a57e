"""What is seen of a mask, on masks that one can draw by hand."""

import math

import pytest
import torch

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.quality.calibration import Calibration
from medseg_monai.quality.mask_numbers import MaskNumbers, logit_of_dice, mask_numbers

BINARY = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(32, 32))
EXCLUSIVE = DatasetSpec("d", "multiclass", classes=("front", "back"), channels=("grey",), size=(32, 32))
TWO = DatasetSpec("d", "multilabel", classes=("liver", "tumour"), channels=("grey",), size=(32, 32))


def square(side: int = 10, left: int = 4, inside: float = 0.9, outside: float = 0.01) -> torch.Tensor:
    """Logits (1, 20, 20) of a square."""
    probs = torch.full((1, 20, 20), outside)
    probs[:, left : left + side, 4 : 4 + side] = inside
    return probs.logit()


def numbers(logits: torch.Tensor, spec: DatasetSpec = BINARY, **more: object) -> MaskNumbers:
    return mask_numbers(logits, spec, **more)[0]  # type: ignore[arg-type]


def test_the_expected_dice_of_a_square() -> None:
    found = numbers(square())
    # 2 * 100 * 0.9 over the probabilities' 90 + 300 * 0.01 and the mask's 100
    assert found.expected_dice == pytest.approx(180 / 193, abs=1e-5)
    assert found.confidence == pytest.approx(0.9, abs=1e-5)
    bit = -(0.9 * math.log2(0.9) + 0.1 * math.log2(0.1))
    assert found.entropy == pytest.approx(bit, abs=1e-4), "of the square's pixels only: the others are below 0.05"
    assert found.size == pytest.approx(math.log(0.25 / 0.75))


def test_a_square_is_not_ragged_and_a_line_is() -> None:
    assert numbers(square()).raggedness == pytest.approx(0.0)
    line = torch.full((1, 20, 20), -5.0)
    line[:, 2:18, 5] = 5.0
    assert numbers(line).raggedness == pytest.approx(math.log(34 / (4 * 4)))


def test_the_share_of_the_outline_on_the_images_edge() -> None:
    assert numbers(square()).at_border == 0
    assert numbers(square(left=0)).at_border == pytest.approx(0.25)
    assert numbers(square(left=0)).raggedness == pytest.approx(0.0), "the edge counts as outline"


def test_parts() -> None:
    two = torch.maximum(square(side=6), square(side=2, left=15))
    assert numbers(two).largest == pytest.approx(36 / 40)


def test_stability_is_the_dice_of_the_masks_at_two_thresholds() -> None:
    halo = torch.maximum(square(side=6), square(side=10, inside=0.4))
    assert numbers(halo).stability == pytest.approx(logit_of_dice(2 * 36 / (36 + 100)))
    assert numbers(square()).stability == logit_of_dice(1.0)


def test_an_empty_mask_says_so() -> None:
    found = numbers(torch.full((1, 20, 20), -20.0))
    assert found.empty
    assert found.expected_dice < 0.01
    assert found == MaskNumbers(logit_of_dice(0.0), 0, 0, 0, 0, 0, 0, 0, empty=True)


def test_calibrated_probabilities_are_expected_with() -> None:
    known = Calibration((2.0,), cases=3, ece_before=0.1, ece_after=0.05, brier_before=0.2, brier_after=0.1)
    found = numbers(square(inside=0.9, outside=0.0), calibration=known)
    assert found.confidence == pytest.approx(0.75, abs=1e-5)
    assert found.expected_dice == pytest.approx(150 / 175, abs=1e-5)
    assert found.size == numbers(square()).size


def test_classes_that_exclude_each_other() -> None:
    logits = torch.zeros(3, 20, 20)
    logits[0] = 4
    logits[1, :5], logits[2, 5:15, :10] = 8, 8
    front, back = mask_numbers(logits, EXCLUSIVE)
    assert (front.size, back.size) == pytest.approx((math.log(1 / 3), math.log(1 / 3)))
    assert front.at_border == pytest.approx(30 / 50)


def test_overlapping_classes_and_slabs() -> None:
    logits = torch.cat([square(), square(side=6)])
    whole = mask_numbers(logits, TWO)
    assert whole[1].size == pytest.approx(math.log(0.09 / 0.91))
    for ours, theirs in zip(mask_numbers(logits, TWO, slab_bytes=600), whole, strict=True):
        assert ours.vector() == pytest.approx(theirs.vector())


def test_volumes() -> None:
    spec = DatasetSpec(
        "d", "binary", classes=("a",), channels=("mr",), spatial_dims=3, size=(16, 16, 16), spacing_mm=(1, 1, 1)
    )
    logits = torch.full((1, 12, 12, 12), -9.0)
    logits[:, 2:8, 2:8, 2:8] = 9.0
    found = numbers(logits, spec)
    assert found.raggedness == pytest.approx(0.0), "a cube"
    assert found.size == pytest.approx(math.log(216 / (1728 - 216)))
