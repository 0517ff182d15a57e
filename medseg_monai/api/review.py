"""`medseg_monai.review`: how far masks can be trusted, learnt on validation cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medseg_monai.api.arguments import (
    Assignments,
    FilePath,
    bundle_and_data,
    given,
    text,
)
from medseg_monai.api.results import failure_lines, save_as

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg_monai.api.datasets import ImageDataset
    from medseg_monai.inference.cases import Failure
    from medseg_monai.tuning.learning import Learnt


@dataclass(frozen=True)
class ReviewedWeights:
    """What was learnt about trained weights; `medseg_monai.predict` uses it from now on.

    Attributes:
        weights: model.pt, whose spec.json holds what was learnt.
        learnt: calibration, predicted Dice, promise, margins, and what is usual.
        split: that it was learnt from.
        failures: cases, of training's too, that could not be used; all others were.
        notes: what else was warned of.
    """

    weights: Path
    learnt: Learnt = field(repr=False)
    split: str = "validation"
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = field(default=(), repr=False)

    @property
    def promised(self) -> bool:
        """Whether a promise decides which cases are flagged; else the threshold of uncertainty does."""
        promise = self.learnt.quality.promise
        return promise is not None and promise.threshold is not None

    @property
    def lines(self) -> list[str]:
        """What was learnt, in words."""
        quality, learnt = self.learnt.quality, self.learnt
        unused = " (not used: the promise is)" if self.promised else ""
        usual = f"flagged {learnt.familiarity}" if learnt.familiarity else ""
        return [
            *map(str, (quality.calibration, quality.dice, quality.promise, quality.margins)),
            f"flagged {learnt.review}{unused}",
            usual or f"unfamiliar images are not flagged: {learnt.why_not}",
        ]

    @property
    def doubts(self) -> list[str]:
        """What a person should know before relying on it."""
        from medseg_monai.tuning.learning import LEAST_CASES

        nothing_failed = "no case failed there: the threshold is the highest uncertainty seen"
        cases = self.learnt.review.cases
        counted = f"{cases} {self.split} {'case is' if cases == 1 else 'cases are'}"
        few = f"{counted} too few to calibrate probabilities, or to rely on what was learnt"
        return ([few] if cases < LEAST_CASES else []) + ([] if self.learnt.review.failures else [nothing_failed])

    def plot(self) -> Figure:
        """A matplotlib figure: each case at its predicted and its true Dice, those in colour that would be flagged."""
        from medseg_monai.figures.findings import predicted_against_true

        seen, promise, review = self.learnt.seen, self.learnt.quality.promise, self.learnt.review
        flagged = [
            promise.flags(predicted) if self.promised and promise is not None else review.flags(uncertainty)
            for predicted, uncertainty in zip(seen.predicted, seen.uncertainties, strict=True)
        ]
        return predicted_against_true(seen.predicted, seen.dices, failure=review.failure_dice, flagged=flagged)

    def save(self, path: FilePath) -> Path:
        """Save the plot (``.png``, ``.pdf`` …), or spec.json, which holds what was learnt (``.json``).

        Raises:
            ValueError: the suffix is none of these.
        """
        return save_as(path, {".json": self.weights.with_name("spec.json")}, self.plot)

    def _repr_html_(self) -> str:
        """What was learnt, for a notebook."""
        from medseg_monai.report.notebook import Shown, card, figure_uri

        names = ("probabilities", "predicted Dice", "promise", "margins", "uncertainty", "unfamiliar images")
        return card(
            f"Learnt from {self.learnt.review.cases} {self.split} cases",
            subtitle="used from now on",
            alarms=[*failure_lines(self.failures), *self.doubts],
            pictures=[Shown(figure_uri(self.plot()), wide=True)],
            facts={**dict(zip(names, self.lines, strict=True)), "weights": str(self.weights)},
            notes=self.notes,
        )


def review(
    bundle: FilePath,
    dataset_dir: FilePath | ImageDataset | None = None,
    *,
    weights: FilePath | None = None,
    split: str = "validation",
    failure_dice: float = 0.7,
    catch: float = 0.9,
    risk: float = 0.02,
    confidence: float | None = None,
    cover: float = 0.95,
    rate: float = 0.9,
    unfamiliar: float = 0.01,
    device: str | None = None,
    verbose: bool = False,
    assignments: Assignments = None,
) -> ReviewedWeights:
    """Learn from validation how far masks can be trusted: calibration, predicted Dice, which to review.

    Args:
        bundle: its name or folder.
        dataset_dir: the data set, or its folder; default: generated demo data, if the weights were trained on it.
        weights: file, folder, or the data set's name.
        split: to learn from; never test.
        failure_dice: a case below this Dice is a failure.
        catch: share of the failures that must be flagged.
        risk: share of failures that is allowed among the masks that are not flagged.
        confidence: keep the risk with this confidence; default: on average, which takes fewer cases.
        cover: share of the lesion that an outer mask must hold, and of an inner one that is right.
        rate: share of the cases in which outer and inner masks must do so.
        unfamiliar: share of the cases that may be flagged as unlike the training images.
        device: ``cpu``, ``cuda`` …; default: a GPU if there is one.
        verbose: show log lines.
        assignments: any key of the config.

    Raises:
        FileNotFoundError, ValueError: a bundle, weights, data set or setting that cannot be used.
    """
    folder, data, overrides = bundle_and_data(bundle, dataset_dir, weights, assignments)
    from medseg_monai.api.noting import notes_of, noting
    from medseg_monai.bundle.paths import demo_kind
    from medseg_monai.inference.recipe import progress
    from medseg_monai.training.dataset import open_dataset
    from medseg_monai.tuning.learning import review_bundle

    with noting(verbose) as messages:
        found = review_bundle(
            folder,
            open_dataset(data, demo=demo_kind(folder)),
            weights=text(weights),
            split=split,
            failure_dice=failure_dice,
            catch=catch,
            risk=risk,
            confidence=confidence,
            cover=cover,
            rate=rate,
            unfamiliar=unfamiliar,
            progress=progress("predicting"),
            assignments=overrides,
            **given(device=device),
        )
    return ReviewedWeights(found.weights_file, found, split, found.failures, notes_of(messages))
