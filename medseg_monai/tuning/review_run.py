"""From a bundle and validation cases to the threshold of `medseg_monai.tuning.review`, stored beside the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medseg_monai.bundle import find_weights, split_cases
from medseg_monai.bundle_files import weights_to_change
from medseg_monai.cases import label_spec, main_file
from medseg_monai.dataset import Dataset
from medseg_monai.evaluation.metrics import class_masks, split_ignored
from medseg_monai.images.grid import Geometry
from medseg_monai.images.masks import read_mask
from medseg_monai.images.photos import Array
from medseg_monai.predictor import Prediction, Predictor
from medseg_monai.spec import DatasetSpec
from medseg_monai.trained import Trained
from medseg_monai.tuning.review import Review, choose_review

Progress = Callable[[Sequence[Mapping[str, Any]]], Iterable[Mapping[str, Any]]]


def review_bundle(
    bundle_root: Path,
    dataset: Dataset,
    *,
    weights: str | Path | None = None,
    split: str = "validation",
    failure_dice: float = 0.7,
    catch: float = 0.9,
    progress: Progress | None = None,
    assignments: Mapping[str, Any] | None = None,
    **options: Any,
) -> Review:
    """Predict a split, choose the threshold, and write it into ``spec.json`` beside the weights.

    Args:
        bundle_root: the bundle's folder.
        dataset: with labelled cases.
        weights: as `medseg_monai.bundle.find_weights` takes them, by default those trained on this data set if there are any.
        split: whose cases to learn from; never the test split, whose scores would then test nothing.
        failure_dice, catch: see `medseg_monai.tuning.review.choose_review`.
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
    numbers, dices = [], []
    for case in progress(cases) if progress else cases:
        prediction = predict(main_file(case["image"]))
        numbers.append(prediction.uncertainty)
        truth, ignored = _truth(case, predict.spec, prediction.geometry)
        dices.append(lowest_dice(prediction, truth, ignored))
    review = choose_review(numbers, dices, failure_dice=failure_dice, catch=catch)
    replace(Trained.read(file.parent), review=review).write(file.parent)
    return review


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


def _truth(case: Mapping[str, Any], spec: DatasetSpec, geometry: Geometry | None = None) -> tuple[Array, Array | None]:
    """A case's label as (classes, H, W), or (classes, I, J, K), which must lie on the volume's grid; and what of it is ignored."""
    count, reading = len(spec.classes), label_spec(case, spec)
    if spec.spatial_dims == 3:
        from medseg_monai.images.volumes import read_label_volume

        label, ignored = split_ignored(read_label_volume(case["label"], reading, geometry))
        return class_masks(label, count), ignored
    label, ignored = split_ignored(read_mask(case["label"], reading, image=main_file(case["image"])))
    planes: Array = class_masks(label, count).swapaxes(1, 2)
    return planes, None if ignored is None else ignored.swapaxes(1, 2)
