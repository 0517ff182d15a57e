"""From the network's answer on its own grid to a label on the scan's grid, a few slices at a time (`VolumeGrid.fill`)."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms.transform import MapTransform
from torch import Tensor

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids import volume_grid_of
from medseg_monai.grids.turn import turned_shape
from medseg_monai.grids.volume import SLAB_BYTES, VolumeGrid
from medseg_monai.quality.calibration import Calibration
from medseg_monai.transforms.cleaning import PLAIN, Cleaning, clean_labels
from medseg_monai.transforms.decision import probabilities, thresholded


def restore_mask(
    logits: Tensor,
    grid: VolumeGrid,
    spec: DatasetSpec,
    *,
    cleaning: Cleaning = PLAIN,
    calibration: Calibration | None = None,
    slab_bytes: int = SLAB_BYTES,
) -> Tensor:
    """The label of a scan, on the scan's own grid.

    Args:
        logits: (C, i, j, k) on the network's grid, floating point of any precision, on any device.
        grid: both grids.
        spec: the data set.
        cleaning: thresholds for the slabs; components and holes are seen to in the whole scan, where sizes are in mm³.
        calibration: what thresholds are compared with is calibrated by this.
        slab_bytes: memory for probabilities at the scan's resolution.

    Returns:
        uint8 on the CPU: (1, I, J, K) of class numbers, or (classes, I, J, K) of {0, 1} for multilabel. Outside the part that the
        network saw it is 0.

    Raises:
        ValueError: the logits are not on the network's grid.
    """
    mask = grid.fill(
        np.zeros((spec.label_channels, *turned_shape(grid.geometry)), np.uint8),
        logits,
        functools.partial(probabilities, spec=spec),
        lambda probs: thresholded(_calibrated(probs, calibration, spec), spec, cleaning),
        slab_bytes=slab_bytes,
    )
    count, size = len(spec.classes), grid.pixel_size
    return torch.from_numpy(clean_labels(mask, cleaning, spec.task, classes=count, voxel_volume=size))


def restore_probabilities(
    logits: Tensor,
    grid: VolumeGrid,
    spec: DatasetSpec,
    *,
    calibration: Calibration | None = None,
    slab_bytes: int = SLAB_BYTES,
) -> Tensor:
    """Probabilities (C, I, J, K) on the scan's own grid, in float16: half the memory, and steps of at most 0.0005.

    Outside the part that the network saw, a class has 0 and the background of exclusive classes 1.
    """
    filled = np.zeros((spec.out_channels, *turned_shape(grid.geometry)), np.float16)
    if spec.task == "multiclass":
        filled[0] = 1
    start = functools.partial(probabilities, spec=spec)

    def finish(probs: Tensor) -> Tensor:
        return _calibrated(probs, calibration, spec).half()

    return torch.from_numpy(grid.fill(filled, logits, start, finish, slab_bytes=slab_bytes))


def _calibrated(probs: Tensor, calibration: Calibration | None, spec: DatasetSpec) -> Tensor:
    return probs if calibration is None else calibration.apply(probs, spec.task)


class RestoreVolumed(MapTransform):
    """`restore_mask` of the logits under `key`.

    Args:
        key: the logits; the mask takes their place.
        spec: the data set.
        cleaning: see `restore_mask`.
        keep_probabilities: keep `restore_probabilities` under ``probability``.
        calibration: of the probabilities that are kept.
        mask_calibration: of those that become the mask, see `restore_mask`.
        image_key: the image whose grid is taken.
    """

    def __init__(
        self,
        key: str = "pred",
        *,
        spec: DatasetSpec,
        cleaning: Cleaning = PLAIN,
        keep_probabilities: bool = False,
        calibration: Calibration | None = None,
        mask_calibration: Calibration | None = None,
        image_key: str = "image",
    ) -> None:
        super().__init__((key,))
        self.spec = spec
        self.cleaning = cleaning
        self.keep_probabilities = keep_probabilities
        self.calibration = calibration
        self.mask_calibration = mask_calibration
        self.meta_key = f"{image_key}_meta_dict"

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Needs the ``image_meta_dict`` that ``load`` adds."""
        case = dict(data)
        grid = volume_grid_of(case[self.meta_key], self.spec)
        for key in self.keys:
            logits = torch.as_tensor(case[key]).as_subclass(Tensor)
            if self.keep_probabilities:
                case["probability"] = restore_probabilities(logits, grid, self.spec, calibration=self.calibration)
            case[key] = restore_mask(logits, grid, self.spec, cleaning=self.cleaning, calibration=self.mask_calibration)
        return case
