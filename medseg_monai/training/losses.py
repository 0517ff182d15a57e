"""Losses by task, also over several heads: MONAI's own losses, and those that it lacks.

A loss is the sum of a pixel term (cross entropy or focal) and a region term (Dice, generalised Dice, Tversky or Lovász):
``(1 - dice_weight) * pixel + dice_weight * region``. In the pixel term small classes may weigh more (`class_balance`). Networks with
several heads (deep supervision, auxiliary heads) return a list of logits; each head is compared with the same label and the results are
summed with weights.

Pixels whose label is `IGNORED` have no effect: they are left out of every sum and every count of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss, FocalLoss, GeneralizedDiceLoss, TverskyLoss
from monai.networks import one_hot
from torch import Tensor, nn

from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.dataset.spec import Task
from medseg_monai.networks.blocks import resize_linear
from medseg_monai.program.messages import did_you_mean

PixelTerm = Literal["cross_entropy", "focal"]
RegionTerm = Literal["dice", "generalised_dice", "tversky", "lovasz"]

# Added to numerator and denominator of Dice-like terms. With MONAI's 1e-5 an empty mask's gradient reaches 1e5; with 1 it is at most 1.
SMOOTH = 1.0


def segmentation_loss(
    task: Task,
    *,
    pixel: PixelTerm = "cross_entropy",
    region: RegionTerm = "dice",
    dice_weight: float = 0.5,
    class_balance: float = 0.0,
    head_weights: Sequence[float] | None = None,
) -> OverHeads:
    """The loss of a task, for logits and integer labels; computed in float32 even under autocast.

    ========== ==================== ===================== ====================================================
    task       logits               label                 activation
    ========== ==================== ===================== ====================================================
    binary     (B, 1, *S)           (B, 1, *S) in {0, 1}  sigmoid
    multilabel (B, n, *S)           (B, n, *S) in {0, 1}  sigmoid: classes may overlap
    multiclass (B, n + 1, *S)       (B, 1, *S) in 0..n    softmax; region terms leave out the background, channel 0
    ========== ==================== ===================== ====================================================

    (Only generalised Dice keeps the background, as published.) A label may also contain `IGNORED`.

    Args:
        task: ``binary``, ``multilabel`` or ``multiclass``.
        pixel: ``cross_entropy`` (binary for sigmoid tasks) or ``focal`` (gamma 2).
        region: ``dice`` and ``tversky`` (0.3 for false positives, 0.7 for false negatives) are per image and class;
            ``generalised_dice`` weights classes by inverse squared volume; ``lovasz`` is a convex surrogate of the Jaccard loss.
        dice_weight: weight of the region term, 0 to 1; the pixel term has the rest. The code of U-Net++'s authors
            adds the Dice term to half the cross entropy, which corresponds to 2/3 here.
        class_balance: 0 to 1: in the pixel term, a pixel of a class that n pixels of the image have weighs ``n ** -class_balance``. 0: all
            pixels alike; 1: all classes of the image alike; 0.7, between these, finds structures of a few voxels sooner
            (docs/results/planning.md).
        head_weights: weight per head, the main head first; all 1 by default. PSPNet was published with (1, 0.4).

    Raises:
        ValueError: an unknown name, or a weight out of range.

    >>> loss = segmentation_loss("binary")
    >>> round(loss(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2, dtype=torch.uint8)).item(), 4)  # (log 2 + 1 - 5 / 7) / 2
    0.4894
    """
    if task not in ("binary", "multiclass", "multilabel"):
        raise ValueError(f"loss: unknown task {task!r}{did_you_mean(task, ('binary', 'multiclass', 'multilabel'))}")
    for name, value in (("dice_weight", dice_weight), ("class_balance", class_balance)):
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"loss: {name} must be a number in [0, 1], not {value!r}")
    return OverHeads(
        PixelAndRegionLoss(
            _pixel_term(pixel, task, class_balance), _region_term(region, task), region_weight=dice_weight
        ),
        head_weights=head_weights,
    )


class PixelAndRegionLoss(nn.Module):
    """``(1 - region_weight) * pixel + region_weight * region``; a term of weight 0 is not computed."""

    def __init__(self, pixel: nn.Module, region: nn.Module, *, region_weight: float) -> None:
        super().__init__()
        self.pixel = pixel
        self.region = region
        self.region_weight = region_weight

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Both terms, weighted: a scalar."""
        loss = torch.zeros((), dtype=logits.dtype, device=logits.device)
        if self.region_weight < 1:
            loss = loss + (1 - self.region_weight) * self.pixel(logits, label)
        if self.region_weight > 0:
            loss = loss + self.region_weight * self.region(logits, label)
        return loss


class OverHeads(nn.Module):
    """A loss summed over a network's heads, in float32.

    One mechanism for deep supervision and auxiliary heads. Logits of another size than the label are resized (bilinear) to it, since
    labels are never interpolated. It can wrap any of MONAI's losses.

    Args:
        loss: from (logits, label) of one head to a scalar.
        head_weights: per head, in the network's order (the main one first); all 1 by default.

    Raises:
        ValueError: a weight is negative; when called, the numbers of heads and weights differ. A single tensor (from a network in eval
            mode, or with one head) has weight 1.

    >>> both = OverHeads(segmentation_loss("binary"), head_weights=(1, 0.4))
    >>> logits, label = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    >>> torch.isclose(both([logits, logits[..., ::2, ::2]], label), 1.4 * both(logits, label)).item()
    True
    """

    def __init__(self, loss: nn.Module, *, head_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if head_weights is not None and (not head_weights or min(head_weights) < 0):
            raise ValueError(f"loss: head_weights must be at least 0, not {head_weights!r}")
        self.loss = loss
        self.head_weights = None if head_weights is None else tuple(head_weights)

    def forward(self, logits: Tensor | Sequence[Tensor], label: Tensor) -> Tensor:
        """The weighted sum over heads: a scalar."""
        heads = [logits] if isinstance(logits, Tensor) else list(logits)
        weights = (1.0,) * len(heads) if len(heads) == 1 or self.head_weights is None else self.head_weights
        if len(weights) != len(heads):
            raise ValueError(
                f"loss: the network has {len(heads)} heads, but head_weights has {len(weights)}: give one weight per head"
            )
        if not isinstance(self.loss, PixelAndRegionLoss) and bool((label == IGNORED).any()):
            raise ValueError(f"loss: {type(self.loss).__name__} does not support ignored pixels; use segmentation_loss")
        with torch.autocast(label.device.type, enabled=False):
            total = torch.zeros((), device=label.device)
            for weight, head in zip(weights, heads, strict=True):
                total = total + weight * self.loss(_at_size_of(label, head.float()), label)
        return total


def _at_size_of(label: Tensor, logits: Tensor) -> Tensor:
    size = list(label.shape[2:])
    return logits if list(logits.shape[2:]) == size else resize_linear(logits, size)


class CrossEntropy(nn.Module):
    """Cross entropy of a softmax over classes, or of a sigmoid per channel. MONAI's DiceCELoss uses a softmax for both.

    Args:
        softmax: else a sigmoid per channel.
        class_balance: as in :func:`segmentation_loss`.
    """

    def __init__(self, *, softmax: bool, class_balance: float = 0.0) -> None:
        super().__init__()
        self.softmax = softmax
        self.class_balance = class_balance

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Mean over batch and pixels (and channels, for a sigmoid)."""
        counted, clean = _split_ignored(label)
        if self.softmax:
            losses = F.cross_entropy(logits, clean[:, 0].long(), reduction="none")[:, None]
        else:
            losses = F.binary_cross_entropy_with_logits(logits, clean.to(logits.dtype), reduction="none")
        return _balanced_mean(losses, clean, counted, self.class_balance)


class Focal(nn.Module):
    """MONAI's focal loss with gamma 2, mean over pixels that are not ignored.

    Args:
        softmax: else a sigmoid per channel.
        class_balance: as in :func:`segmentation_loss`.
    """

    def __init__(self, *, softmax: bool, class_balance: float = 0.0) -> None:
        super().__init__()
        self.class_balance = class_balance
        self.loss = FocalLoss(gamma=2.0, use_softmax=softmax, to_onehot_y=softmax, reduction="none")

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Mean over batch, pixels and channels."""
        counted, clean = _split_ignored(label)
        losses: Tensor = self.loss(logits, clean)
        return _balanced_mean(losses, clean, counted, self.class_balance)


class Region(nn.Module):
    """One of MONAI's losses on probabilities and one-hot labels in which ignored pixels are 0, so Dice-like sums exclude them.

    Args:
        loss: takes (probabilities, one-hot label), both (B, C, *S).
        softmax: the activation; else a sigmoid per channel.
        background: keep channel 0 of a softmax.
    """

    def __init__(self, loss: nn.Module, *, softmax: bool, background: bool = False) -> None:
        super().__init__()
        self.loss = loss
        self.softmax = softmax
        self.first = 1 if softmax and not background else 0

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """The loss: a scalar."""
        probs, truth = _probs_and_truth(logits, label, softmax=self.softmax)
        loss: Tensor = self.loss(probs[:, self.first :], truth[:, self.first :])
        return loss


def _split_ignored(label: Tensor) -> tuple[Tensor | None, Tensor]:
    """Which pixels count, (B, 1 or C, *S) bool, None for all; and the label with 0 at the others."""
    ignored = label == IGNORED
    if not bool(ignored.any()):
        return None, label
    return ~ignored, label.masked_fill(ignored, 0)


def _mean(losses: Tensor, counted: Tensor | None) -> Tensor:
    """Mean over the pixels that count, 0 if there are none."""
    if counted is None:
        return losses.mean()
    counted = counted.expand_as(losses)
    return (losses * counted).sum() / counted.sum().clamp(min=1)


def _balanced_mean(losses: Tensor, label: Tensor, counted: Tensor | None, power: float) -> Tensor:
    """Mean over the pixels that count; with a power, each image's by itself, in which a pixel of a class of n pixels weighs n ** -power.

    Args:
        losses: (B, C, *S).
        label: (B, C or 1, *S), classes.
        counted: of the label's shape, None for all pixels.
        power: 0 to 1.
    """
    if power == 0:
        return _mean(losses, counted)
    there = torch.ones_like(label, dtype=torch.bool) if counted is None else counted
    weights = torch.stack([_class_weights(*each, power) for each in zip(label.long(), there, strict=True)])
    weights = weights.to(losses.dtype).expand_as(losses)
    axes = tuple(range(1, losses.ndim))
    return ((losses * weights).sum(axes) / weights.sum(axes).clamp(min=torch.finfo(losses.dtype).tiny)).mean()


def _class_weights(label: Tensor, counted: Tensor, power: float) -> Tensor:
    """Weights of an image's pixels, (C, *S), 0 for those that do not count. Channels are counted by themselves."""
    weights = []
    for channel, there in zip(label, counted, strict=True):
        numbers = torch.bincount(channel[there], minlength=int(channel.max()) + 1)
        weights.append(numbers.clamp(min=1).float().pow(-power)[channel] * there)
    return torch.stack(weights)


def _probs_and_truth(logits: Tensor, label: Tensor, *, softmax: bool) -> tuple[Tensor, Tensor]:
    """Probabilities and one-hot label, (B, C, *S) each, 0 at ignored pixels."""
    counted, clean = _split_ignored(label)
    if softmax:
        probs, truth = logits.softmax(1), one_hot(clean, logits.shape[1], dtype=logits.dtype)
    else:
        probs, truth = logits.sigmoid(), clean.to(logits.dtype)
    return (probs, truth) if counted is None else (probs * counted, truth * counted)


class LovaszLoss(nn.Module):
    """Lovász extension of the Jaccard loss 1 - |A ∩ B| / |A ∪ B|, mean over images and classes.

    Berman et al., The Lovász-Softmax Loss, CVPR 2018, arXiv:1705.08790, with a sigmoid instead of the softmax for the sigmoid tasks.
    For probabilities that are all 0 or 1 it is the Jaccard loss itself. As in the paper, a class that is absent from an image's label is
    left out for a softmax; with a sigmoid its loss is the largest false probability.

    Shape: logits (B, C, *S), label (B, C or 1, *S) -> scalar.
    """

    def __init__(self, *, softmax: bool) -> None:
        super().__init__()
        self.softmax = softmax

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """The mean Lovász Jaccard loss: a scalar."""
        probs, truth = _probs_and_truth(logits, label, softmax=self.softmax)
        first = 1 if self.softmax else 0
        probs, truth = probs[:, first:].flatten(2), truth[:, first:].flatten(2)
        errors, order = (truth - probs).abs().sort(dim=-1, descending=True)
        losses = (errors * _jaccard_steps(truth.gather(-1, order))).sum(-1)
        if not self.softmax:
            return losses.mean()
        present = truth.amax(-1)
        return (losses * present).sum() / present.sum().clamp(min=1)


def _jaccard_steps(truth: Tensor) -> Tensor:
    """The increase of the Jaccard loss with each further wrong pixel, (..., N), with pixels in order of decreasing error."""
    wanted = truth.sum(-1, keepdim=True)
    intersection = wanted - truth.cumsum(-1)
    union = wanted + (1 - truth).cumsum(-1)
    jaccard_loss = 1 - intersection / union
    return jaccard_loss.diff(dim=-1, prepend=torch.zeros_like(wanted))


def _pixel_term(name: PixelTerm, task: Task, class_balance: float) -> nn.Module:
    softmax = task == "multiclass"
    if name == "cross_entropy":
        return CrossEntropy(softmax=softmax, class_balance=class_balance)
    if name == "focal":
        return Focal(softmax=softmax, class_balance=class_balance)
    raise ValueError(f"loss: unknown pixel term {name!r}{did_you_mean(name, get_args(PixelTerm))}")


def _region_term(name: RegionTerm, task: Task) -> nn.Module:
    softmax = task == "multiclass"
    if name == "dice":
        return Region(DiceLoss(smooth_nr=SMOOTH, smooth_dr=SMOOTH), softmax=softmax)
    if name == "tversky":
        return Region(TverskyLoss(alpha=0.3, beta=0.7, smooth_nr=SMOOTH, smooth_dr=SMOOTH), softmax=softmax)
    if name == "generalised_dice":
        # weights of 1 / volume² make numerator and denominator far smaller than 1, and already bound the gradient
        return Region(GeneralizedDiceLoss(smooth_nr=1e-8, smooth_dr=1e-8), softmax=softmax, background=True)
    if name == "lovasz":
        return LovaszLoss(softmax=softmax)
    raise ValueError(f"loss: unknown region term {name!r}{did_you_mean(name, get_args(RegionTerm))}")
