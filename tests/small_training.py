"""A training that takes a tenth of a second and has all that a state can hold: dropout, batch norm, an average, early stopping."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ignite.metrics import Loss
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.networks.nets import BasicUNet
from monai.utils import set_determinism
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from medseg_monai.planning.plan import Plan
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.training.recipe import HandlerChain, training_handlers
from medseg_monai.training.sampling import SeededSampler, sample_seed
from medseg_monai.training.schedules import one_cycle
from medseg_monai.training.start import Start, first_network
from medseg_monai.training.stops import leave_signals_to_trainer
from medseg_monai.training.tensorboard import EventLog
from medseg_monai.training.weight_average import weight_average

EPOCHS, CASES, BATCH = 3, 6, 2
STEPS = CASES // BATCH


class Noise(Dataset[dict[str, Tensor]]):
    """Random pictures, other ones in each epoch, that depend on (epoch, case) alone."""

    def __init__(self, count: int, *, offset: int = 0) -> None:
        self.data = [{"id": f"case {offset + index}"} for index in range(count)]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        epoch, index = divmod(number, len(self))
        chance = torch.Generator().manual_seed(sample_seed(0, epoch, self.data[index]["id"]))
        image = torch.randn(1, 6, 6, generator=chance)
        return {"image": image, "label": (image > 0.3).float()}


def small_training(
    folder: Path,
    *,
    resume: bool | None = None,
    stop_after: float | None = None,
    workers: int = 0,
    patience: int = 0,
    decay: float = 0.9,
    val_interval: int = 1,
    cases: int = CASES,
    handlers: Mapping[str, Any] | None = None,
    start: Start | None = None,
    plan: Plan | None = None,
    epochs: int = EPOCHS,
) -> SupervisedTrainer:
    """A trainer, ready to run."""
    set_determinism(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Dropout(0.3), nn.Conv2d(2, 1, 1))
    first_network(lambda: network, start)
    average = weight_average(network, decay)
    shown = network if average is None else average
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.05)
    data = Noise(cases)
    loader = DataLoader(
        data, batch_size=BATCH, sampler=SeededSampler(data, seed=0), num_workers=workers,
        worker_init_fn=leave_signals_to_trainer,
    )  # fmt: skip
    evaluator = SupervisedEvaluator(
        "cpu", DataLoader(Noise(3, offset=100)), shown, decollate=False,
        key_val_metric={"mean_dice": Loss(nn.BCEWithLogitsLoss(), lambda output: (output["pred"], output["label"]))},
    )  # fmt: skip
    chain = training_handlers(
        network=network, average=average, decay=decay, evaluator=evaluator, clip_norm=1.0, val_interval=val_interval,
        lr_scheduler=one_cycle(optimizer, lr=0.05, total_steps=epochs * len(loader), warmup=0.3),
        patience=patience, folder=folder, spec=demo_spec(), architecture=partial(BasicUNet, spatial_dims=2),
        bundle="unet", facts={}, log=EventLog(folder / "tensorboard"), rank=1, seed=0, resume=resume, stop_after=stop_after,
        every_class=False, start=start, plan=plan,
    )  # fmt: skip
    return SupervisedTrainer(
        "cpu", epochs, loader, network, optimizer, nn.BCEWithLogitsLoss(), decollate=False,
        train_handlers=[chain, *([HandlerChain(list(handlers.values()))] if handlers else [])],
    )  # fmt: skip
