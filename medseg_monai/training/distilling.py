"""Learning from other networks' probabilities beside the labels (knowledge distillation).

Hinton et al., Distilling the Knowledge in a Neural Network, 2015, arXiv:1503.02531, without a temperature: probabilities of pixels are
as soft as the outline is uncertain. Those of a case are in its ``soft_label``, computed once; they are turned and warped with the
picture, so that they cost a training nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from monai.engines.utils import default_prepare_batch
from monai.losses import DiceLoss
from torch import Tensor, nn

from medseg_monai.dataset.cases import SOFT_LABEL
from medseg_monai.dataset.spec import Task
from medseg_monai.images.probability_maps import CERTAIN
from medseg_monai.program.messages import listed
from medseg_monai.training.losses import SMOOTH, OverHeads, PixelAndRegionLoss


class Targets(NamedTuple):
    """What a batch is compared with.

    Attributes:
        label: (B, 1 or classes, *S).
        soft: (B, classes, *S) float32, probabilities of each class without the background.
    """

    label: Tensor
    soft: Tensor


def with_soft_labels(
    batch: Mapping[str, Any], device: str | torch.device | None = None, non_blocking: bool = False, **kwargs: Any
) -> tuple[Tensor, Tensor | Targets]:
    """MONAI's ``prepare_batch``: image and label on the device, and the soft labels of a batch that has them."""
    image, label = cast("tuple[Tensor, Tensor]", default_prepare_batch(dict(batch), device, non_blocking, **kwargs))
    soft = batch.get(SOFT_LABEL)
    if soft is None:
        return image, label
    return image, Targets(label, soft.to(device=device, non_blocking=non_blocking).float() / CERTAIN)


def check_soft_labels(cases: Sequence[Mapping[str, Any]]) -> None:
    """Refuse training cases of which only some have soft labels: a batch has one loss.

    Raises:
        ValueError: names some of those without.
    """
    without = [str(case["id"]) for case in cases if SOFT_LABEL not in case]
    if 0 < len(without) < len(cases):
        raise ValueError(
            f"{len(without)} of {len(cases)} training cases have no {SOFT_LABEL}, all others do: {listed(without)}; "
            "give it to all, or to none"
        )


class DistillationLoss(nn.Module):
    """``(1 - soft_weight) * loss + soft_weight * soft``, where `soft` compares with the probabilities as `loss` does with the label.

    The soft term is cross entropy and Dice (with squares in the denominator, so that it is least where both are equal), weighted and
    summed over heads as those of `loss`. It counts pixels whose label is ignored too: there the probabilities are all that is known.
    Without soft labels, the value is that of `loss`.

    Args:
        loss: for labels, `medseg_monai.training.losses.segmentation_loss` or any of MONAI's.
        task: ``binary``, ``multilabel`` or ``multiclass``.
        soft_weight: 0 to 1.

    Raises:
        ValueError: the weight is out of range.

    >>> from medseg_monai.training.losses import segmentation_loss
    >>> loss = DistillationLoss(segmentation_loss("binary"), "binary", soft_weight=0.5)
    >>> logits, label = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2, dtype=torch.uint8)
    >>> bool(loss(logits, Targets(label, label.float())) > loss(logits, Targets(label, torch.full((1, 1, 2, 2), 0.5))))
    True
    """

    def __init__(self, loss: nn.Module, task: Task, *, soft_weight: float = 0.5) -> None:
        super().__init__()
        if not 0 <= soft_weight <= 1:
            raise ValueError(f"soft_weight must be in [0, 1], not {soft_weight!r}")
        self.loss = loss
        self.soft_weight = soft_weight
        inner = loss.loss if isinstance(loss, OverHeads) else loss
        weight = inner.region_weight if isinstance(inner, PixelAndRegionLoss) else 0.5
        softmax = task == "multiclass"
        terms = PixelAndRegionLoss(SoftCrossEntropy(softmax=softmax), SoftDice(softmax=softmax), region_weight=weight)
        self.soft = OverHeads(terms, head_weights=loss.head_weights if isinstance(loss, OverHeads) else None)

    def forward(self, logits: Tensor | Sequence[Tensor], target: Tensor | Targets) -> Tensor:
        """Both terms, weighted: a scalar."""
        if not isinstance(target, Targets):
            value: Tensor = self.loss(logits, target)
            return value
        total = torch.zeros((), device=target.soft.device)
        if self.soft_weight < 1:
            total = total + (1 - self.soft_weight) * self.loss(logits, target.label)
        if self.soft_weight > 0:
            total = total + self.soft_weight * self.soft(logits, target.soft)
        return total


class SoftCrossEntropy(nn.Module):
    """Cross entropy with probabilities, of a softmax over classes or of a sigmoid per channel; mean over pixels (and channels)."""

    def __init__(self, *, softmax: bool) -> None:
        super().__init__()
        self.softmax = softmax

    def forward(self, logits: Tensor, soft: Tensor) -> Tensor:
        """A scalar."""
        if self.softmax:
            return F.cross_entropy(logits, with_background(soft))
        return F.binary_cross_entropy_with_logits(logits, soft)


class SoftDice(nn.Module):
    """``1 - 2 Σ p q / (Σ p² + Σ q²)``, mean over images and classes without the background: 0 if and only if p is q."""

    def __init__(self, *, softmax: bool) -> None:
        super().__init__()
        self.softmax = softmax
        self.dice = DiceLoss(squared_pred=True, smooth_nr=SMOOTH, smooth_dr=SMOOTH)

    def forward(self, logits: Tensor, soft: Tensor) -> Tensor:
        """A scalar."""
        probabilities = logits.softmax(1)[:, 1:] if self.softmax else logits.sigmoid()
        value: Tensor = self.dice(probabilities, soft)
        return value


def with_background(soft: Tensor) -> Tensor:
    """(B, classes, *S) to (B, 1 + classes, *S) that sum to 1: what the classes leave is the background."""
    everything = torch.cat([(1 - soft.sum(1, keepdim=True)).clamp(min=0), soft], dim=1)
    return everything / everything.sum(1, keepdim=True)
