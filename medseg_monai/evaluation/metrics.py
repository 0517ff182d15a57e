"""Scores of one case: overlap, outlines, lesions and size per class, on the image's own grid.

The rule for empty masks is defined only here. A structure that truth and prediction both lack is
correct (outcome ``absent``): Dice = Jaccard = 1, distances 0. One that only the prediction lacks (``missed``)
or only the truth lacks (``spurious``) is completely wrong: Dice = Jaccard = 0, distances = the image's
diagonal. No score is NaN and none is left out, so missing more never looks better. (A score is NaN only if it was not
measured at all, for any case: calibration without probabilities, whatever is younger than the evaluation.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.evaluation.boundary import boundary_iou
from medseg_monai.evaluation.lesions import count_lesions
from medseg_monai.evaluation.options import MeasureOptions, diagonal
from medseg_monai.evaluation.surfaces import Mask, check_spacing, surface_distances

Outcome = Literal["ok", "missed", "spurious", "absent"]
Border = Literal["touches", "inside"]

OUTCOMES: tuple[Outcome, ...] = ("ok", "missed", "spurious", "absent")
OVERLAP_METRICS = ("dice", "jaccard", "thresholded_jaccard", "sensitivity", "specificity")
OUTLINE_METRICS = ("boundary_iou", "surface_dice")
DISTANCE_METRICS = ("hd95", "mean_surface_distance")
LESION_METRICS = ("lesion_precision", "lesion_recall", "lesion_f1")
SIZE_METRICS = ("size_difference", "relative_size_difference", "relative_size_error")
CALIBRATION_METRICS = ("ece", "brier")
METRICS = OVERLAP_METRICS + OUTLINE_METRICS + DISTANCE_METRICS + LESION_METRICS + SIZE_METRICS + CALIBRATION_METRICS
LOWER_IS_BETTER = (*DISTANCE_METRICS, "relative_size_error", *CALIBRATION_METRICS)
SIGNED_METRICS = ("size_difference", "relative_size_difference")
"""Best at 0; a mean says whether masks are too small or too large, not how far off they are."""
MAY_BE_UNMEASURED = CALIBRATION_METRICS
"""They need probabilities, which not every evaluation keeps."""
# ISIC 2018 task 1: a mask below it counts as a failure (Codella et al. 2019, arXiv:1902.03368).
JACCARD_THRESHOLD = 0.65
DEFAULTS = MeasureOptions()


@dataclass(frozen=True)
class CaseScores:
    """Scores of one class in one case. Distances are in the unit of the spacing, or in pixels without one.

    Attributes:
        case: the case's id.
        class_name: the class.
        dice: 2 |P ∩ T| / (|P| + |T|), 0 to 1.
        jaccard: |P ∩ T| / |P ∪ T|, 0 to 1.
        hd95: the larger of the two directed 95th percentiles of surface distance.
        mean_surface_distance: mean distance to the other surface, over the points of both.
        sensitivity: share of the truth that was found; 1 if there is nothing to find.
        specificity: share of the background that was not marked; 1 if there is no background.
        truth_pixels: |T|, pixels or voxels.
        predicted_pixels: |P|, pixels or voxels.
        outcome: ``ok`` (both have the class), ``missed``, ``spurious`` or ``absent`` (neither has it).
        boundary_iou: IoU of the two inner bands along the outlines.
        surface_dice: share of both outlines that is near the other, within the tolerance (normalised surface distance).
        lesion_precision: share of the predicted connected parts that match a true one.
        lesion_recall: share of the true connected parts that were found.
        lesion_f1: harmonic mean of both.
        true_lesions: connected parts of the truth.
        predicted_lesions: connected parts of the prediction.
        matched_lesions: pairs of them.
        size_difference: |P| - |T| in pixels, for volumes in ml.
        relative_size_difference: (|P| - |T|) / |T|; 1 for a spurious structure, -1 for a missed one, 0 if both lack it.
        truth_size: of the truth in % of the image, for volumes in ml.
        border: whether the truth ``touches`` the image's border or is ``inside``; empty without truth.
        contrast: of the true region to its surroundings, in standard deviations; NaN without truth, or if it was not measured.
        ece: expected calibration error of the case's probabilities, as users get them.
        brier: their mean squared error.
    """

    case: str
    class_name: str
    dice: float
    jaccard: float
    hd95: float
    mean_surface_distance: float
    sensitivity: float
    specificity: float
    truth_pixels: int
    predicted_pixels: int
    outcome: Outcome
    boundary_iou: float = math.nan
    surface_dice: float = math.nan
    lesion_precision: float = math.nan
    lesion_recall: float = math.nan
    lesion_f1: float = math.nan
    true_lesions: int = 0
    predicted_lesions: int = 0
    matched_lesions: int = 0
    size_difference: float = math.nan
    relative_size_difference: float = math.nan
    truth_size: float = math.nan
    border: str = ""
    contrast: float = math.nan
    ece: float = math.nan
    brier: float = math.nan

    @property
    def relative_size_error(self) -> float:
        """The relative size difference without its sign."""
        return abs(self.relative_size_difference)

    @property
    def thresholded_jaccard(self) -> float:
        """Jaccard, or 0 if it is below 0.65: the score of the ISIC 2018 challenge."""
        return self.jaccard if self.jaccard >= JACCARD_THRESHOLD else 0.0


def score_case(
    pred: ArrayLike,
    truth: ArrayLike,
    *,
    case: str,
    classes: Sequence[str],
    spacing: Sequence[float] | None = None,
    ignored: Mask | None = None,
    options: MeasureOptions = DEFAULTS,
) -> list[CaseScores]:
    """Score every class of a case.

    Args:
        pred: predicted masks, bool, (K, W, H) or (K, I, J, L): one channel per class, none for background.
        truth: true masks, the same shape.
        case: the case's id.
        classes: names of the K classes.
        spacing: distance between pixel centres along each spatial axis; None for 1: distances in pixels.
        ignored: pixels to ignore, bool (1 or K, ...): they are removed from both masks and from the background.
            Distances are measured between the remaining outlines.
        options: tolerances, and when lesions match.

    Returns:
        One entry per class, in the order of ``classes``.

    Raises:
        TypeError: masks are not bool.
        ValueError: shapes, classes or spacing are inconsistent.

    >>> square = np.zeros((1, 8, 8), bool); square[0, 2:6, 2:6] = True
    >>> score, = score_case(square, np.roll(square, 1, axis=1), case="a", classes=["lesion"])
    >>> score.dice, score.jaccard, score.hd95
    (0.75, 0.6, 1.0)
    """
    pred_masks, true_masks = np.asarray(pred), np.asarray(truth)
    _check_masks(pred_masks, true_masks, case, classes)
    steps = check_spacing(spacing, pred_masks.ndim - 1)
    left_out = [0] * len(classes)
    if ignored is not None:
        pred_masks, true_masks = pred_masks & ~ignored, true_masks & ~ignored
        left_out = [int(np.count_nonzero(plane)) for plane in np.broadcast_to(ignored, true_masks.shape)]
    return [
        _score_class(pred_mask, true_mask, case=case, class_name=name, spacing=steps, ignored=count, options=options)
        for pred_mask, true_mask, name, count in zip(pred_masks, true_masks, classes, left_out, strict=True)
    ]


def split_ignored(label: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Mask | None]:
    """A label without its ignored pixels, and a bool mask of these, None if there are none.

    >>> label, ignored = split_ignored(np.array([[[0, 1, 255]]], np.uint8))
    >>> label.tolist(), ignored.tolist()
    ([[[0, 1, 0]]], [[[False, False, True]]])
    """
    ignored: Mask = label == IGNORED
    return (np.where(ignored, np.uint8(0), label), ignored) if ignored.any() else (label, None)


def class_masks(label: ArrayLike, n_classes: int) -> Mask:
    """One bool channel per foreground class, for :func:`score_case`.

    Args:
        label: integers; (1, ...) with 0 for background and 1 to K for the classes, or (K, ...) with one 0/1
            channel per class.
        n_classes: K.

    Raises:
        ValueError: the number of channels is wrong, or a value is not a class (call `split_ignored` first if pixels may be ignored).

    >>> class_masks([[[0, 1, 2]]], 2).astype(int).tolist()
    [[[0, 1, 0]], [[0, 0, 1]]]
    """
    values: NDArray[Any] = np.asarray(label)
    if values.ndim < 2 or values.shape[0] not in (1, n_classes):
        raise ValueError(
            f"a label of {n_classes} classes must have 1 or {n_classes} channels, not shape {values.shape}"
        )
    is_index_map = values.shape[0] == 1
    highest = n_classes if is_index_map else 1
    if values.dtype != np.bool_ and values.size and (values.min() < 0 or values.max() > highest):
        raise ValueError(f"label values must be 0 to {highest}, not {values.min()} to {values.max()}")
    if not is_index_map or n_classes == 1:
        return values.astype(np.bool_, copy=False)
    return np.stack([values[0] == index for index in range(1, n_classes + 1)])


def _score_class(
    pred: Mask,
    truth: Mask,
    *,
    case: str,
    class_name: str,
    spacing: tuple[float, ...],
    ignored: int,
    options: MeasureOptions,
) -> CaseScores:
    """Every overlap score from three counts, every distance from one pair of surfaces."""
    overlap = int(np.count_nonzero(pred & truth))
    predicted, true = int(np.count_nonzero(pred)), int(np.count_nonzero(truth))
    union, background = predicted + true - overlap, truth.size - true - ignored
    outcome = outcome_of(predicted, true)
    outlines = _outlines(pred, truth, outcome, spacing, options)
    lesions = count_lesions(pred, truth, iou=options.lesion_iou)
    pixel = math.prod(spacing) / (1000 if truth.ndim == 3 else 1)  # mm³ to ml
    return CaseScores(
        case=case,
        class_name=class_name,
        dice=2 * overlap / (predicted + true) if union else 1.0,
        jaccard=overlap / union if union else 1.0,
        hd95=outlines.hd95,
        mean_surface_distance=outlines.mean_distance,
        sensitivity=overlap / true if true else 1.0,
        specificity=(background - (predicted - overlap)) / background if background else 1.0,
        truth_pixels=true,
        predicted_pixels=predicted,
        outcome=outcome,
        boundary_iou=outlines.boundary_iou,
        surface_dice=outlines.surface_dice,
        lesion_precision=lesions.precision,
        lesion_recall=lesions.recall,
        lesion_f1=lesions.f1,
        true_lesions=lesions.true,
        predicted_lesions=lesions.predicted,
        matched_lesions=lesions.matched,
        size_difference=(predicted - true) * pixel,
        relative_size_difference=(predicted - true) / true if true else float(predicted > 0),
        truth_size=true * pixel if truth.ndim == 3 else 100 * true / truth.size,
        border=border_of(truth) if true else "",
    )


def border_of(mask: Mask) -> Border:
    """Whether a mask touches the border of its image."""
    ends = (mask.take(end, axis=axis) for axis in range(mask.ndim) for end in (0, -1))
    return "touches" if any(end.any() for end in ends) else "inside"


def outcome_of(predicted: int, true: int) -> Outcome:
    """The outcome for a structure, from its numbers of pixels."""
    if predicted and true:
        return "ok"
    return "spurious" if predicted else "missed" if true else "absent"


class _Outlines(NamedTuple):
    """Scores of two outlines."""

    hd95: float
    mean_distance: float
    boundary_iou: float
    surface_dice: float


def _outlines(
    pred: Mask, truth: Mask, outcome: Outcome, spacing: tuple[float, ...], options: MeasureOptions
) -> _Outlines:
    """Distances and what follows from them, by the rule for empty masks."""
    if outcome == "absent":
        return _Outlines(0.0, 0.0, 1.0, 1.0)
    if outcome != "ok":
        far = diagonal(truth.shape, spacing)
        return _Outlines(far, far, 0.0, 0.0)
    distances = surface_distances(pred, truth, spacing)
    width = options.boundary_width_of(truth.shape, spacing)
    near = distances.within(options.tolerance_of(truth.shape, spacing))
    return _Outlines(distances.hd95, distances.mean, boundary_iou(pred, truth, width=width, spacing=spacing), near)


def _check_masks(pred: NDArray[Any], truth: NDArray[Any], case: str, classes: Sequence[str]) -> None:
    """Refuse masks that are not bool or do not fit each other or the classes."""
    for name, masks in (("pred", pred), ("truth", truth)):
        if masks.dtype != np.bool_:
            advice = "threshold it, or use class_masks()"
            raise TypeError(f"case {case!r}: {name} has dtype {masks.dtype}, expected bool: {advice}")
    if pred.shape != truth.shape:
        shapes = f"pred has shape {pred.shape}, truth {truth.shape}"
        raise ValueError(f"case {case!r}: {shapes}: restore pred to the image's own size first")
    n_classes = len(classes)
    if pred.ndim not in (3, 4) or len(pred) != n_classes or not pred.size:
        wanted = f"({n_classes}, W, H) or ({n_classes}, I, J, L)"
        raise ValueError(f"case {case!r}: masks of {n_classes} classes must have shape {wanted}, not {pred.shape}")
