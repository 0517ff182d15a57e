"""Score and show labels on the image's own grid, one class at a time, so that a large scan with many classes fits into memory."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.contrast import contrast
from medseg_monai.evaluation.metrics import DEFAULTS, CaseScores, class_masks, score_case, split_ignored
from medseg_monai.evaluation.options import MeasureOptions
from medseg_monai.evaluation.surfaces import Mask
from medseg_monai.figures.cases import CaseView
from medseg_monai.grids import Grid
from medseg_monai.grids.truth import read_shown, read_truth
from medseg_monai.grids.volume import VolumeGrid

Label = NDArray[np.uint8]


def score_labels(
    pred: Label,
    truth: Label,
    *,
    case: str,
    classes: Sequence[str],
    spacing: Sequence[float],
    ignored: Mask | None = None,
    options: MeasureOptions = DEFAULTS,
) -> list[CaseScores]:
    """Score every class of a case.

    Args:
        pred: the predicted label, (1, *S) of class numbers or (classes, *S) of {0, 1}.
        truth: the true one, likewise.
        case: the case's id.
        classes: their names.
        spacing: between pixels along each axis; distances are in its unit.
        ignored: pixels to ignore, (1 or classes, *S).
        options: tolerances, and when lesions match.
    """
    count = len(classes)
    lost = [None] * count if ignored is None else [ignored[n % len(ignored)][None] for n in range(count)]
    masks = zip(one_by_one(pred, count), one_by_one(truth, count), lost, classes, strict=True)
    return [
        score
        for p, t, out, name in masks
        for score in score_case(p, t, case=case, classes=[name], spacing=spacing, ignored=out, options=options)
    ]


def label_contrasts(image: Tensor, truth: Label, grid: Grid, spec: DatasetSpec) -> list[float]:
    """How much each class stands out from its surroundings in the network's input, see `medseg_monai.evaluation.contrast`.

    Args:
        image: (C, *N), on the network's grid.
        truth: the label on the image's own grid, (1, *S) of class numbers or (classes, *S) of {0, 1}.
        grid: between the two.
        spec: of a stack of slices only the slice itself counts.
    """
    if not truth.any():
        return [math.nan] * len(spec.classes)
    channels = image.cpu().numpy()
    if spec.slice_stride:
        middle = len(channels) // 2
        channels = channels[middle : middle + 1]
    there: Mask = np.asarray(truth.any(axis=0))
    others, seen = (grid.to_network(mask).numpy() > 0.5 for mask in (there, np.ones_like(there)))
    one_class = len(spec.classes) == 1
    masks = (
        (others if one_class else grid.to_network(mask[0]).numpy() > 0.5)
        for mask in one_by_one(truth, len(spec.classes))
    )
    return [contrast(channels, mask, others=others, seen=seen) for mask in masks]


def case_view(case: Mapping[str, Any], pred: Label, grid: Grid, spec: DatasetSpec, title: str) -> CaseView:
    """A case with its predicted label, to draw; of a volume the axial slice that holds most of the prediction and the truth."""
    image = read_shown(case, spec).image
    truth, _ = split_ignored(read_truth(case, grid, spec))
    if isinstance(grid, VolumeGrid):
        return _axial_view(image, pred, truth, grid, spec, title)
    count = len(spec.classes)
    return CaseView(image, class_masks(pred, count), class_masks(truth, count), title)


def _axial_view(
    image: NDArray[Any], pred: Label, truth: Label, grid: VolumeGrid, spec: DatasetSpec, title: str
) -> CaseView:
    image, pred, truth = (grid.turn.apply(array) for array in (image, pred, truth))
    fullest = int(((pred > 0).sum(axis=(0, 1, 2)) + (truth > 0).sum(axis=(0, 1, 2))).argmax())
    cut = (..., slice(fullest, fullest + 1))
    count = len(spec.classes)
    masks = [class_masks(np.ascontiguousarray(label[cut]), count) for label in (pred, truth)]
    affine = VolumeGrid.whole(grid.geometry).network_affine()
    return CaseView(_windowed(image[cut], spec), masks[0], masks[1], title, affine=affine, colour=False)


def _windowed(image: NDArray[Any], spec: DatasetSpec) -> NDArray[Any]:
    """The first channel, clipped to the window that the network sees if there is one."""
    if spec.intensity.kind == "window":
        image = np.clip(image[:1], *spec.intensity.bounds)
    first: NDArray[Any] = image[:1]
    return first


def one_by_one(label: Label, count: int) -> Iterator[Mask]:
    """One class at a time, bool (1, *S)."""
    if len(label) == 1:
        return (label == number for number in range(1, count + 1))
    return (plane[None] > 0 for plane in label)


class PackedLabel(NamedTuple):
    """A label, compressed: some kilobytes, however large the image."""

    shape: tuple[int, ...]
    content: bytes

    @classmethod
    def of(cls, label: NDArray[Any]) -> PackedLabel:
        """Compress uint8 or bool."""
        return cls(label.shape, zlib.compress(label.astype(np.uint8, copy=False).tobytes(), level=1))

    def label(self) -> Label:
        """The original, uint8."""
        return np.frombuffer(zlib.decompress(self.content), np.uint8).reshape(self.shape)
