"""Our networks by their bundles' train.json, for a given processor time: one side of `accuracy.py`.

Two things differ from `medseg train`: the learning rate's cycle is gone through by the processor's clock, not by counting steps, and
training ends when the time is used. So it is spent to the last step, however fast the machine is at the moment.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Events
from numpy.typing import NDArray
from torch import nn
from torch.optim import Optimizer

from medseg_monai.training.schedules import RepeatedOneCycleLR

BUNDLES = Path(__file__).resolve().parent.parent / "bundles"
BATCH = 8
TRIAL = 4.0  # seconds in each precision
Settings = Mapping[str, Any]

# over the bundles' defaults: networks that see each picture several times in so short a time
COMMON: Settings = {"batch_size": BATCH, "max_epochs": 100_000, "val_interval": 100_000, "num_workers": 0}
LITE0: Settings = {"architecture#encoder": "tf_efficientnet_lite0", "architecture#pretrained": True, "lr": 0.004}
NARROW: Settings = {"architecture#features": [16, 32, 64, 128, 256], "architecture#stem_stride": 2}
BESIDE_LITE0: Settings = {**LITE0, "architecture#features": [16, 24, 40, 80, 160]}
ONE_HEAD: Settings = {"architecture#deep_supervision": False}
TO_STRIDE_8: Settings = {
    "architecture#levels": 3,
    "architecture#output_stride": 8,
    "architecture#width": 128,
    "architecture#auxiliary": False,
}
SETTINGS: Mapping[tuple[str, str], Settings] = {
    ("unet", "scratch"): NARROW,
    ("unetpp", "scratch"): {**NARROW, **ONE_HEAD},
    ("pspnet", "scratch"): {"architecture#encoder": "resnet18", **TO_STRIDE_8},
    ("deeplabv3plus", "scratch"): {},
    ("resunetpp", "scratch"): {"architecture#stem_stride": 2},
    ("unet", "lite0"): BESIDE_LITE0,
    ("unetpp", "lite0"): {**BESIDE_LITE0, **ONE_HEAD},
    ("pspnet", "lite0"): {**LITE0, **TO_STRIDE_8},
    ("deeplabv3plus", "lite0"): {**LITE0, "architecture#width": 64},
}
"""(bundle, start) -> what is set for its training."""


class Clock:
    """Processor time of this process since the first step of a training.

    Args:
        seconds: how long the training is to be.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.began = 0.0

    def start(self) -> None:
        """From now on."""
        self.began = time.process_time()

    @property
    def used(self) -> float:
        """Seconds."""
        return time.process_time() - self.began if self.began else 0.0

    @property
    def share(self) -> float:
        """Of the time that is used, 0 to 1."""
        return min(self.used / self.seconds, 1.0)


class ClockedCycle(RepeatedOneCycleLR):
    """The bundles' own cycle of the learning rate, at the place that the clock says."""

    STEPS = 10_000

    def __init__(self, optimizer: Optimizer, *, lr: float, warmup: float, clock: Clock) -> None:
        self.clock = clock
        super().__init__(optimizer, max_lr=lr, total_steps=self.STEPS, pct_start=warmup)

    def step(self, epoch: int | None = None) -> None:
        """The rate of this moment."""
        self.last_epoch = int(self.clock.share * (self.STEPS - 2))
        super().step(epoch)


def train(
    bundle: str,
    settings: Settings,
    dataset: Path,
    size: int,
    *,
    seconds: float,
    precisions: Sequence[str],
    out: Path,
) -> tuple[float, int, str, nn.Module]:
    """Train for so many seconds of processor time in the precision in which a short trial saw more pictures.

    Args:
        bundle: its name.
        settings: over its train.json and `COMMON`, such as one of `SETTINGS`.
        dataset: its folder.
        size: width and height that the network sees.
        seconds: of this process's processor time, from the first step's data on.
        precisions: to choose from.
        out: where the weights go, and those of the trials.

    Returns:
        Seconds used, pictures seen, the precision, and the network.
    """

    def run(seconds: float, precision: str, folder: str) -> tuple[float, int, nn.Module]:
        values = {"dataset_dir": str(dataset), "output_dir": str(out / folder), "size": [size, size]}
        return _run(bundle, {**values, "precision": precision}, {**COMMON, **settings}, seconds)

    run(0.01, precisions[0], "trial")  # a process's first step imports for seconds; and pictures are decoded and kept
    precision = precisions[0]
    if len(precisions) > 1:
        seen_in = {tried: run(min(TRIAL, seconds / 10), tried, "trial")[1] for tried in precisions}
        precision = max(seen_in, key=lambda tried: seen_in[tried])
    used, seen, network = run(seconds, precision, "weights")
    return used, seen, precision, network


def _run(bundle: str, values: Settings, settings: Settings, seconds: float) -> tuple[float, int, nn.Module]:
    """One training: seconds used, pictures seen, the network."""
    from medseg_monai.bundle.workflow import bundle_workflow

    clock = Clock(seconds)
    cycle = {"_target_": f"{__name__}.ClockedCycle", "optimizer": "@optimizer", "lr": "@lr", "warmup": "@warmup"}
    assignments = {**settings, "lr_scheduler": {**cycle, "clock": clock}}
    workflow = bundle_workflow(BUNDLES / bundle, "train", values, assignments=assignments)
    workflow.initialize()
    trainer = workflow.parser.get_parsed_content("train#trainer")
    trainer.add_event_handler(Events.STARTED, clock.start)

    used: list[float] = []

    def stop_in_time() -> None:
        if clock.share == 1:
            used.append(clock.used)
            trainer.terminate()

    trainer.add_event_handler(Events.ITERATION_COMPLETED, stop_in_time)
    workflow.run()
    workflow.finalize()
    seen = trainer.state.iteration * int(settings["batch_size"])
    return used[0], seen, workflow.parser.get_parsed_content("network")


def masks_of(bundle: str, files: Sequence[str], weights: Path) -> Iterator[NDArray[np.bool_]]:
    """The mask of each photograph, (H, W), as `medseg predict` makes it by the weights in a folder (`train` leaves them in ``weights``)."""
    from medseg_monai.predictor import Predictor

    predictor = Predictor(BUNDLES / bundle, weights=weights)
    return (predictor(file).mask > 0 for file in files)
