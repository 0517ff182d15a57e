"""The loss on probabilities, worked out by hand and against torch's own; what a batch becomes."""

import math

import pytest
import torch
import torch.nn.functional as F

from medseg_monai.training.distilling import (
    DistillationLoss,
    SoftDice,
    Targets,
    check_soft_labels,
    with_background,
    with_soft_labels,
)
from medseg_monai.training.losses import OverHeads, segmentation_loss


def test_both_terms_by_hand() -> None:
    """One pixel of logit 0 and label 1; a teacher that says 0.5. Cross entropies log 2; Dice 1 - (2 * 0.5 + 1) / (0.5 + 1 + 1) and 0."""
    loss = DistillationLoss(segmentation_loss("binary"), "binary", soft_weight=0.25)
    one = torch.ones(1, 1, 1, 1)
    value = loss(torch.zeros(1, 1, 1, 1), Targets(one.to(torch.uint8), one / 2))
    hard, soft = (math.log(2) + 1 - 2 / 2.5) / 2, math.log(2) / 2
    assert value.item() == pytest.approx(0.75 * hard + 0.25 * soft, abs=1e-6)


def test_without_soft_labels_it_is_the_loss_itself() -> None:
    plain = segmentation_loss("binary")
    logits, label = torch.randn(2, 1, 5, 5), torch.randint(0, 2, (2, 1, 5, 5), dtype=torch.uint8)
    assert DistillationLoss(plain, "binary")(logits, label).item() == plain(logits, label).item()


@pytest.mark.parametrize("task", ["binary", "multilabel", "multiclass"])
def test_the_soft_term_is_least_where_the_student_equals_the_teacher(task: str) -> None:
    channels = {"binary": 1, "multilabel": 2, "multiclass": 3}[task]
    torch.manual_seed(0)
    logits = torch.randn(2, channels, 4, 4, requires_grad=True)
    soft = (logits.softmax(1)[:, 1:] if task == "multiclass" else logits.sigmoid()).detach()
    label = torch.zeros(2, channels if task == "multilabel" else 1, 4, 4, dtype=torch.uint8)
    loss = DistillationLoss(segmentation_loss(task), task, soft_weight=1)  # type: ignore[arg-type]
    loss(logits, Targets(label, soft)).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


def test_the_cross_entropy_of_exclusive_classes_is_torchs() -> None:
    torch.manual_seed(0)
    logits, soft = torch.randn(2, 3, 4, 4), torch.rand(2, 2, 4, 4) / 2
    full = torch.cat([1 - soft.sum(1, keepdim=True), soft], 1)
    expected = -(full * logits.log_softmax(1)).sum(1).mean()
    loss = DistillationLoss(segmentation_loss("multiclass", dice_weight=0), "multiclass", soft_weight=1)
    assert loss(logits, Targets(torch.zeros(2, 1, 4, 4), soft)).item() == pytest.approx(expected.item(), abs=1e-5)


def test_rounding_leaves_probabilities_that_sum_to_one() -> None:
    soft = torch.tensor([[0.6, 0.0], [0.402, 0.0]]).view(1, 2, 1, 2)  # a sum above 1, as rounding to 255ths leaves it
    full = with_background(soft)
    torch.testing.assert_close(full.sum(1), torch.ones(1, 1, 2))
    assert full[0, :, 0, 1].tolist() == [1, 0, 0]


def test_soft_dice_is_zero_for_equal_maps_only() -> None:
    logits = torch.tensor([-2.0, 0.0, 3.0, 1.0]).view(1, 1, 2, 2)
    dice = SoftDice(softmax=False)
    assert dice(logits, logits.sigmoid()).item() == pytest.approx(0, abs=1e-6)
    assert dice(logits, (logits > 0).float()).item() > 0.01


def test_every_head_learns_with_its_own_weight() -> None:
    weighted = segmentation_loss("binary", head_weights=(1, 0.4))
    loss = DistillationLoss(weighted, "binary", soft_weight=1)
    logits, soft, label = torch.randn(1, 1, 4, 4), torch.rand(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    one, both = loss(logits, Targets(label, soft)), loss([logits, logits], Targets(label, soft))
    assert both.item() == pytest.approx(1.4 * one.item(), rel=1e-5)


def test_a_loss_of_another_kind_keeps_its_place() -> None:
    class OnLabels(torch.nn.Module):
        def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return F.mse_loss(logits.sigmoid(), label.float())

    loss = DistillationLoss(OverHeads(OnLabels()), "binary", soft_weight=0)
    logits, label = torch.randn(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    assert loss(logits, Targets(label, label / 2)).item() == pytest.approx(OnLabels()(logits, label).item())


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_out_of_range_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match=r"soft_weight must be in \[0, 1\]"):
        DistillationLoss(segmentation_loss("binary"), "binary", soft_weight=weight)


def test_a_batch_with_soft_labels_and_one_without() -> None:
    image, label = torch.randn(2, 3, 4, 4), torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    given, target = with_soft_labels({"image": image, "label": label}, "cpu")
    assert given is image
    assert target is label
    soft = torch.full((2, 1, 4, 4), 51, dtype=torch.uint8)
    _, target = with_soft_labels({"image": image, "label": label, "soft_label": soft}, "cpu")
    assert isinstance(target, Targets)
    assert target.label is label
    torch.testing.assert_close(target.soft, torch.full((2, 1, 4, 4), 0.2))


def test_all_cases_have_soft_labels_or_none() -> None:
    with_one, without = {"id": "a", "soft_label": "a.png"}, {"id": "b"}
    check_soft_labels([with_one])
    check_soft_labels([without])
    with pytest.raises(ValueError, match="1 of 2 training cases have no soft_label, all others do: b"):
        check_soft_labels([with_one, without])
