"""From the network's answer to a mask on the photograph's own grid."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms.transform import MapTransform
from monai.transforms.utility.dictionary import CopyItemsd
from torch import Tensor

from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids import grid_of
from medseg_monai.quality.calibration import Calibration
from medseg_monai.transforms.cleaning import Cleaning, choose_cleaning, clean
from medseg_monai.transforms.decision import as_mask, check_finite, probabilities
from medseg_monai.transforms.pipeline import Pipeline
from medseg_monai.transforms.volume_restore import RestoreVolumed


class _PerMap(MapTransform):
    """A dictionary transform that does the same to the (C, W, H) tensor under each key."""

    def __init__(self, keys: str | Sequence[str], *, spec: DatasetSpec) -> None:
        super().__init__(keys)
        self.spec = spec

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to each key."""
        case = dict(data)
        for key in self.keys:
            case[key] = self.change(case[key], case)
        return case

    def change(self, values: Tensor, case: Mapping[Hashable, Any]) -> Tensor:
        """The new tensor."""
        raise NotImplementedError


class CheckFinited(_PerMap):
    """`check_finite` logits under `keys`, which stay as they are."""

    def change(self, values: Tensor, case: Mapping[Hashable, Any]) -> Tensor:
        """The same logits."""
        check_finite(torch.as_tensor(values).as_subclass(Tensor))
        return values


class ToProbabilitiesd(_PerMap):
    """`probabilities` of logits under `keys`."""

    def change(self, values: Tensor, case: Mapping[Hashable, Any]) -> Tensor:
        """Logits to probabilities."""
        return probabilities(values, self.spec)


class Calibrated(_PerMap):
    """Calibrated probabilities under `keys`.

    Args:
        keys: probabilities as the network gives them.
        spec: the data set.
        calibration: their temperatures.
    """

    def __init__(
        self, keys: str | Sequence[str] = "probability", *, spec: DatasetSpec, calibration: Calibration
    ) -> None:
        super().__init__(keys, spec=spec)
        self.calibration = calibration

    def change(self, values: Tensor, case: Mapping[Hashable, Any]) -> Tensor:
        """The calibrated ones, of the precision that they had."""
        return self.calibration.apply(values, self.spec.task).to(values.dtype)


class Restored(_PerMap):
    """Maps under `keys` brought to the image's own grid, which ``load`` noted in the case's ``image_meta_dict``.

    Args:
        keys: maps (C, w, h) on the network's grid.
        spec: the data set.
        image_key: the image whose grid is taken.
    """

    def __init__(self, keys: str | Sequence[str] = "pred", *, spec: DatasetSpec, image_key: str = "image") -> None:
        super().__init__(keys, spec=spec)
        self.meta_key = f"{image_key}_meta_dict"

    def change(self, values: Tensor, case: Mapping[Hashable, Any]) -> Tensor:
        """To the image's grid."""
        return grid_of(case[self.meta_key], self.spec).restore(values)


class AsMaskd(_PerMap):
    """`as_mask` of probabilities under `keys`."""

    def __init__(self, keys: str | Sequence[str] = "pred", *, spec: DatasetSpec, threshold: float = 0.5) -> None:
        super().__init__(keys, spec=spec)
        if not 0 < threshold < 1:
            raise ValueError(f"threshold is {threshold}; it must lie between 0 and 1")
        self.threshold = threshold

    def change(self, values: Tensor, case: Mapping[Hashable, Any]) -> Tensor:
        """To a uint8 mask."""
        return as_mask(values, self.spec, threshold=self.threshold)


class CleanMaskd(_PerMap):
    """`clean` masks from probabilities under `keys`."""

    def __init__(self, keys: str | Sequence[str] = "pred", *, spec: DatasetSpec, cleaning: Cleaning) -> None:
        super().__init__(keys, spec=spec)
        self.cleaning = cleaning

    def change(self, values: Tensor, case: Mapping[Hashable, Any]) -> Tensor:
        """To a uint8 mask."""
        return torch.from_numpy(clean(values.cpu().numpy(), self.cleaning, self.spec.task))


class ClassMasksd(_PerMap):
    """Labels and masks under `keys` as one {0, 1} channel per foreground class, the input of MONAI's metrics.

    Pixels that are ignored in one of them are 0 in all of them, so they count in no score.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to each key."""
        case = dict(data)
        ignored = [case[key] == IGNORED for key in self.keys]
        for key in self.keys:
            for where in ignored:
                case[key] = case[key].masked_fill(where, 0)
        return super().__call__(case)

    def change(self, values: Tensor, case: Mapping[Hashable, Any]) -> Tensor:
        """(1, *S) of class numbers to (classes, *S); other tasks have that form already."""
        if self.spec.task != "multiclass":
            return values
        numbers = torch.arange(1, len(self.spec.classes) + 1, device=values.device)
        return (values == numbers.view(-1, *[1] * (values.ndim - 1))).to(torch.uint8)


def postprocess(
    spec: DatasetSpec,
    *,
    key: str = "pred",
    threshold: float | None = None,
    cleaning: Cleaning | None = None,
    keep_probabilities: bool = False,
    calibration: Calibration | None = None,
    mask_calibration: Calibration | None = None,
) -> Pipeline:
    """Logits on the network's grid to a mask on the photograph's: probabilities, restored, then thresholded and cleaned.

    Probabilities are restored, not masks: the outline is then found at the photograph's resolution, not in network pixels.

    Args:
        spec: the data set.
        key: the logits'; the mask takes their place.
        threshold: see `AsMaskd`; where given, it replaces the cleaning's.
        cleaning: thresholds per class and what is removed or filled; None for a plain threshold.
        keep_probabilities: keep them, restored, under ``probability``.
        calibration: of the probabilities that are kept.
        mask_calibration: of those that become the mask: thresholds are then compared with calibrated probabilities. None leaves every
            mask as it was before anything was calibrated.

    An answer that is not finite raises a ValueError, see `check_finite`.

    Volumes are restored a few slices at a time, see `medseg_monai.transforms.volume_restore`.
    """
    checked = CheckFinited(key, spec=spec)
    if spec.spatial_dims == 3:
        chosen = choose_cleaning(cleaning, threshold=threshold)
        return Pipeline(
            [
                checked,
                RestoreVolumed(
                    key,
                    spec=spec,
                    cleaning=chosen,
                    keep_probabilities=keep_probabilities,
                    calibration=calibration,
                    mask_calibration=mask_calibration,
                ),
            ]
        )
    kept: list[MapTransform] = [CopyItemsd(key, names="probability")] if keep_probabilities else []
    if keep_probabilities and calibration is not None:
        kept.append(Calibrated("probability", spec=spec, calibration=calibration))
    if mask_calibration is not None:
        kept.append(Calibrated(key, spec=spec, calibration=mask_calibration))
    return Pipeline(
        [
            checked,
            ToProbabilitiesd(key, spec=spec),
            Restored(key, spec=spec),
            *kept,
            _to_mask(key, spec, threshold, cleaning),
        ]
    )


def _to_mask(key: str, spec: DatasetSpec, threshold: float | None, cleaning: Cleaning | None) -> MapTransform:
    """The last step: the plain one, which stays on the device, if nothing is to be cleaned."""
    if cleaning is None or (threshold is not None and cleaning.keeps_components):
        return AsMaskd(key, spec=spec, threshold=0.5 if threshold is None else threshold)
    chosen = choose_cleaning(cleaning, threshold=threshold)
    if chosen.keeps_components and not chosen.threshold:
        return AsMaskd(key, spec=spec)
    return CleanMaskd(key, spec=spec, cleaning=chosen)
