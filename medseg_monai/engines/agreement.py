"""Does a faster way of running a network give the masks of plain float32? One measure for engines, precisions and exports."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from medseg_monai.dataset.spec import Task
from medseg_monai.transforms.decision import to_probabilities

MIN_DICE = 0.999
"""Smallest Dice of the masks at which a way of computing agrees with plain float32."""
MAX_MEAN_DIFFERENCE = 0.01
"""Largest mean difference of probabilities, which also judges images whose masks are both empty."""


@dataclass(frozen=True)
class Agreement:
    """How two answers of one network differ. Those of several batches add up: ``first + second``.

    Attributes:
        overlap: per foreground class, pixels that both masks have.
        expected: per class, pixels of plain float32's mask.
        found: per class, pixels of the other mask.
        largest: the largest difference of a probability.
        total: the sum of all differences of probabilities.
        values: how many probabilities were compared.
        images: how many images.
    """

    overlap: tuple[int, ...]
    expected: tuple[int, ...]
    found: tuple[int, ...]
    largest: float
    total: float
    values: int
    images: int

    def __add__(self, other: Agreement) -> Agreement:
        def both(name: str) -> tuple[int, ...]:
            return tuple(a + b for a, b in zip(getattr(self, name), getattr(other, name), strict=True))

        return Agreement(
            both("overlap"),
            both("expected"),
            both("found"),
            max(self.largest, other.largest),
            self.total + other.total,
            self.values + other.values,
            self.images + other.images,
        )

    @property
    def dice(self) -> float:
        """Dice of the two masks over all images together, of the class with the lowest; 1 for a class that neither has."""
        counts = zip(self.overlap, self.expected, self.found, strict=True)
        return min(2 * both / (ours + theirs) if ours + theirs else 1.0 for both, ours, theirs in counts)

    @property
    def mean(self) -> float:
        """Mean difference of the probabilities."""
        return self.total / self.values

    @property
    def says_something(self) -> bool:
        """Whether plain float32 found any foreground: two empty masks always agree."""
        return any(self.expected)

    @property
    def holds(self) -> bool:
        """Whether the masks are interchangeable: `MIN_DICE` and `MAX_MEAN_DIFFERENCE`. False if an answer is not finite."""
        return self.dice >= MIN_DICE and self.mean <= MAX_MEAN_DIFFERENCE

    def __str__(self) -> str:
        images = "1 image" if self.images == 1 else f"{self.images} images"
        return f"mask Dice {self.dice:.5f}, probabilities within {self.largest:.1e} (mean {self.mean:.1e}), {images}"


def agreement(expected: Tensor, found: Tensor, *, task: Task, threshold: float = 0.5) -> Agreement:
    """Compare a network's logits in plain float32 with those of another engine, precision or export.

    Args:
        expected: logits (B, C, *S) of plain float32 torch.
        found: logits of the same images by the other way.
        task: what the channels are; decides between sigmoid and softmax.
        threshold: probability from which a pixel is foreground, for tasks with a sigmoid.

    Raises:
        ValueError: shapes that differ.

    >>> logits = torch.tensor([[[[2.0, -1.0, 0.1, 3.0]]]])
    >>> agreement(logits, logits - 0.2, task="binary").dice  # 2 pixels of 3 are left
    0.8
    """
    if expected.shape != found.shape:
        raise ValueError(f"got logits of shape {tuple(found.shape)}, but plain float32 gives {tuple(expected.shape)}")
    ours, theirs = (to_probabilities(logits.detach().cpu(), task) for logits in (expected, found))
    masks = [_class_masks(probabilities, task, threshold).flatten(2) for probabilities in (ours, theirs)]
    difference = (ours - theirs).abs()
    finite = bool(torch.isfinite(found).all())

    def count(mask: Tensor) -> tuple[int, ...]:
        return tuple(int(n) for n in mask.sum(dim=(0, 2)))

    return Agreement(
        count(masks[0] & masks[1]),
        count(masks[0]),
        count(masks[1]),
        float(difference.max()) if finite else math.nan,
        float(difference.double().sum()) if finite else math.nan,
        difference.numel(),
        len(ours),
    )


def _class_masks(probabilities: Tensor, task: Task, threshold: float) -> Tensor:
    """(B, K, *S) bool, a channel per foreground class."""
    if task != "multiclass":
        return probabilities > threshold
    numbers = probabilities.argmax(dim=1)
    return torch.stack([numbers == number for number in range(1, probabilities.shape[1])], dim=1)
