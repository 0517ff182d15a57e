"""The validation score that decides which epoch is best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.distributed as dist
from ignite.engine import Events
from monai.engines.workflow import Workflow
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import CumulativeIterationMetric

from medseg_monai.dataset import DatasetSpec
from medseg_monai.evaluation.scan_scores import ScanMasks, competition_score
from medseg_monai.program.messages import did_you_mean


def chosen_metric(metrics: Mapping[str, Any], selection: str) -> dict[str, Any]:
    """The metric that weights are selected by, as MONAI's ``key_val_metric`` takes it.

    Args:
        metrics: MONAI's metrics of masks (``DiceMetric``, ``MeanIoU`` …), or whatever attaches to an evaluator itself, by name.
        selection: the name of one.

    Raises:
        ValueError: the metric is unknown; the message names the nearest one.
    """
    if selection not in metrics:
        raise ValueError(f"selection: unknown validation metric {selection!r}{did_you_mean(selection, metrics)}")
    return {selection: _attachable(metrics[selection])}


def other_metrics(metrics: Mapping[str, Any], selection: str) -> dict[str, Any]:
    """All other metrics, which are recorded too."""
    return {name: _attachable(metric) for name, metric in metrics.items() if name != selection}


def _attachable(metric: Any) -> Any:
    """The metric as an evaluator expects it: one of MONAI's metrics needs to be told what to compare."""
    if isinstance(metric, CumulativeIterationMetric):
        return IgniteMetricHandler(metric_fn=metric, output_transform=from_engine(["pred", "label"]))
    return metric


class ScanMetric:
    """The UW-Madison competition's score of the validation scans, assembled from their slices.

    Validation runs at the network's size; since locations are divided by the image's size, the score hardly differs from
    that of `medseg evaluate` at each slice's own size. An evaluator's metric, attached like ignite's.

    Args:
        spec: the data set's.
    """

    def __init__(self, spec: DatasetSpec) -> None:
        self.classes = spec.classes
        self.masks = ScanMasks()

    def attach(self, engine: Workflow, name: str) -> None:
        """Register with the evaluator; ``engine.state.metrics[name]`` holds the score after each run."""

        def finish(evaluator: Workflow) -> None:
            evaluator.state.metrics[name] = self.compute()

        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self.masks.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.update)
        engine.add_event_handler(Events.EPOCH_COMPLETED, finish)

    def update(self, engine: Workflow) -> None:
        """Keep the masks of a batch: ``pred`` and ``label`` with a channel of {0, 1} per class, and the cases' ids."""
        for case, answer in zip(engine.state.batch, engine.state.output, strict=True):
            pred, truth = (answer[key].cpu().numpy() > 0 for key in ("pred", "label"))
            self.masks.add(case["id"], pred, truth)

    def compute(self) -> float:
        """The score of all slices so far, including those of other processes."""
        if dist.is_available() and dist.is_initialized():
            parts: list[ScanMasks] = [self.masks] * dist.get_world_size()
            dist.all_gather_object(parts, self.masks)
            for part in parts:
                self.masks.merge(part)
        return competition_score(self.masks.scores(self.classes)).score
