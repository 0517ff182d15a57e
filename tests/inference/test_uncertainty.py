"""Uncertainty by hand, its limits, and on the network's grid and the photograph's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.inference.uncertainty import MeasureUncertaintyd, uncertainty, uncertainty_of_logits

SPEC = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(4, 4))


def test_entropy_by_hand() -> None:
    probs = torch.tensor([[[0.5, 0.25], [1.0, 0.01]]])
    entropy, number = uncertainty(probs, "binary")
    # -(0.25 log2 0.25 + 0.75 log2 0.75) = 0.8113, of 0.01: 0.0808; the last pixel is background for certain
    assert entropy.flatten().tolist() == pytest.approx([1, 0.8113, 0, 0.0808], abs=1e-4)
    assert number == pytest.approx((1 + 0.8113 + 0) / 3, abs=1e-4)


def test_of_exclusive_classes_an_even_choice_is_1() -> None:
    probs = torch.tensor([[1 / 3, 0.98], [1 / 3, 0.01], [1 / 3, 0.01]])
    entropy, number = uncertainty(probs, "multiclass")
    assert entropy[0] == pytest.approx(1)
    assert number == pytest.approx(1)


def test_of_overlapping_classes_the_most_uncertain_counts() -> None:
    assert uncertainty(torch.tensor([[1.0], [0.5]]), "multilabel")[0].item() == 1


def test_nothing_found_for_certain_is_0() -> None:
    assert uncertainty(torch.zeros(1, 3, 3), "binary")[1] == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.sampled_from(["binary", "multilabel"]))
def test_it_lies_between_0_and_1_and_knows_no_side(values: list[float], task: str) -> None:
    probs = torch.tensor([values])
    entropy, number = uncertainty(probs, task)
    assert entropy.min() >= 0
    assert entropy.max() <= 1
    assert 0 <= number <= 1
    assert torch.allclose(entropy, uncertainty(1 - probs, task)[0], atol=1e-6)


def test_the_map_lies_on_the_photograph_and_the_logits_stay() -> None:
    case = {"pred": torch.zeros(1, 4, 4), "image_meta_dict": {"spatial_shape": torch.tensor([10, 6])}}
    answered = MeasureUncertaintyd(spec=SPEC, maps=True)(case)
    assert answered["uncertainty"] == 1
    assert answered["uncertainty_map"].shape == (1, 10, 6)
    assert answered["pred"] is case["pred"]
    assert "uncertainty_map" not in MeasureUncertaintyd(spec=SPEC)(case)


def test_the_map_of_a_volume_lies_where_its_voxels_lie() -> None:
    spec = DatasetSpec(
        "x", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(8, 8, 8), intensity=Intensity("zscore")
    )
    # stored (head, left, front) of 3 x 4 x 5 voxels, so turned (right, front, head); all is seen but the lowest two slices
    affine = torch.tensor([[0.0, -1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    meta = {"spatial_shape": torch.tensor([3, 4, 5]), "affine": affine, "box": torch.tensor([[0, 4], [0, 5], [2, 3]])}
    logits = torch.full((1, 4, 5, 1), -100.0)  # certain
    logits[0, 0, 1, 0] = 0  # a coin's throw, at the left end (stored last), second from the back, on top
    answered = MeasureUncertaintyd(spec=spec, maps=True)({"pred": logits, "image_meta_dict": meta})
    assert answered["uncertainty_map"].shape == (1, 3, 4, 5)
    assert torch.nonzero(answered["uncertainty_map"]).tolist() == [[0, 2, 3, 1]]
    assert answered["uncertainty"] == 1


def test_a_slab_at_a_time_is_all_at_once() -> None:
    logits = torch.randn(4, 5, 6, 17, generator=torch.Generator().manual_seed(0)).half()
    spec = DatasetSpec(
        "x",
        "multiclass",
        classes=("a", "b", "c"),
        channels=("ct",),
        spatial_dims=3,
        size=(8, 8, 8),
        intensity=Intensity("zscore"),
    )
    whole, number = uncertainty(logits.float().softmax(0), "multiclass")
    for slab_bytes in (1, 4 * 4 * 5 * 6 * 3, 2**30):
        entropy, mean = uncertainty_of_logits(logits, spec, slab_bytes=slab_bytes)
        assert torch.allclose(entropy, whole)
        assert mean == pytest.approx(number, rel=1e-5)
