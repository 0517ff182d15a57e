"""Score and show volumes: distances in millimetres, one class at a time, so that a large scan with many classes fits into memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset.cases import label_spec
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import CaseScores, class_masks, score_case, split_ignored
from medseg_monai.evaluation.surfaces import Mask
from medseg_monai.figures.cases import CaseView
from medseg_monai.images.grid import Geometry
from medseg_monai.images.volumes import read_image_volume, read_label_volume
from medseg_monai.transforms.volume_geometry import NetworkGrid, Turn

Label = NDArray[np.uint8]


def read_truth(case: Mapping[str, Any], meta: Mapping[str, Any], spec: DatasetSpec) -> Label:
    """A case's label on the scan's own grid, (1, I, J, K) or (classes, I, J, K).

    Args:
        case: with ``label``.
        meta: the ``image_meta_dict`` that ``load`` added, for the grid that the label must lie on.
        spec: the data set.

    Raises:
        OSError, ValueError: it cannot be read, lies on another grid or holds values outside the classes.
    """
    return read_label_volume(case["label"], spec, _geometry(meta))


def score_volume(
    pred: Label,
    truth: Label,
    *,
    case: str,
    classes: Sequence[str],
    meta: Mapping[str, Any],
    ignored: Mask | None = None,
) -> list[CaseScores]:
    """Score every class of a volume; distances in millimetres.

    Args:
        pred: the predicted label, (1, I, J, K) of class numbers or (classes, I, J, K) of {0, 1}.
        truth: the true one, likewise.
        case: the case's id.
        classes: their names.
        meta: the ``image_meta_dict`` that ``load`` added.
        ignored: voxels that count for nothing, (1 or classes, I, J, K).
    """
    spacing = _geometry(meta).spacing_mm
    count = len(classes)
    lost = [None] * count if ignored is None else [ignored[n % len(ignored)][None] for n in range(count)]
    masks = zip(_one_by_one(pred, count), _one_by_one(truth, count), lost, classes, strict=True)
    return [
        score
        for p, t, out, name in masks
        for score in score_case(p, t, case=case, classes=[name], spacing=spacing, ignored=out)
    ]


def volume_view(case: Mapping[str, Any], pred: Label, spec: DatasetSpec, title: str) -> CaseView:
    """The axial slice of a case that holds most of the prediction and the truth."""
    volume = read_image_volume(case["image"], spec.in_channels)
    truth, _ = split_ignored(read_label_volume(case["label"], label_spec(case, spec), volume.geometry))
    turn = Turn.to_ras(volume.affine)
    image, pred, truth = (turn.apply(array) for array in (volume.array, pred, truth))
    fullest = int(((pred > 0).sum(axis=(0, 1, 2)) + (truth > 0).sum(axis=(0, 1, 2))).argmax())
    cut = (..., slice(fullest, fullest + 1))
    count = len(spec.classes)
    masks = [class_masks(np.ascontiguousarray(label[cut]), count) for label in (pred, truth)]
    grid = NetworkGrid.whole(volume.geometry)
    return CaseView(_windowed(image[cut], spec), masks[0], masks[1], title, affine=grid.affine(), colour=False)


def _windowed(image: NDArray[Any], spec: DatasetSpec) -> NDArray[Any]:
    """The first channel, clipped to the window that the network sees if there is one."""
    if spec.intensity.kind == "window":
        image = np.clip(image[:1], *spec.intensity.bounds)
    first: NDArray[Any] = image[:1]
    return first


def _one_by_one(label: Label, count: int) -> Iterator[Mask]:
    """One class at a time, bool (1, I, J, K)."""
    if len(label) == 1:
        return (label == number for number in range(1, count + 1))
    return (plane[None] > 0 for plane in label)


def _geometry(meta: Mapping[str, Any]) -> Geometry:
    i, j, k = (int(n) for n in meta["spatial_shape"])
    return Geometry((i, j, k), np.asarray(meta["affine"], np.float64))
