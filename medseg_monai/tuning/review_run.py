"""From a bundle and a data set to what tells which cases a person should look at, stored beside the weights.

Validation cases tell the threshold of `medseg_monai.tuning.review`, training cases what `medseg_monai.quality.familiarity` takes for usual.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medseg_monai.bundle.paths import find_weights, weights_to_change
from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset import Dataset
from medseg_monai.dataset.cases import main_file
from medseg_monai.evaluation.metrics import class_masks, split_ignored
from medseg_monai.grids.truth import read_truth
from medseg_monai.images.photos import Array
from medseg_monai.inference.scans import UNUSABLE
from medseg_monai.predictor import Prediction, Predictor
from medseg_monai.quality.familiarity import Description, Familiarity, learn_familiarity
from medseg_monai.training.dataset import split_cases
from medseg_monai.tuning.review import Review, choose_review

logger = logging.getLogger(__name__)

Progress = Callable[[Sequence[Mapping[str, Any]]], Iterable[Mapping[str, Any]]]
MOST_TRAINING = 400
"""So many training cases say what is usual; more of them change little and take long."""


class Learnt(NamedTuple):
    """What was learnt.

    Attributes:
        review: from when on an uncertainty is flagged.
        familiarity: what is usual in pictures; None if that could not be learnt.
        why_not: the reason for that, "" otherwise.
    """

    review: Review
    familiarity: Familiarity | None
    why_not: str


def review_bundle(
    bundle_root: Path,
    dataset: Dataset,
    *,
    weights: str | Path | None = None,
    split: str = "validation",
    failure_dice: float = 0.7,
    catch: float = 0.9,
    unfamiliar: float = 0.01,
    progress: Progress | None = None,
    assignments: Mapping[str, Any] | None = None,
    **options: Any,
) -> Learnt:
    """Predict a split and training cases, choose the thresholds, and write them into ``spec.json`` beside the weights.

    Args:
        bundle_root: the bundle's folder.
        dataset: with labelled cases.
        weights: as `medseg_monai.bundle.paths.find_weights` takes them, by default those trained on this data set if there are any.
        split: whose cases to learn from; never the test split, whose scores would then test nothing.
        failure_dice, catch: see `medseg_monai.tuning.review.choose_review`.
        unfamiliar: share of the split that may be flagged as unlike training's, see `learn_familiarity`.
        progress: shows how far it is.
        assignments, options: as `Predictor` takes them; predict with the same ones later.

    Raises:
        ValueError: no cases, or the weights know other classes.
    """
    if "weights" in (assignments or {}):
        raise ValueError("name the weights with --weights: what is learnt is written beside them")
    file = weights_to_change(bundle_root, find_weights(bundle_root, weights, dataset=dataset.spec.name))
    predict = Predictor(bundle_root, weights=file, assignments=assignments, **options)
    if predict.spec.classes != dataset.spec.classes:
        raise ValueError(
            f"the weights know {predict.spec.classes}, data set {dataset.spec.name} has {dataset.spec.classes}"
        )
    cases = split_cases(dataset, split)
    numbers, dices, seen = [], [], []
    for case in progress(cases) if progress else cases:
        prediction = predict(main_file(case["image"]))
        numbers.append(prediction.uncertainty)
        assert prediction.grid is not None  # a Predictor's has one
        truth, ignored = split_ignored(read_truth(case, prediction.grid, predict.spec))
        planes = prediction.grid.as_shown(class_masks(truth, len(predict.spec.classes)))
        dices.append(lowest_dice(prediction, planes, None if ignored is None else prediction.grid.as_shown(ignored)))
        seen.append(prediction.description)
    review = choose_review(numbers, dices, failure_dice=failure_dice, catch=catch)
    familiarity, why_not = _familiarity(predict, dataset.cases("training"), seen, unfamiliar, progress)
    replace(Trained.read(file.parent), review=review, familiarity=familiarity).write(file.parent)
    return Learnt(review, familiarity, why_not)


def _familiarity(
    predict: Predictor,
    training: Sequence[Mapping[str, Any]],
    validation: Sequence[Description],
    share: float,
    progress: Progress | None,
) -> tuple[Familiarity | None, str]:
    """What is usual, and why that is not known."""
    if not any(validation):
        return None, "of volumes it is not learnt what is usual"
    cases = _evenly(sorted(training, key=lambda case: str(case["id"])), MOST_TRAINING)
    usual: list[Description] = []
    for case in progress(cases) if progress else cases:
        try:
            usual.append(predict(main_file(case["image"])).description)
        except UNUSABLE as error:
            logger.warning("left out: %s: %s", case["id"], error)
    try:
        return learn_familiarity(usual, validation, share=share), ""
    except ValueError as error:
        return None, str(error)


def _evenly(cases: Sequence[Mapping[str, Any]], most: int) -> Sequence[Mapping[str, Any]]:
    """At most so many of them, evenly spaced."""
    if len(cases) <= most:
        return cases
    return [cases[round(place)] for place in np.linspace(0, len(cases) - 1, most)]


def lowest_dice(prediction: Prediction, truth: Array, ignored: Array | None = None) -> float:
    """Dice of the class where it is lowest; a class that neither has counts 1.

    Args:
        prediction: of a case.
        truth: bool (classes, *S), in the mask's own axis order.
        ignored: bool (1 or classes, *S), likewise: what counts for nothing.
    """
    mask = prediction.mask if len(prediction.mask.shape) == truth.ndim else prediction.mask[None]
    found = class_masks(mask, len(truth))
    if ignored is not None:
        found, truth = found & ~ignored, truth & ~ignored
    overlap, sizes = [], []
    for ours, theirs in zip(found, truth, strict=True):
        overlap.append(int(np.count_nonzero(ours & theirs)))
        sizes.append(int(np.count_nonzero(ours)) + int(np.count_nonzero(theirs)))
    return min(2 * both / size if size else 1.0 for both, size in zip(overlap, sizes, strict=True))
