"""A network's uncertainty: the entropy of its probabilities, as a map and as one number per case."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms.transform import MapTransform
from torch import Tensor

from medseg_monai.dataset.spec import DatasetSpec, Task
from medseg_monai.grids import grid_of
from medseg_monai.transforms.decision import check_finite, entropy_bits, probabilities

POSSIBLE = 0.05
"""Pixels with a higher probability of any class count for a case's number; the rest is clearly background."""
SLAB_BYTES = 128 * 2**20
"""Memory for the probabilities of a slab, in bytes."""


def uncertainty(probabilities: Tensor, task: Task) -> tuple[Tensor, float]:
    """The map and the number for one case.

    Args:
        probabilities: (C, *S), the network's channels: background first for multiclass.
        task: the data set's.

    Returns:
        The map: (*S) float32, entropy from 0 (certain) to 1 (a coin toss, or all classes equally likely); for overlapping classes that of
        the most uncertain one. The number: its mean over the pixels that may be foreground (`POSSIBLE`), 0 if there are none: the
        network's uncertainty about what it found, whatever its size.

    >>> certain, doubtful = torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([[0.0, 1.0, 0.5]])
    >>> [uncertainty(case, "binary")[1] for case in (certain, doubtful)]
    [0.0, 0.5]
    """
    entropy, considered = _entropy(probabilities, task)
    found = entropy[considered]
    return entropy, float(found.mean()) if found.numel() else 0.0


def uncertainty_of_logits(logits: Tensor, spec: DatasetSpec, *, slab_bytes: int = SLAB_BYTES) -> tuple[Tensor, float]:
    """`uncertainty` of logits (C, *S), a slab along the last axis at a time: a whole CT has 5 GB of probabilities."""
    thickness = max(1, slab_bytes // max(1, 4 * logits[..., 0].numel()))
    maps, total, count = [], 0.0, 0
    for slab in logits.split(thickness, dim=-1):  # type: ignore[no-untyped-call]
        entropy, considered = _entropy(probabilities(slab, spec), spec.task)
        maps.append(entropy)
        found = torch.where(considered, entropy, 0)  # indexing would take six times as long
        total += float(found.sum(dtype=torch.float64))
        count += int(considered.sum())
    return torch.cat(maps, dim=-1), total / count if count else 0.0


def _entropy(probabilities: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """The map, and which of its pixels may be foreground."""
    probs = probabilities.detach().float()
    if task == "multiclass":
        entropy = -torch.xlogy(probs, probs).sum(dim=0) / math.log(len(probs))
        foreground = 1 - probs[0]
    else:
        entropy = entropy_bits(probs).amax(dim=0)
        foreground = probs.amax(dim=0)
    return entropy.clamp(0, 1), foreground > POSSIBLE


class MeasureUncertaintyd(MapTransform):
    """`uncertainty` of the logits under `key`, on the network's grid; to be placed before the logits become a mask.

    Adds ``uncertainty``, the number, and if requested ``uncertainty_map``: (1, W, H) or (1, I, J, K) on the image's own grid.

    Args:
        key: the logits'.
        spec: the data set.
        maps: whether to add the map.
        image_key: the image whose grid is used.
    """

    def __init__(self, key: str = "pred", *, spec: DatasetSpec, maps: bool = False, image_key: str = "image") -> None:
        super().__init__((key,))
        self.spec = spec
        self.maps = maps
        self.meta_key = f"{image_key}_meta_dict"

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Leave the logits unchanged."""
        case = dict(data)
        logits = torch.as_tensor(case[self.keys[0]]).as_subclass(Tensor)
        check_finite(logits)
        entropy, case["uncertainty"] = uncertainty_of_logits(logits, self.spec)
        if self.maps:
            grid = grid_of(case[self.meta_key], self.spec)
            case["uncertainty_map"] = grid.restore(entropy[None], dtype=grid.map_dtype)
        return case
