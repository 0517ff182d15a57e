"""Whether a person should look at a case, and why, in words: the network is unsure of it, or it is unlike training's pictures."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.transforms.transform import MapTransform
from numpy.typing import NDArray
from torch import Tensor

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.photo import PhotoGrid
from medseg_monai.quality.descriptor import describe
from medseg_monai.quality.familiarity import Description, Familiarity
from medseg_monai.transforms.decision import probabilities
from medseg_monai.transforms.intensity import mean_and_std
from medseg_monai.tuning.review import Review

WORDS = {
    "colours": "colours",
    "light": "brightness and contrast",
    "layout": "where it is light and dark",
    "texture": "texture and edges",
    "outline": "size, colours and edge of what was outlined",
}
"""Parts of a description, for people."""


class Flag(NamedTuple):
    """What is said of a case.

    Attributes:
        flagged: None if neither was learnt (`medseg review`).
        reason: in words, "" if it is not flagged.
    """

    flagged: bool | None
    reason: str


def flag(
    uncertainty: float,
    description: Description,
    review: Review | None,
    familiarity: Familiarity | None,
) -> Flag:
    """Whether a case is unlike training's or the network unsure of it.

    Args:
        uncertainty: of the case, see `medseg_monai.inference.uncertainty.uncertainty`.
        description: of the case; empty for volumes.
        review, familiarity: what `medseg review` has learnt, as far as it has.
    """
    known = familiarity if description else None
    if review is None and known is None:
        return Flag(None, "")
    reasons = []
    if known is not None and (parts := known.unlike(description)):
        reasons.append(f"unlike the pictures it was trained on: {', '.join(WORDS.get(part, part) for part in parts)}")
    if review is not None and review.flags(uncertainty):
        reasons.append(f"unsure of its outline: uncertainty {uncertainty:.2f}, flagged from {review.threshold:.2f} on")
    return Flag(bool(reasons), "; ".join(reasons))


def describe_case(
    image: Tensor, logits: Tensor, meta: Mapping[str, Any], spec: DatasetSpec
) -> dict[str, NDArray[np.float64]]:
    """`describe` of what a network saw and answered; nothing for volumes, whose values have no common scale to compare.

    Args:
        image: (C, W, H) as the network takes it.
        logits: (K, W, H), its answer.
        meta: the ``image_meta_dict`` that `load` adds.
        spec: the data set.
    """
    if spec.spatial_dims != 2:
        return {}
    box = PhotoGrid.of(meta["spatial_shape"], spec).box
    place = (slice(None), slice(box.x, box.x + box.width), slice(box.y, box.y + box.height))
    seen = torch.as_tensor(image).as_subclass(Tensor)[place].cpu()
    mean, std = (torch.from_numpy(values)[:, None, None] for values in mean_and_std(spec.intensity, len(seen)))
    probs = probabilities(torch.as_tensor(logits).as_subclass(Tensor)[place].cpu(), spec)
    foreground = 1 - probs[0] if spec.task == "multiclass" else probs.amax(dim=0)
    return describe((seen * std + mean).clamp(0, 1), foreground)


class Flagd(MapTransform):
    """`flag` of a case, from the image and the logits under `key`: stands after `Uncertaind`, before the logits become a mask.

    Adds ``description``, ``flagged`` and ``reason``.

    Args:
        key: the logits'.
        spec: the data set.
        review, familiarity: what `medseg review` has learnt, as far as it has.
        image_key: the image's.

    Raises:
        ValueError: the familiarity was learnt on descriptions of another kind.
    """

    def __init__(
        self,
        key: str = "pred",
        *,
        spec: DatasetSpec,
        review: Review | None = None,
        familiarity: Familiarity | None = None,
        image_key: str = "image",
    ) -> None:
        super().__init__((key,))
        self.spec = spec
        self.review = review
        self.familiarity = familiarity
        self.image_key = image_key
        if familiarity is not None:
            familiarity.check(describe(torch.zeros(spec.in_channels, 8, 8), torch.zeros(8, 8)))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The logits stay as they are."""
        case = dict(data)
        meta = case[f"{self.image_key}_meta_dict"]
        case["description"] = describe_case(case[self.image_key], case[self.keys[0]], meta, self.spec)
        case["flagged"], case["reason"] = flag(
            float(case["uncertainty"]), case["description"], self.review, self.familiarity
        )
        return case
