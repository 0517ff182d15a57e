"""From logits to probabilities, and from probabilities to a mask on the same grid."""

from __future__ import annotations

import torch
from torch import Tensor

from medseg_monai.dataset.spec import DatasetSpec, Task
from medseg_monai.transforms.cleaning import Cleaning


def to_probabilities(logits: Tensor, task: Task) -> Tensor:
    """(B, C, ...) logits to float32 probabilities: softmax over channels for multiclass, sigmoid of each for the others."""
    return logits.float().softmax(dim=1) if task == "multiclass" else logits.float().sigmoid()


def probabilities(logits: Tensor, spec: DatasetSpec) -> Tensor:
    """`to_probabilities` of one case, (C, ...)."""
    return to_probabilities(logits[None], spec.task)[0]


def entropy_bits(probabilities: Tensor) -> Tensor:
    """Entropy of each of several independent probabilities, float32 0 to 1: 0 is certain, 1 a coin toss.

    >>> entropy_bits(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [0.0, 1.0, 0.0]
    """
    # half the time of xlogy, which looks for zeros; here they are what the logarithm of the smallest number is multiplied with
    least = torch.finfo(torch.float32).tiny
    probs = probabilities.float()
    rest = 1 - probs
    bits = probs * probs.clamp_min(least).log2_()
    return (0 - bits.add_(rest * rest.clamp_min(least).log2_())).clamp_(0, 1)


def check_finite(logits: Tensor) -> None:
    """Refuse an answer that is not finite: thresholds would turn it into an empty mask.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    if not all(_is_finite(channel) for channel in logits):  # one by one: a whole CT's channels are large
        raise ValueError(
            "the network's answer contains numbers that are not finite (NaN or infinite), so there is no mask: "
            "use precision fp32 and engine plain, or other weights"
        )


def _is_finite(values: Tensor) -> bool:
    # one sum suffices in most cases, in a tenth of the time; as float32, because in float16 the sum of many values is infinite
    return bool(torch.isfinite(values.sum(dtype=torch.float32)) or torch.isfinite(values).all())


def as_mask(probs: Tensor, spec: DatasetSpec, *, threshold: float = 0.5) -> Tensor:
    """Probabilities (C, W, H) to a uint8 mask.

    Binary (1, W, H) and multilabel (classes, W, H): 1 where the probability exceeds `threshold`. Multiclass
    (1, W, H): the number of the most probable class, 0 for background; `threshold` is not used.
    """
    if spec.task == "multiclass":
        return probs.argmax(dim=0, keepdim=True).to(torch.uint8)
    return (probs > threshold).to(torch.uint8)


def thresholded(probs: Tensor, spec: DatasetSpec, cleaning: Cleaning) -> Tensor:
    """The result of `clean` before anything is removed or filled, on the probabilities' device."""
    if not cleaning.threshold:
        return as_mask(probs, spec)
    count = len(spec.classes)
    limits = probs.new_tensor([cleaning.for_class(number, count).threshold[0] for number in range(count)])
    limits = limits.view(-1, *[1] * (probs.ndim - 1))
    if spec.task != "multiclass":
        return (probs > limits).to(torch.uint8)
    taken = torch.cat([probs[:1], torch.where(probs[1:] > limits, probs[1:], -1)])
    return taken.argmax(dim=0, keepdim=True).to(torch.uint8)
