"""Whether a person should look at a case, and why, in words: its mask is likely to be wrong, or it is unlike the training images."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.transforms.transform import MapTransform
from numpy.typing import NDArray
from torch import Tensor

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids import grid_of
from medseg_monai.quality.calibration import Calibration
from medseg_monai.quality.conformal import Promise
from medseg_monai.quality.descriptor import describe, shrunk
from medseg_monai.quality.familiarity import Familiarity
from medseg_monai.quality.gaussian import Description
from medseg_monai.quality.learnt import Quality
from medseg_monai.quality.mask_numbers import MaskNumbers, mask_numbers
from medseg_monai.quality.volume_descriptor import describe_volume
from medseg_monai.transforms.decision import probabilities
from medseg_monai.transforms.intensity import mean_and_std
from medseg_monai.tuning.review import Review

WORDS = {
    "colours": "colours",
    "light": "brightness and contrast",
    "layout": "where it is light and dark",
    "texture": "texture and edges",
    "grain": "colours of details",
    "outline": "size, colours and edge of what was outlined",
    "values": "how common dark and bright values are",
}
"""Parts of a description, for people."""


class Flag(NamedTuple):
    """The verdict on a case.

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
    *,
    predicted: Mapping[str, float] | None = None,
    promise: Promise | None = None,
    empty: Collection[str] = (),
) -> Flag:
    """Whether a case is unlike those of training, or its mask may be poor.

    A promise with a threshold replaces the threshold of uncertainty.

    Args:
        uncertainty: of the case, see `medseg_monai.inference.uncertainty.uncertainty`.
        description: of the case; empty if it is not known.
        review, familiarity, promise: what `medseg review` has learnt; None for what it has not.
        predicted: the predicted Dice of each class's mask, if it is known.
        empty: classes of which nothing was found.
    """
    known = familiarity if description else None
    kept = promise if promise is not None and promise.threshold is not None and predicted else None
    if review is None and known is None and kept is None:
        return Flag(None, "")
    reasons = []
    if known is not None and (parts := known.unlike(description)):
        reasons.append(f"unlike the training images: {', '.join(WORDS.get(part, part) for part in parts)}")
    if kept is not None and predicted:
        worst = min(predicted, key=lambda name: predicted[name])
        if kept.flags(predicted[worst]):
            whose = f" of {worst}" if len(predicted) > 1 else ""
            what = f"nothing{whose} was found" if worst in empty else "its mask may be poor"
            reasons.append(f"{what}: predicted Dice{whose} {predicted[worst]:.2f}, flagged up to {kept.threshold:.2f}")
    elif review is not None and review.flags(uncertainty):
        reasons.append(f"uncertain outline: uncertainty {uncertainty:.2f}, flagged from {review.threshold:.2f}")
    return Flag(bool(reasons), "; ".join(reasons))


def describe_case(
    image: Tensor, logits: Tensor | None, meta: Mapping[str, Any], spec: DatasetSpec
) -> dict[str, NDArray[np.float64]]:
    """What a network's input, and of a photograph its answer, look like in numbers.

    Args:
        image: (C, *S), the network's input.
        logits: (K, W, H), its answer to a photograph; of a volume it is not looked at and may be None.
        meta: the ``image_meta_dict`` that `load` adds.
        spec: the data set.
    """
    seen = torch.as_tensor(image).as_subclass(Tensor)
    if spec.spatial_dims != 2 or logits is None:
        return describe_volume(seen)
    place = grid_of(meta, spec).content
    mean, std = (torch.from_numpy(values)[:, None, None] for values in mean_and_std(spec.intensity, len(seen)))
    probs = probabilities(torch.as_tensor(logits).as_subclass(Tensor)[place].cpu(), spec)
    foreground = 1 - probs[0] if spec.task == "multiclass" else probs.amax(dim=0)
    return describe((shrunk(seen[place]) * std + mean).clamp(0, 1), foreground)


def empty_description(spec: DatasetSpec) -> dict[str, NDArray[np.float64]]:
    """A description as those of the data set's images are: the same parts, as many numbers."""
    if spec.spatial_dims != 2:
        return describe_volume(torch.zeros(spec.in_channels, 4, 4, 4))
    return describe(torch.zeros(spec.in_channels, 8, 8), torch.zeros(8, 8))


def number_case(
    logits: Tensor, meta: Mapping[str, Any], spec: DatasetSpec, calibration: Calibration | None = None
) -> list[MaskNumbers]:
    """`mask_numbers` of a network's answer, without the bars around a photograph; arguments as for `describe_case`."""
    answer = torch.as_tensor(logits).as_subclass(Tensor)
    return mask_numbers(answer[grid_of(meta, spec).content], spec, calibration)


def margin_levels(
    logits: Tensor, meta: Mapping[str, Any], spec: DatasetSpec, learnt: Quality
) -> NDArray[np.float32] | None:
    """`Margins.levels` of a network's answer, without the bars around a photograph; arguments as for `describe_case`.

    None for volumes, whose probabilities would have to be kept for it, and if no margins were learnt.
    """
    if spec.spatial_dims != 2 or learnt.margins is None or not learnt.margins.known:
        return None
    probs = probabilities(torch.as_tensor(logits).as_subclass(Tensor)[grid_of(meta, spec).content].cpu(), spec)
    if learnt.calibration is not None:
        probs = learnt.calibration.apply(probs, spec.task)
    return learnt.margins.levels(probs.float().numpy())


class Flagd(MapTransform):
    """`flag` of a case, from the image and the logits under `key`: stands after `MeasureUncertaintyd`, before the logits become a mask.

    Adds ``description``, ``mask_numbers`` and ``predicted_dice`` (class -> Dice; empty if it was not learnt), ``flagged``, ``reason`` and
    ``margin_levels`` (see `margin_levels`).

    Args:
        key: the logits'.
        spec: the data set.
        review, familiarity, quality: what `medseg review` has learnt; None for what it has not.
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
        quality: Quality | None = None,
        image_key: str = "image",
    ) -> None:
        super().__init__((key,))
        self.spec = spec
        self.review = review
        self.familiarity = familiarity
        self.quality = quality or Quality()
        self.image_key = image_key
        if familiarity is not None:
            familiarity.check(empty_description(spec))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The logits stay as they are."""
        case = dict(data)
        meta, logits, learnt = case[f"{self.image_key}_meta_dict"], case[self.keys[0]], self.quality
        case["description"] = describe_case(case[self.image_key], logits, meta, self.spec)
        case["mask_numbers"] = number_case(logits, meta, self.spec, learnt.calibration)
        dices = () if learnt.dice is None else learnt.dice.predict(case["mask_numbers"])
        case["predicted_dice"] = dict(zip(self.spec.classes, dices, strict=False))
        case["margin_levels"] = margin_levels(logits, meta, self.spec, learnt)
        case["flagged"], case["reason"] = flag(
            float(case["uncertainty"]),
            case["description"],
            self.review,
            self.familiarity,
            predicted=case["predicted_dice"],
            promise=learnt.promise,
            empty=[name for name, one in zip(self.spec.classes, case["mask_numbers"], strict=True) if one.empty],
        )
        return case
