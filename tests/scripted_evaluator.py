"""An evaluator whose scores are given: for the tests of what a training does with them."""

import torch
from ignite.metrics import Metric
from monai.engines import SupervisedEvaluator
from torch import nn

BATCHES = [{"image": torch.ones(2, 1), "label": torch.full((2, 1), 3.0)}] * 2


class Scripted(Metric):
    """A metric that gives one number after the other, whatever the network says."""

    def __init__(self, values: list[float]) -> None:
        self.values = iter(values)
        super().__init__(output_transform=lambda output: (output["pred"], output["label"]))

    def reset(self) -> None:
        pass

    def update(self, output: object) -> None:
        pass

    def compute(self) -> float:
        return next(self.values)


def scripted_evaluator(network: nn.Module, scores: list[float]) -> SupervisedEvaluator:
    return SupervisedEvaluator("cpu", BATCHES, network, key_val_metric={"mean_dice": Scripted(scores)}, decollate=False)
