"""`medseg tune`: probabilities of validation cases are computed once, cleaning is searched on them and written beside the weights."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from medseg_monai.dataset import Dataset
from medseg_monai.files.writing import write_whole
from medseg_monai.inference.cases import Failure
from medseg_monai.transforms.cleaning import PLAIN
from medseg_monai.tuning.cases import TuningCases, TuningMetric, network_channels
from medseg_monai.tuning.predicted import Learner, Progress
from medseg_monai.tuning.search import Tuning, tune, tuning_markdown

logger = logging.getLogger(__name__)

TUNING_FOLDER, REPORT_FILE, RESULT_FILE = "tuning", "tuning.md", "tuning.json"


class Tuned(NamedTuple):
    """The result of a search, and where it is.

    Attributes:
        tuning: what was chosen, and why.
        weights_file: the weights whose spec.json has the cleaning now.
        report: a file for people.
        failures: the cases that could not be used; all others were.
    """

    tuning: Tuning
    weights_file: Path
    report: Path
    failures: tuple[Failure, ...] = ()


def tune_bundle(
    bundle_root: Path,
    dataset: Dataset,
    *,
    weights: str | Path | None = None,
    split: str = "validation",
    metric: TuningMetric = "dice",
    progress: Progress | None = None,
    assignments: Mapping[str, Any] | None = None,
    **options: Any,
) -> Tuned:
    """Predict a split, choose the cleaning, write it into ``spec.json`` beside the weights (none if nothing beats plain), and a report.

    Args:
        bundle_root: the bundle's folder.
        dataset: with labelled cases.
        weights: as for `medseg_monai.bundle.paths.find_weights`, by default those trained on this data set if there are any.
        split: the split to choose on; never the test split, whose scores would then be meaningless.
        metric: the score to improve, see `TuningCases`.
        progress: shows how far it is.
        assignments, options: as `medseg_monai.predictor.Predictor` takes them; predict with the same ones later.

    Raises:
        ValueError: there are no cases, the weights know something else, or the metric is not for such cases.
    """
    learner = Learner.of(bundle_root, dataset, weights, assignments=assignments, options=options, progress=progress)
    network = learner.predictor(calibration="off")  # masks are made from the network's own probabilities
    kept = TuningCases(network.spec, metric)
    for case, prediction, truth, ignored in learner.predicted(network, learner.cases(dataset, split)):
        channels = network_channels(prediction.probabilities, network.spec)
        kept.add(case["id"], case["group"], channels, truth, ignored, voxel_volume=prediction.grid.pixel_size)
    logger.info("trying settings on %d cases …", len(kept))
    tuning = tune(kept)
    cleaning = None if tuning.cleaning == PLAIN else tuning.cleaning
    replace(learner.trained, cleaning=cleaning).write(learner.weights_file.parent)
    folder = learner.weights_file.parent / TUNING_FOLDER
    write_whole(folder / REPORT_FILE, tuning_markdown(tuning, on=f"{dataset.spec.name}, {split}"))
    write_whole(folder / RESULT_FILE, (json.dumps(tuning.to_dict(), indent=2) + "\n").encode())
    return Tuned(tuning, learner.weights_file, folder / REPORT_FILE, tuple(learner.failures))
