"""What is cheap to see of an answer when it is made: numbers of each class's mask and probabilities, from which its Dice is predicted.

All are computed on the network's grid, a slab at a time: a whole CT's probabilities never exist at once. The first of them, the Dice that
the probabilities themselves expect, is the *soft Dice confidence* of Borges et al., Soft Dice Confidence: A Near-Optimal Confidence
Estimator for Selective Prediction in Semantic Segmentation, 2024, arXiv:2402.10665.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label
from torch import Tensor

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.quality.calibration import Calibration
from medseg_monai.transforms.decision import as_mask, entropy_bits, probabilities

VERSION = 1
"""Raise it with every change of what a number of `MaskNumbers` means: estimates that were learnt of earlier ones then predict nothing."""
SLAB_BYTES = 128 * 2**20
"""What the probabilities of a slab may take."""
POSSIBLE = 0.05
"""Pixels above this probability may belong to the class; the others are background for certain."""
SMALLEST = 5e-3
"""Dice are kept this far from 0 and 1, where their logits would be infinite."""
COMPONENTS_SIDE = 96
"""Connected parts are counted on every so many points that an axis has at most this many."""


@dataclass(frozen=True)
class MaskNumbers:
    """One class's answer in numbers.

    Args:
        expected: logit of the Dice that the calibrated probabilities expect of the mask: 2 sum(p m) / (sum(p) + sum(m)).
        stability: logit of the Dice between the masks at probabilities 0.25 and 0.75: how much the outline depends on the threshold.
        entropy: mean entropy of the pixels that may belong to the class, 0 to 1.
        confidence: mean calibrated probability inside the mask.
        size: logit of the share of the image.
        raggedness: logarithm of the outline's length against that of a square (a cube) of the mask's size.
        largest: share of the largest connected part.
        at_border: share of the outline that lies on the image's edge.
        empty: whether the mask is; all others but ``expected`` and ``entropy`` then say nothing and are 0.
    """

    expected: float
    stability: float
    entropy: float
    confidence: float
    size: float
    raggedness: float
    largest: float
    at_border: float
    empty: bool

    @property
    def expected_dice(self) -> float:
        """``expected`` as a Dice, 0 to 1."""
        return 1 / (1 + math.exp(-self.expected))

    def vector(self) -> NDArray[np.float64]:
        """All but ``empty``, in this order."""
        return np.array([getattr(self, name) for name in VECTOR], np.float64)


VECTOR = tuple(field.name for field in fields(MaskNumbers) if field.name != "empty")


def logit_of_dice(dice: float) -> float:
    """Kept finite.

    >>> logit_of_dice(0.5), round(logit_of_dice(1.0), 2)
    (0.0, 5.29)
    """
    kept = min(max(dice, SMALLEST), 1 - SMALLEST)
    return math.log(kept / (1 - kept))


def mask_numbers(
    logits: Tensor, spec: DatasetSpec, calibration: Calibration | None = None, *, slab_bytes: int = SLAB_BYTES
) -> list[MaskNumbers]:
    """The numbers of each class.

    Args:
        logits: (C, *S), the network's answer, of photographs without bars.
        spec: the data set.
        calibration: of the probabilities, if it was learnt.
        slab_bytes: memory for probabilities.
    """
    count = len(spec.classes)
    sums = np.zeros((count, 8))
    masks = np.zeros((count, *logits.shape[1:]), np.bool_)
    for place, raw in _slabs(logits, spec, slab_bytes):
        mask = _planes(as_mask(raw, spec), spec)
        probs = raw if calibration is None else calibration.apply(raw, spec.task)
        sums += np.stack([_sums(p, m) for p, m in zip(probs[-count:], mask, strict=True)])
        masks[..., place] = mask.cpu().numpy()
    total = math.prod(logits.shape[1:])
    return [_numbers(row, mask, total) for row, mask in zip(sums, masks, strict=True)]


def _slabs(logits: Tensor, spec: DatasetSpec, slab_bytes: int) -> Iterator[tuple[slice, Tensor]]:
    """Probabilities of a few slices along the last axis, and which."""
    thickness = max(1, slab_bytes // max(1, 4 * logits[..., 0].numel()))
    for first in range(0, logits.shape[-1], thickness):
        place = slice(first, min(first + thickness, logits.shape[-1]))
        yield place, probabilities(logits[..., place], spec)


def _planes(mask: Tensor, spec: DatasetSpec) -> Tensor:
    """A mask of `as_mask` as bool (classes, *S)."""
    if spec.task != "multiclass":
        return mask > 0
    numbers = torch.arange(1, len(spec.classes) + 1, device=mask.device).view(-1, *[1] * (mask.ndim - 1))
    return mask == numbers


def _sums(probs: Tensor, mask: Tensor) -> NDArray[np.float64]:
    """Sums over a slab of one class: p, m, p m, possible pixels, their entropy, pixels above 0.25, 0.5 and 0.75."""
    possible = probs > POSSIBLE
    parts = [
        probs.sum(dtype=torch.float64),
        mask.sum(),
        torch.where(mask, probs, 0).sum(dtype=torch.float64),
        possible.sum(),
        torch.where(possible, entropy_bits(probs), 0).sum(dtype=torch.float64),
        *((probs > limit).sum() for limit in (0.25, 0.5, 0.75)),
    ]
    return np.array([float(part) for part in parts])


def _numbers(sums: NDArray[np.float64], mask: NDArray[np.bool_], total: int) -> MaskNumbers:
    probability, size, both, possible, entropy, low, _, high = map(float, sums)
    expected = logit_of_dice(2 * both / (probability + size) if probability + size else 0.0)
    doubt = entropy / possible if possible else 0.0
    if not size:
        return MaskNumbers(expected, 0.0, doubt, 0.0, 0.0, 0.0, 0.0, 0.0, empty=True)
    outline, at_border = _outline(mask)
    dims = mask.ndim
    share = min(max(size / total, SMALLEST / total), 1 - SMALLEST / total)
    return MaskNumbers(
        expected,
        stability=logit_of_dice(2 * high / (low + high) if low + high else 0.0),
        entropy=doubt,
        confidence=both / size,
        size=math.log(share / (1 - share)),
        raggedness=math.log(outline / (2 * dims * size ** ((dims - 1) / dims))),
        largest=_largest_share(mask),
        at_border=at_border / outline,
        empty=False,
    )


def _outline(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Faces between the mask and what is not, those on the image's edge too; and how many of them are on the edge."""
    inside = sum(int(np.count_nonzero(np.diff(mask, axis=axis))) for axis in range(mask.ndim))
    edges = sum(int(np.count_nonzero(mask.take(end, axis=axis))) for axis in range(mask.ndim) for end in (0, -1))
    return inside + edges, edges


def _largest_share(mask: NDArray[np.bool_]) -> float:
    steps = tuple(slice(None, None, -(-side // COMPONENTS_SIDE)) for side in mask.shape)
    numbers, count = label(mask[steps], generate_binary_structure(mask.ndim, mask.ndim))
    if count < 2:
        return 1.0
    sizes = np.bincount(numbers.ravel())[1:]
    return float(sizes.max() / sizes.sum())
