"""The functions that ``train.json`` calls: the only import of its expressions.

A component that users look for or replace is in the JSON, by its ``_target_``. This module ties the components together: the
cases, the devices and processes, and the order of the handlers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Sized
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from monai.engines import Evaluator
from monai.engines.workflow import Workflow
from monai.handlers import LrScheduleHandler, TensorBoardStatsHandler, ValidationHandler, from_engine
from monai.utils import set_determinism
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from medseg_monai.bundle.config_keys import check_keys, config_at_work
from medseg_monai.bundle.paths import default_root, models_folder
from medseg_monai.dataset import TRAINED_ON, Dataset, DatasetSpec, check_files
from medseg_monai.engines.precision import default_device, local_device, placed, precision_of
from medseg_monai.inference.inferer import cases_at_once
from medseg_monai.planning.in_config import planned_network
from medseg_monai.planning.plan import Plan
from medseg_monai.training.checkpoint import Stateful
from medseg_monai.training.continuing import BestSoFar, Continuation, wanted
from medseg_monai.training.dataset import (
    open_dataset,
    repeated,
    share,
    split_cases,
    training_spec,
)
from medseg_monai.training.distilling import check_soft_labels, with_soft_labels
from medseg_monai.training.guards import StopOnNonFiniteLoss, WatchLoss
from medseg_monai.training.handlers import (
    ClipGradients,
    KeepFreedMemory,
    Progress,
    RecordEpochs,
    SameEverywhere,
    SeedSteps,
    StopEarly,
    ValidateLastEpoch,
)
from medseg_monai.training.labels import RefuseNothingToLearn
from medseg_monai.training.memory import TrainingPlan
from medseg_monai.training.pace import KeepTime
from medseg_monai.training.processes import device_ids, join_processes
from medseg_monai.training.progress import KeepPlan, RunProgress, SayWhatComes
from medseg_monai.training.room import GuardMemory, RefuseFullDisk
from medseg_monai.training.run_record import describe_run
from medseg_monai.training.saving import SaveTrained
from medseg_monai.training.schedules import RepeatedOneCycleLR
from medseg_monai.training.selection import chosen_metric, other_metrics
from medseg_monai.training.start import Start, find_start, first_network
from medseg_monai.training.start_score import ScoreStart
from medseg_monai.training.stops import leave_signals_to_trainer
from medseg_monai.training.tensorboard import EventLog, ValidationPanel
from medseg_monai.training.weight_average import AverageWeights, bare, weight_average
from medseg_monai.transforms.batches import collate

__all__ = [
    "HandlerChain",
    "cache_dir",
    "cases_at_once",
    "check_keys",
    "chosen_metric",
    "collate",
    "default_device",
    "default_root",
    "device_ids",
    "find_start",
    "first_network",
    "join_processes",
    "leave_signals_to_trainer",
    "leaves_a_rest",
    "local_device",
    "open_dataset",
    "other_metrics",
    "output_dir",
    "placed",
    "planned_network",
    "scales_loss",
    "set_determinism",
    "tensorboard",
    "total_steps",
    "training_cases",
    "training_handlers",
    "training_spec",
    "validated",
    "validation_cases",
    "validation_handlers",
    "weight_average",
    "with_soft_labels",
]


class Handler(Protocol):
    """A handler as MONAI's engines expect it."""

    def attach(self, engine: Any) -> None:
        """Register with the engine, a trainer or an evaluator."""


class HandlerChain:
    """Several handlers as one entry of a config's list of handlers: attached, and therefore called, in this order.

    Args:
        handlers: the first one first.
    """

    def __init__(self, handlers: Sequence[Handler]) -> None:
        self.handlers = tuple(handlers)

    def attach(self, engine: Workflow) -> None:
        """Register each with the engine."""
        for handler in self.handlers:
            handler.attach(engine)


def training_handlers(
    *,
    network: nn.Module,
    average: nn.Module | None,
    decay: float,
    evaluator: Evaluator,
    lr_scheduler: LRScheduler,
    clip_norm: float,
    val_interval: int,
    patience: int,
    folder: str | Path,
    spec: DatasetSpec,
    architecture: partial[nn.Module] | type[nn.Module],
    bundle: str,
    facts: Mapping[str, Any],
    log: EventLog,
    rank: int,
    precision: str = "auto",
    plan: Plan | None = None,
    seed: int = 0,
    resume: bool | str | None = None,
    stop_after: float | None = None,
    every_class: bool = True,
    start: Start | None = None,
) -> HandlerChain:
    """All handlers of the trainer, in the required order.

    At the end of an epoch validation comes first, then the handlers that read its scores (the best weights, early stopping, the
    history).

    Args:
        network: the network to train.
        average: the running average of its weights, if one is kept; this is then saved instead.
        decay: decay of the average.
        evaluator: runs validation; its key metric decides which epoch is best.
        lr_scheduler: makes one step per iteration.
        clip_norm: gradients are scaled down to this norm; 0 for never.
        val_interval: epochs between two validations; the last epoch is always validated.
        patience: validations without a better score before training ends; 0 for never.
        folder: folder for weights, ``spec.json`` and the history.
        spec, architecture, bundle, facts: contents of ``spec.json``, see `SaveTrained`.
        log: log for the loss curve.
        rank: rank of this process; only the first one draws.
        precision: precision that the network is trained in.
        plan: training plan, stored beside the weights.
        seed: seed of the random numbers that steps draw.
        resume: True to continue the training in the folder, False to start anew; None to continue only a run that had a time limit.
        stop_after: minutes after which training stops, to be continued later; None for no limit.
        every_class: refuse a class that occurs in no training mask.
        start: the weights that training starts from, which are scored as epoch 0; None for random ones.
    """
    kept = bare(network) if average is None else average
    averaging = [] if average is None else [AverageWeights(network, average, decay)]
    stopping, history, watch = StopEarly(evaluator, patience), RecordEpochs(evaluator, folder), WatchLoss()
    parts: dict[str, Stateful] = {
        "lr_scheduler": lr_scheduler,
        "best": BestSoFar(evaluator),
        "stopping": stopping,
        "history": history,
        "watch": watch,
        **({} if average is None else {"average": averaging[0]}),
    }
    begun = None if start is None else start.facts()
    describe = partial(describe_run, config=config_at_work(), stop_after=stop_after, start=begun)
    saving = SaveTrained(
        kept,
        folder,
        spec=spec,
        architecture=architecture,
        bundle=bundle,
        evaluator=evaluator,
        facts=facts
        if begun is None
        else {**facts, "start": {key: begun[key] for key in ("sha256", "kept", "tensors")}},
        parts=parts,
        continuation=Continuation(Path(folder), wanted(resume), describe),
        minutes=stop_after,
    )
    kept_plan = None if plan is None else KeepPlan(plan, folder)
    pace = (
        [KeepTime(kept_plan, evaluator, val_interval=val_interval, parts=[lr_scheduler, *averaging])]
        if kept_plan is not None and isinstance(lr_scheduler, RepeatedOneCycleLR)
        else []
    )
    scoring = [] if start is None else [ScoreStart(evaluator, saving=saving, stopping=stopping, history=history)]
    return HandlerChain(
        [
            KeepFreedMemory(),
            GuardMemory(spec, architecture, precision=precision),
            RefuseNothingToLearn(spec, evaluator, every_class=every_class),
            RefuseFullDisk(kept, folder),
            SeedSteps(seed),
            StopOnNonFiniteLoss(),
            watch,
            ClipGradients(network, clip_norm),
            *averaging,
            LrScheduleHandler(lr_scheduler, print_lr=False, epoch_level=False),  # type: ignore[arg-type]  # torch's new base
            RunProgress(evaluator),
            SameEverywhere(kept),
            *pace,
            ValidationHandler(val_interval, evaluator, epoch_level=True),
            ValidateLastEpoch(evaluator),
            saving,
            *([] if kept_plan is None else [kept_plan]),
            SayWhatComes(
                spec,
                evaluator,
                architecture,
                precision=precision,
                minutes=None if plan is None else plan.minutes,
            ),
            stopping,
            history,
            *scoring,
            *_on_first(rank, _loss_curve(log)),
        ]
    )


def validation_handlers(*, log: EventLog, spec: DatasetSpec, count: int, interval: int, rank: int) -> HandlerChain:
    """All handlers of the validation's evaluator: curves of its scores and a panel of cases, from the first process.

    Args:
        log: the log that they write to.
        spec: the data set.
        count: number of validation cases.
        interval: epochs between two panels, 0 for none.
        rank: rank of this process.
    """
    curves = TensorBoardStatsHandler(summary_writer=log, iteration_log=False)
    bar = Progress("validating", loss=False)
    return HandlerChain(_on_first(rank, bar, curves, ValidationPanel(log, spec=spec, count=count, interval=interval)))


def _on_first(rank: int, *handlers: Handler) -> list[Handler]:
    """The handlers in the process of rank 0, none in the others."""
    return list(handlers) if rank == 0 else []


def _loss_curve(log: EventLog) -> TensorBoardStatsHandler:
    return TensorBoardStatsHandler(
        summary_writer=log, tag_name="loss", output_transform=from_engine(["loss"], first=True)
    )


def output_dir(bundle_root: str, spec: DatasetSpec) -> str:
    """The folder for the weights that a bundle trains on a data set."""
    return str(models_folder(bundle_root) / spec.name)


def cache_dir() -> str:
    """The folder of decoded images that all trainings share: ``MEDSEG_CACHE``, or one in the user's own cache."""
    return os.environ.get("MEDSEG_CACHE", str(Path("~/.cache/medseg_monai").expanduser()))


def tensorboard(folder: str | Path) -> EventLog:
    """The TensorBoard log beside the weights in `folder`."""
    return EventLog(Path(folder) / "tensorboard")


def training_cases(dataset: Dataset, patches_per_case: int) -> list[dict[str, Any]]:
    """The training cases, each as often as patches are drawn from it in an epoch; see `split_cases`.

    Raises:
        FileNotFoundError: files of training or validation are missing: said before the training, not in the middle of it.
    """
    cases = split_cases(dataset, "training")
    check_files(dataset, TRAINED_ON)
    check_soft_labels(cases)
    return repeated(cases, patches_per_case)


def validation_cases(dataset: Dataset, rank: int, world_size: int) -> list[dict[str, Any]]:
    """The validation cases of one of `world_size` processes; see `split_cases`."""
    return share(split_cases(dataset, "validation"), rank, world_size)


def leaves_a_rest(cases: Sized, plan: TrainingPlan, processes: int = 1) -> bool:
    """Whether to drop the last, smaller batch, unless it is the only one: batch norm suffers from a batch of a single case.

    Args:
        cases: those of all `processes`.
        plan: the batch of one process.
        processes: how many share the cases.
    """
    return len(cases) > plan.batch_size * processes


def total_steps(max_epochs: int, batches: Sized) -> int:
    """Number of iterations of the whole training."""
    return max_epochs * len(batches)


def scales_loss(precision: str, device: str | torch.device) -> bool:
    """Whether the loss must be scaled: in float16 small gradients would underflow."""
    return precision_of(precision, device) == torch.float16


def validated(network: nn.Module, average: nn.Module | None) -> nn.Module:
    """The network to validate: the average of the weights if one is kept, else the network itself."""
    return network if average is None else average
