"""From a bundle and a data set to what tells how far a mask is to be trusted, stored beside the weights.

Validation cases tell the temperatures of probabilities, how the Dice of a mask is predicted, and the thresholds and margins that are
promised (`medseg_monai.quality`) or merely chosen (`medseg_monai.tuning.review`); training cases tell what
`medseg_monai.quality.familiarity` takes for usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from medseg_monai.dataset import Dataset
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.images.photos import Array
from medseg_monai.inference.cases import Failure
from medseg_monai.predictor import Prediction, Predictor
from medseg_monai.quality.calibration import Calibration, CalibrationCases
from medseg_monai.quality.conformal import MarginCases, make_promise, one_per_group
from medseg_monai.quality.dice_estimate import learn_estimate
from medseg_monai.quality.familiarity import DESCRIPTORS, Familiarity, learn_familiarity
from medseg_monai.quality.gaussian import Description
from medseg_monai.quality.learnt import Quality
from medseg_monai.quality.mask_numbers import MaskNumbers
from medseg_monai.quality.usual import UsualAnswers, answer_numbers
from medseg_monai.tuning.cases import network_channels
from medseg_monai.tuning.predicted import Cases, Learner, Progress
from medseg_monai.tuning.review import Review, choose_review

MOST_TRAINING = 400
"""Number of training cases to learn what is usual from; more change little and take long."""


MOST_FOR_TEMPERATURE = 100
"""So many validation cases say the temperatures, of which there are few; they go through the network once more for that."""


@dataclass(frozen=True)
class SeenCases:
    """The cases that rules were learnt from, a number each.

    Attributes:
        predicted: the lowest predicted Dice of the classes, by a fit that has not seen the case.
        dices: the lowest Dice that they had.
        uncertainties: of the masks.
    """

    predicted: tuple[float, ...]
    dices: tuple[float, ...]
    uncertainties: tuple[float, ...]


LEAST_CASES = 5
"""Fewer validation cases say nothing of temperatures: a single wrong label would make the network look much too sure."""


class Learnt(NamedTuple):
    """The learnt rules.

    Attributes:
        review: the threshold of uncertainty.
        familiarity: what is usual in pictures; None if it could not be learnt.
        why_not: the reason for that, "" otherwise.
        quality: calibration, predicted Dice, promise and margins.
        weights_file: the weights whose spec.json says so now.
        seen: the cases that it was learnt from.
        failures: the cases, of any split, that could not be used; all others were.
    """

    review: Review
    familiarity: Familiarity | None
    why_not: str
    quality: Quality
    weights_file: Path
    seen: SeenCases
    failures: tuple[Failure, ...] = ()


@dataclass
class _Seen:
    """What is kept of validation's cases, a list entry each."""

    groups: list[str] = field(default_factory=list)
    uncertainties: list[float] = field(default_factory=list)
    numbers: list[Sequence[MaskNumbers]] = field(default_factory=list)
    dices: list[Sequence[float]] = field(default_factory=list)
    descriptions: list[Description] = field(default_factory=list)
    sizes: list[Mapping[str, float]] = field(default_factory=list)


def review_bundle(
    bundle_root: Path,
    dataset: Dataset,
    *,
    weights: str | Path | None = None,
    split: str = "validation",
    failure_dice: float = 0.7,
    catch: float = 0.9,
    risk: float = 0.02,
    confidence: float | None = None,
    cover: float = 0.95,
    rate: float = 0.9,
    unfamiliar: float = 0.01,
    progress: Progress | None = None,
    assignments: Mapping[str, Any] | None = None,
    **options: Any,
) -> Learnt:
    """Predict a split and training cases, learn, and write what was learnt into ``spec.json`` beside the weights.

    Args:
        bundle_root: the bundle's folder.
        dataset: with labelled cases.
        weights: as for `medseg_monai.bundle.paths.find_weights`, by default those trained on this data set if there are any.
        split: the split to learn from; never the test split, whose scores would then be meaningless.
        failure_dice, catch: see `medseg_monai.tuning.review.choose_review`.
        risk, confidence: see `medseg_monai.quality.conformal.Promise`.
        cover, rate: see `medseg_monai.quality.conformal.Margins`.
        unfamiliar: share of the split that may be flagged as unlike training's, see `learn_familiarity`.
        progress: shows how far it is.
        assignments, options: as `Predictor` takes them; predict with the same ones later.

    Raises:
        ValueError: there are no cases, or the weights know other classes.
    """
    learner = Learner.of(bundle_root, dataset, weights, assignments=assignments, options=options, progress=progress)
    cases = learner.cases(dataset, split)
    calibration = _calibration(learner, _evenly(cases, MOST_FOR_TEMPERATURE))
    # what follows is learnt of calibrated probabilities, as predictions will have them
    folder = learner.weights_file.parent
    replace(learner.trained, quality=Quality(calibration)).write(folder)
    network = learner.predictor(calibration="probabilities")
    margins = MarginCases(len(dataset.spec.classes), cover=cover)
    seen = _look(learner, network, cases, margins)
    review = choose_review(seen.uncertainties, [min(row) for row in seen.dices], failure_dice=failure_dice, catch=catch)
    estimate, held_out = learn_estimate(dataset.spec.classes, seen.numbers, seen.dices, seen.groups)
    chosen = one_per_group(seen.groups)
    promise = make_promise(
        [float(held_out[place].min()) for place in chosen],
        [min(seen.dices[place]) for place in chosen],
        dice=failure_dice,
        risk=risk,
        confidence=confidence,
    )
    answers = [
        answer_numbers(uncertainty, dict(zip(dataset.spec.classes, row, strict=True)), sizes)
        for uncertainty, row, sizes in zip(seen.uncertainties, held_out.tolist(), seen.sizes, strict=True)
    ]
    quality = Quality(calibration, estimate, promise, margins.learn(chosen, rate=rate), UsualAnswers.of(answers))
    training = dataset.cases("training")
    familiarity, why_not = _familiarity(learner, network, training, seen.descriptions, share=unfamiliar)
    replace(learner.trained, review=review, familiarity=familiarity, quality=quality).write(folder)
    lowest = [tuple(float(min(row)) for row in rows) for rows in (held_out, seen.dices)]
    cases_seen = SeenCases(lowest[0], lowest[1], tuple(seen.uncertainties))
    return Learnt(review, familiarity, why_not, quality, learner.weights_file, cases_seen, tuple(learner.failures))


def _calibration(learner: Learner, cases: Cases) -> Calibration:
    """The temperatures, from probabilities as the network gives them."""
    network = learner.predictor(calibration="off")
    kept = CalibrationCases(network.spec)
    for _, prediction, truth, ignored in learner.predicted(network, cases):
        kept.add(network_channels(prediction.probabilities, network.spec), truth, ignored)
    return kept.learn(least=LEAST_CASES)


def _look(learner: Learner, network: Predictor, cases: Cases, margins: MarginCases) -> _Seen:
    seen = _Seen()
    for case, prediction, truth, ignored in learner.predicted(network, cases):
        margins.add(prediction.probabilities, truth, ignored)
        seen.groups.append(str(case["group"]))
        seen.uncertainties.append(prediction.uncertainty)
        seen.numbers.append(prediction.mask_numbers)
        seen.dices.append(class_dices(prediction, truth, ignored))
        seen.descriptions.append(prediction.description)
        seen.sizes.append(prediction.sizes())
    return seen


def _familiarity(
    learner: Learner, network: Predictor, training: Cases, validation: Sequence[Description], *, share: float
) -> tuple[Familiarity | None, str]:
    """What is usual; or None, and the reason."""
    cases = _evenly(sorted(training, key=lambda case: str(case["id"])), MOST_TRAINING)
    try:
        groups = [str(case["group"]) for case in cases]
        seen, version = list(learner.descriptions(network, cases)), DESCRIPTORS[network.spec.spatial_dims]
        return learn_familiarity(seen, validation, share=share, groups=groups, version=version), ""
    except ValueError as error:
        return None, str(error)


def _evenly(cases: Cases, most: int) -> Cases:
    """At most this many of them, evenly spaced."""
    if len(cases) <= most:
        return cases
    return [cases[round(place)] for place in np.linspace(0, len(cases) - 1, most)]


def class_dices(prediction: Prediction, truth: Array, ignored: Array | None = None) -> tuple[float, ...]:
    """Dice of each class; a class that neither has counts 1.

    Args:
        prediction: of a case.
        truth: bool (classes, *S), in the mask's own axis order.
        ignored: bool (1 or classes, *S), likewise: pixels to ignore.
    """
    mask = prediction.mask if len(prediction.mask.shape) == truth.ndim else prediction.mask[None]
    found = class_masks(mask, len(truth))
    if ignored is not None:
        found, truth = found & ~ignored, truth & ~ignored
    dices = []
    for ours, theirs in zip(found, truth, strict=True):
        size = int(np.count_nonzero(ours)) + int(np.count_nonzero(theirs))
        dices.append(2 * int(np.count_nonzero(ours & theirs)) / size if size else 1.0)
    return tuple(dices)
