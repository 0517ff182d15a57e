"""The network's answers beside the truth, as an evaluator gives them: what scores and what tunes both look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from monai.engines.workflow import Workflow
from numpy.typing import NDArray
from torch import Tensor

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids import Grid, grid_of
from medseg_monai.grids.truth import read_truth
from medseg_monai.inference.cases import UNUSABLE, CaseStream, was_set_aside


class Answered(NamedTuple):
    """A case with its answer and its truth.

    Attributes:
        case: with ``id`` and paths.
        grid: its own and the network's.
        answer: the evaluator's output, on the image's own grid.
        truth: the label there, `IGNORED` where nothing counts.
        image: the network's input.
    """

    case: Mapping[str, Any]
    grid: Grid
    answer: Mapping[str, Any]
    truth: NDArray[np.uint8]
    image: Tensor


def answered_cases(
    engine: Workflow, dataset: CaseStream, cases: Mapping[str, Mapping[str, Any]], spec: DatasetSpec
) -> Iterator[Answered]:
    """The cases of the batch that an evaluator has just done; one whose truth cannot be used is put aside.

    Args:
        engine: the evaluator, with decollated output.
        dataset: what it iterates over.
        cases: with ``label``, by id.
        spec: what the weights know.
    """
    for item, answer in zip(engine.state.batch, engine.state.output, strict=True):
        if was_set_aside(answer):
            continue
        case, grid = cases[item["id"]], grid_of(item["image_meta_dict"], spec)
        try:
            truth = read_truth(case, grid, spec)
        except UNUSABLE as error:
            dataset.set_aside(case, error)
            continue
        yield Answered(case, grid, answer, truth, item["image"])
