"""The pass over labelled cases that `medseg tune` and `medseg review` learn from: what the network finds in each, beside its truth."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from medseg_monai.bundle.paths import find_weights, weights_to_change
from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset import Dataset
from medseg_monai.dataset.cases import main_file
from medseg_monai.evaluation.metrics import class_masks, split_ignored
from medseg_monai.evaluation.run import labelled
from medseg_monai.grids.truth import read_truth
from medseg_monai.images.photos import Array
from medseg_monai.inference.cases import UNUSABLE, Failure
from medseg_monai.predictor import Prediction, Predictor
from medseg_monai.program.console import LEFT_OUT
from medseg_monai.quality.gaussian import Description

logger = logging.getLogger(__name__)

Cases = Sequence[Mapping[str, Any]]
Progress = Callable[[Cases], Iterable[Mapping[str, Any]]]
Found = TypeVar("Found")


class Predicted(NamedTuple):
    """A case with what was found in it.

    Attributes:
        case: with ``id``, ``group`` and paths.
        prediction: on the image's own grid.
        truth: bool (classes, *S), in the prediction's axis order.
        ignored: bool (1 or classes, *S), likewise: pixels that do not count; None if all do.
    """

    case: Mapping[str, Any]
    prediction: Prediction
    truth: Array
    ignored: Array | None


@dataclass(frozen=True)
class Learner:
    """Weights to learn more about, for their ``spec.json``, and the network with them.

    Args:
        bundle_root: the bundle's folder.
        weights_file: the weights, which may be changed.
        assignments, options: as `Predictor` takes them; predict with the same ones later.
        progress: shows how far a pass is.

    Attributes:
        failures: the images that could not be used, in any pass, each once.
    """

    bundle_root: Path
    weights_file: Path
    assignments: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress = iter
    failures: list[Failure] = field(default_factory=list, init=False)

    @classmethod
    def of(
        cls,
        bundle_root: Path,
        dataset: Dataset,
        weights: str | Path | None,
        *,
        assignments: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> Learner:
        """For the weights that are named, by default those trained on this data set if there are any.

        Of weights that came with the installed program a copy of the user's own is changed.

        Raises:
            ValueError: the assignments name other weights.
        """
        if "weights" in (assignments or {}):
            raise ValueError("name the weights with --weights: what is learnt is written beside them")
        file = weights_to_change(bundle_root, find_weights(bundle_root, weights, dataset=dataset.spec.name))
        learner = cls(bundle_root, file, assignments, options or {}, progress or iter)
        if folds := learner.trained.training.get("folds"):
            logger.warning(
                "%s holds the networks of %s folds, which between them were trained on the training and validation cases: what is "
                "learnt from these is too sure of itself. Learn it for the weights of one fold, or from cases of another data set",
                file,
                folds,
            )
        return learner

    @property
    def trained(self) -> Trained:
        """What the spec.json beside the weights says now."""
        return Trained.read(self.weights_file.parent)

    def cases(self, dataset: Dataset, split: str) -> Cases:
        """The split's labelled cases; see `labelled` for what is refused."""
        return labelled(dataset, split, self.trained)

    def predictor(self, *, calibration: str) -> Predictor:
        """The network as spec.json describes it now, with the probabilities calibrated or not, as the config's key says."""
        options = {**self.options, "calibration": calibration}
        return Predictor(self.bundle_root, weights=self.weights_file, assignments=self.assignments, **options)

    def predictions(self, predict: Predictor, cases: Cases) -> Iterator[tuple[Mapping[str, Any], Prediction]]:
        """Each case with what is found in it; one that cannot be read is left out, with a warning."""
        return self._of_each(predict, cases)

    def descriptions(self, predict: Predictor, cases: Cases) -> Iterator[Description]:
        """What each case looks like, likewise."""
        return (description for _, description in self._of_each(predict.describe, cases))

    def _of_each(self, find: Callable[[Any], Found], cases: Cases) -> Iterator[tuple[Mapping[str, Any], Found]]:
        for case in self.progress(cases):
            try:
                found = find(main_file(case["image"]))
            except UNUSABLE as error:
                self._leave_out(case, error)
                continue
            yield case, found

    def _leave_out(self, case: Mapping[str, Any], error: Exception) -> None:
        """Note a case that could not be used; one that another pass has noted is not told again."""
        path = main_file(case["image"])
        if all(path != failure.path for failure in self.failures):
            reason = str(error) or type(error).__name__
            self.failures.append(Failure(path, reason))
            logger.warning("%s%s: %s", LEFT_OUT, case["id"], reason)

    def predicted(self, predict: Predictor, cases: Cases) -> Iterator[Predicted]:
        """Each case with what is found in it and its truth; one that cannot be used is left out, with a warning.

        Raises:
            ValueError: at the end, if all were left out.
        """
        used = 0
        for case, prediction in self.predictions(predict, cases):
            try:
                truth, ignored = split_ignored(read_truth(case, prediction.grid, predict.spec))
            except UNUSABLE as error:
                self._leave_out(case, error)
                continue
            used += 1
            planes = prediction.grid.kind.as_shown(class_masks(truth, len(predict.spec.classes)))
            yield Predicted(
                case, prediction, planes, None if ignored is None else prediction.grid.kind.as_shown(ignored)
            )
        if not used:
            first = "".join(f"; the first: {each.reason}" for each in self.failures[:1])
            raise ValueError(f"none of the {len(cases)} cases could be used{first}")
