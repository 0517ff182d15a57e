"""An evaluator whose scores are given, and a training of one weight that it validates: what a training does with scores."""

from functools import partial
from pathlib import Path

import torch
from ignite.metrics import Metric
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ValidationHandler
from monai.networks.nets import BasicUNet
from torch import nn

from medseg_monai.prepare.demo import demo_spec
from medseg_monai.training.continuing import BestSoFar, Continuation
from medseg_monai.training.saving import SaveTrained

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


def engines(
    network: nn.Module, scores: list[float], *, lr: float = 0.01
) -> tuple[SupervisedTrainer, SupervisedEvaluator]:
    evaluator = scripted_evaluator(network, scores)
    trainer = SupervisedTrainer(
        "cpu", len(scores), BATCHES, network, torch.optim.SGD(network.parameters(), lr), nn.MSELoss(), decollate=False,
        train_handlers=[ValidationHandler(1, evaluator)],
    )  # fmt: skip
    return trainer, evaluator


def saver(
    network: nn.Module,
    evaluator: SupervisedEvaluator,
    folder: Path,
    *,
    resume: bool | None = None,
    minutes: float | None = None,
) -> SaveTrained:
    architecture = partial(BasicUNet, spatial_dims=2)
    return SaveTrained(
        network, folder, spec=demo_spec(), architecture=architecture, bundle="unetpp", evaluator=evaluator,
        parts={"best": BestSoFar(evaluator)}, continuation=Continuation(folder, resume), minutes=minutes,
    )  # fmt: skip
