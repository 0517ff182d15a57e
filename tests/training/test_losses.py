"""Losses against arithmetic on pictures of a few pixels, finite differences, and their own definition at the corners."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceCELoss
from torch import nn

from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.dataset.spec import Task
from medseg_monai.training.losses import (
    CrossEntropy,
    LovaszLoss,
    OverHeads,
    PixelAndRegionLoss,
    PixelTerm,
    segmentation_loss,
)

SURE = 40.0  # a logit whose sigmoid is 1 in float32


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def uint8(values: list) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.uint8)


def test_binary_by_hand():
    # probabilities 0.8, 0.4, 0.1 against truth 1, 1, 0
    logits = torch.tensor([[[[logit(0.8), logit(0.4), logit(0.1)]]]])
    label = uint8([[[[1, 1, 0]]]])
    cross_entropy = -(math.log(0.8) + math.log(0.4) + math.log(0.9)) / 3
    dice = 1 - (2 * (0.8 + 0.4) + 1) / (0.8 + 0.4 + 0.1 + 2 + 1)

    for weight in (0, 0.2, 1):
        loss = segmentation_loss("binary", dice_weight=weight)(logits, label)
        assert loss.item() == pytest.approx((1 - weight) * cross_entropy + weight * dice, rel=1e-6)


def test_multiclass_by_hand_and_background_left_out_of_dice():
    # two pixels, three classes; softmax of logs gives the probabilities back
    probs = torch.tensor([[0.7, 0.1], [0.2, 0.6], [0.1, 0.3]]).view(1, 3, 1, 2)
    label = uint8([[[[0, 1]]]])
    cross_entropy = -(math.log(0.7) + math.log(0.6)) / 2
    dice_of_1 = 1 - (2 * 0.6 + 1) / (0.2 + 0.6 + 1 + 1)
    dice_of_2 = 1 - 1 / (0.1 + 0.3 + 0 + 1)

    loss = segmentation_loss("multiclass", dice_weight=0.5)(probs.log(), label)

    assert loss.item() == pytest.approx(0.5 * cross_entropy + 0.5 * (dice_of_1 + dice_of_2) / 2, rel=1e-6)


def test_multilabel_is_the_mean_of_binary_losses():
    torch.manual_seed(0)
    logits, label = torch.randn(2, 3, 5, 4), torch.randint(0, 2, (2, 3, 5, 4), dtype=torch.uint8)
    binary = segmentation_loss("binary")

    together = segmentation_loss("multilabel")(logits, label)

    apart = torch.stack([binary(logits[:, [c]], label[:, [c]]) for c in range(3)]).mean()
    assert together.item() == pytest.approx(apart.item(), rel=1e-6)
    assert together.item() != pytest.approx(DiceCELoss(sigmoid=True)(logits, label.float()).item(), rel=1e-2)


def test_multiclass_cross_entropy_is_that_of_monai():
    torch.manual_seed(0)
    logits, label = torch.randn(2, 4, 6, 5), torch.randint(0, 4, (2, 1, 6, 5), dtype=torch.uint8)
    theirs = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False, smooth_nr=1, smooth_dr=1)

    ours = segmentation_loss("multiclass", dice_weight=0.5)

    assert 2 * ours(logits, label).item() == pytest.approx(theirs(logits, label).item(), rel=1e-5)


@pytest.mark.parametrize(("balance", "weights"), [(0.5, (1 / math.sqrt(2), 1)), (1, (1 / 2, 1))])
def test_balanced_cross_entropy_of_several_classes_by_hand(balance: float, weights: tuple[float, float]) -> None:
    """First image: two pixels of class 0, one of class 1. Second: all of class 2, whose weight is of no matter."""
    probs = torch.tensor(
        [[[0.5, 0.8, 0.2], [0.3, 0.1, 0.6], [0.2, 0.1, 0.2]], [[0.1, 0.1, 0.1], [0.2, 0.3, 0.4], [0.7, 0.6, 0.5]]]
    )
    label = uint8([[[0, 0, 1]], [[2, 2, 2]]])
    many, single = weights
    first = -(many * (math.log(0.5) + math.log(0.8)) + single * math.log(0.6)) / (2 * many + single)
    second = -(math.log(0.7) + math.log(0.6) + math.log(0.5)) / 3

    loss = segmentation_loss("multiclass", dice_weight=0, class_balance=balance)(probs.log(), label)

    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_balanced_cross_entropy_of_overlapping_classes_by_hand() -> None:
    """In the first channel three pixels are 0 and one 1; in the second two each. The last pixel is ignored in both."""
    logits = torch.zeros(1, 2, 1, 5) + torch.tensor([logit(0.8), logit(0.4)])[None, :, None, None]
    label = uint8([[[[0, 0, 0, 1, IGNORED]], [[1, 1, 0, 0, IGNORED]]]])
    first = -(3 * math.log(0.2) / 3**0.5 + math.log(0.8))
    second = -(2 * math.log(0.4) + 2 * math.log(0.6)) / 2**0.5

    loss = segmentation_loss("multilabel", dice_weight=0, class_balance=0.5)(logits, label)

    assert loss.item() == pytest.approx((first + second) / (3**0.5 + 1 + 4 / 2**0.5), rel=1e-6)


@pytest.mark.parametrize("pixel", ["cross_entropy", "focal"])
@pytest.mark.parametrize(("task", "channels"), [("binary", 1), ("multilabel", 3), ("multiclass", 3)])
def test_balance_near_0_is_none_and_images_alone_are_the_batch(task: Task, channels: int, pixel: PixelTerm) -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, channels, 4, 5, 6, requires_grad=True)
    label = torch.randint(0, 2, (3, 1 if task == "multiclass" else channels, 4, 5, 6), dtype=torch.uint8)
    plain, barely, half = (segmentation_loss(task, pixel=pixel, class_balance=balance) for balance in (0, 1e-9, 0.5))
    assert barely(logits, label).item() == pytest.approx(plain(logits, label).item(), rel=1e-5)
    apart = torch.stack([half(logits[[number]], label[[number]]) for number in range(3)]).mean()
    assert half(logits, label).item() == pytest.approx(apart.item(), rel=1e-5)
    assert half(logits, label).item() != pytest.approx(plain(logits, label).item(), rel=1e-5)
    nothing = half(logits, torch.full_like(label, IGNORED))
    nothing.backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_heads_are_summed_with_weights():
    torch.manual_seed(0)
    label = torch.randint(0, 2, (2, 1, 6, 4), dtype=torch.uint8)
    heads = [torch.randn(2, 1, 6, 4) for _ in range(3)]
    one = segmentation_loss("binary")
    each = [one(head, label).item() for head in heads]

    assert one(heads, label).item() == pytest.approx(sum(each), rel=1e-6)
    weighted = segmentation_loss("binary", head_weights=(1, 0.4, 0))(heads, label).item()
    assert weighted == pytest.approx(each[0] + 0.4 * each[1], rel=1e-6)
    assert segmentation_loss("binary", head_weights=(1, 0.4, 0))(heads[0], label).item() == pytest.approx(each[0])


def test_a_coarse_head_is_brought_to_the_labels_size():
    # one coarse logit stands for the whole picture
    label = uint8([[[[1, 1, 0]]]])
    coarse, fine = torch.full((1, 1, 1, 1), 0.3), torch.full((1, 1, 1, 3), 0.3)
    loss = segmentation_loss("binary")
    assert loss(coarse, label).item() == pytest.approx(loss(fine, label).item(), rel=1e-6)


def test_a_loss_of_monai_over_heads():
    label = uint8([[[[1, 0]]]]).float()
    dice = OverHeads(DiceCELoss(sigmoid=True), head_weights=(1, 0.5))
    head = torch.zeros(1, 1, 1, 2)
    assert dice([head, head], label).item() == pytest.approx(1.5 * DiceCELoss(sigmoid=True)(head, label).item())


REGIONS = ("dice", "tversky", "generalised_dice", "lovasz")
TASKS = {
    "binary": (1, 1, 2),
    "multilabel": (3, 3, 2),
    "multiclass": (4, 1, 4),
}  # logit channels, label channels, values


def test_tversky_by_hand():
    # probability 0.5 everywhere, one pixel of two is true: TP 0.5, FP 0.5, FN 0.5
    loss = segmentation_loss("binary", region="tversky", dice_weight=1)
    value = loss(torch.zeros(1, 1, 1, 2), uint8([[[[1, 0]]]])).item()
    assert value == pytest.approx(1 - (0.5 + 1) / (0.5 + 0.3 * 0.5 + 0.7 * 0.5 + 1), rel=1e-6)


def test_generalised_dice_by_hand():
    # three pixels of class 0, one of class 1, uniform probabilities: weights 1/9 and 1
    loss = segmentation_loss("multiclass", region="generalised_dice", dice_weight=1)
    value = loss(torch.zeros(1, 2, 1, 4), uint8([[[[0, 0, 0, 1]]]])).item()
    above = 2 * (1 / 9 * 1.5 + 1 * 0.5)
    below = 1 / 9 * (2 + 3) + 1 * (2 + 1)
    assert value == pytest.approx(1 - above / below, rel=1e-5)


def test_focal_by_hand():
    loss = segmentation_loss("binary", pixel="focal", dice_weight=0)
    value = loss(torch.tensor([[[[logit(0.8)]]]]), uint8([[[[1]]]])).item()
    assert value == pytest.approx(-(0.2**2) * math.log(0.8), rel=1e-5)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
@settings(deadline=None, max_examples=50)
def test_lovasz_at_the_corners_is_the_jaccard_loss(pixels):
    truth, said = (torch.tensor([pair[k] for pair in pixels]) for k in (0, 1))
    union = (truth | said).sum().item()
    expected = 1 - (truth & said).sum().item() / union if union else 0

    logits = torch.where(said, SURE, -SURE).view(1, 1, 1, -1)
    loss = LovaszLoss(softmax=False)(logits, truth.view(1, 1, 1, -1))

    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_lovasz_between_the_corners_by_hand():
    # errors 0.4 (a true pixel), 0.3 (a false one); losing the true pixel costs Jaccard 1, then nothing is left to lose
    probs = [0.6, 0.3]
    logits = torch.tensor([[[[logit(p) for p in probs]]]])
    assert LovaszLoss(softmax=False)(logits, uint8([[[[1, 0]]]])).item() == pytest.approx(0.4, rel=1e-5)
    # errors 0.4 (the false one) and 0.3: the false pixel costs 1/2, the true one the other half
    logits = torch.tensor([[[[logit(0.7), logit(0.4)]]]])
    assert LovaszLoss(softmax=False)(logits, uint8([[[[1, 0]]]])).item() == pytest.approx(0.35, rel=1e-5)


def test_lovasz_leaves_out_classes_that_a_label_lacks():
    # of the first class as above; there is no pixel of the second, whose false probabilities then count for nothing
    probs = torch.tensor([[[[0.3, 0.6]], [[0.6, 0.3]], [[0.1, 0.1]]]])
    assert LovaszLoss(softmax=True)(probs.log(), uint8([[[[1, 0]]]])).item() == pytest.approx(0.4, rel=1e-5)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("task", TASKS)
def test_a_perfect_answer_costs_nothing(task, region):
    channels, label_channels, values = TASKS[task]
    torch.manual_seed(0)
    label = torch.randint(0, values, (2, label_channels, 8, 6), dtype=torch.uint8)
    truth = label == torch.arange(channels).view(1, -1, 1, 1) if task == "multiclass" else label.bool()
    logits = torch.where(truth, SURE, -SURE)
    assert segmentation_loss(task, region=region)(logits, label).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("pixel", ["cross_entropy", "focal"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("level", [-SURE, -12.0, 0.0, SURE])
def test_an_empty_mask_gives_finite_loss_and_bounded_gradient(task, pixel, region, level):
    channels, label_channels, _ = TASKS[task]
    logits = torch.full((2, channels, 8, 6), level)
    logits[:, 0] += 1  # so that a softmax is not all ties
    logits.requires_grad_()
    label = torch.zeros(2, label_channels, 8, 6, dtype=torch.uint8)

    loss = segmentation_loss(task, pixel=pixel, region=region)(logits, label)
    loss.backward()

    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() < 25


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("task", TASKS)
def test_gradient_by_finite_differences(task, region):
    channels, label_channels, values = TASKS[task]
    torch.manual_seed(0)
    logits = torch.randn(2, channels, 3, 2, dtype=torch.float64, requires_grad=True)
    label = torch.randint(0, values, (2, label_channels, 3, 2), dtype=torch.uint8)
    loss = segmentation_loss(task, region=region).loss  # one head, without the cast to float32
    assert torch.autograd.gradcheck(lambda x: loss(x, label), logits, atol=1e-4)


def test_float32_under_autocast():
    # the sum of 300 x 300 probabilities has no place in float16 (65504 at most)
    logits, label = torch.full((1, 1, 300, 300), 9.0).half(), torch.ones(1, 1, 300, 300, dtype=torch.uint8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = segmentation_loss("binary")(logits, label)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(segmentation_loss("binary")(logits.float(), label).item())
    assert loss.item() < 1e-3


class Products(nn.Module):
    """A loss of matrix products, which autocast makes in bfloat16."""

    def forward(self, logits, _label):
        rows = logits.flatten(1)
        return (rows @ rows.T).sum()


def test_any_loss_is_computed_in_float32_under_autocast():
    logits, label = torch.full((1, 1, 1, 257), 1.0), torch.ones(1, 1, 1, 257, dtype=torch.uint8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert OverHeads(Products())(logits, label) == 257  # a number that bfloat16 does not have


class Unasked(nn.Module):
    def forward(self, _logits, _label):
        raise AssertionError


def test_a_term_without_weight_is_not_computed():
    one, logits = CrossEntropy(softmax=False), torch.zeros(1, 1, 2, 2)
    label = torch.ones(1, 1, 2, 2, dtype=torch.uint8)
    for pixel, region, weight in ((one, Unasked(), 0), (Unasked(), one, 1)):
        loss = PixelAndRegionLoss(pixel, region, region_weight=weight)
        assert loss(logits, label).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "binry"}, "did you mean 'binary'"),
        ({"task": "binary", "region": "dise"}, "did you mean 'dice'"),
        ({"task": "binary", "pixel": "focl"}, "did you mean 'focal'"),
        ({"task": "binary", "dice_weight": 1.5}, "dice_weight must be a number in "),
        ({"task": "binary", "head_weights": (1, -1)}, "at least 0"),
        ({"task": "binary", "head_weights": ()}, "head_weights must be at least 0"),
        ({"task": "binary", "dice_weight": -0.1}, "dice_weight must be a number in "),
        ({"task": "binary", "class_balance": 1.1}, "class_balance must be a number in "),
        ({"task": "binary", "class_balance": "high"}, "class_balance must be a number in .*not 'high'"),
        ({"task": "binary", "class_balance": float("nan")}, "class_balance must be a number in "),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        segmentation_loss(**arguments)


def test_wrong_number_of_heads_is_named():
    head, label = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match="3 heads, but head_weights has 2"):
        segmentation_loss("binary", head_weights=(1, 0.4))([head] * 3, label)


def ignorable(task: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and label of 2 pictures of 5 x 4 with the last two columns ignored."""
    torch.manual_seed(1)
    channels, rows = (3, 1) if task == "multiclass" else (2, 2) if task == "multilabel" else (1, 1)
    top = 3 if task == "multiclass" else 2
    label = torch.randint(0, top, (2, rows, 5, 4), dtype=torch.uint8)
    label[..., 2:] = 255
    return torch.randn(2, channels, 5, 4), label


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("pixel", ["cross_entropy", "focal"])
@pytest.mark.parametrize("region", ["dice", "generalised_dice", "tversky", "lovasz"])
def test_ignored_pixels_are_as_if_they_were_not_there(task, pixel, region):
    """The loss is that of the pictures without those columns, and no gradient reaches them."""
    loss = segmentation_loss(task, pixel=pixel, region=region)
    logits, label = ignorable(task)
    logits.requires_grad_()

    value = loss(logits, label)
    value.backward()

    assert value.item() == pytest.approx(loss(logits[..., :2], label[..., :2]).item(), rel=1e-5)
    assert logits.grad is not None
    assert not logits.grad[..., 2:].any()
    assert logits.grad[..., :2].abs().min() > 0


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_a_picture_that_is_ignored_as_a_whole_teaches_nothing(task):
    logits, label = ignorable(task)
    logits.requires_grad_()
    value = segmentation_loss(task)(logits, torch.full_like(label, 255))
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("pixel", ["cross_entropy", "focal"])
def test_one_pixel_that_counts_has_the_whole_weight(pixel):
    label = uint8([[[[255, 1, 255]]]])
    value = segmentation_loss("binary", pixel=pixel, dice_weight=0)(torch.zeros(1, 1, 1, 3), label)
    assert value.item() == pytest.approx(math.log(2) * (0.25 if pixel == "focal" else 1))


def test_a_class_ignored_in_one_channel_still_counts_in_the_other():
    logits, label = torch.zeros(1, 2, 1, 2), uint8([[[[1, 255]], [[0, 1]]]])
    value = segmentation_loss("multilabel", dice_weight=0)(logits, label)
    logits[0, 0, 0, 1] = 9.0
    assert value.item() == pytest.approx(math.log(2))
    assert segmentation_loss("multilabel", dice_weight=0)(logits, label).item() == pytest.approx(math.log(2))


def test_a_loss_that_knows_no_ignored_pixels_says_so():
    logits, label = ignorable("binary")
    loss = OverHeads(DiceCELoss(sigmoid=True))
    assert loss(logits, label.clamp(max=1)).item() > 0
    with pytest.raises(ValueError, match="DiceCELoss does not support ignored pixels; use segmentation_loss"):
        loss(logits, label)
