"""`medseg_monai.plan`: what to train on a data set, on this machine and in the time given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from medseg_monai.api.arguments import (
    Assignments,
    FilePath,
    check_there,
    data_folder,
    given,
    parsed,
    preset,
    text,
    time_limit,
)
from medseg_monai.api.train import bundle_and_data, bundle_of_start

if TYPE_CHECKING:
    from medseg_monai.api.datasets import ImageDataset
    from medseg_monai.planning.plan import Plan


def plan(
    dataset_dir: FilePath | ImageDataset,
    bundle: FilePath | None = None,
    *,
    minutes: float | None = None,
    hours: float | None = None,
    memory_gb: float | None = None,
    quick: bool = False,
    best: bool = False,
    device: str | None = None,
    start_from: FilePath | None = None,
    out: FilePath | None = None,
    assignments: Assignments = None,
    verbose: bool = False,
) -> Plan:
    """Plan a training: look at the data, time a few steps on this machine, and decide what to train and why.

    Args:
        dataset_dir: the data set, or its folder.
        bundle: its name or folder; default: unet, for volumes unet3d.
        minutes, hours: that training may take.
        memory_gb: memory limit in GB.
        quick: three minutes, to see whether images and masks are right.
        best: five times the default time.
        device: ``cpu``, ``cuda`` …; default: a GPU if there is one.
        start_from: weights that training will start from: the plan is then for their network.
        out: the file to write; default: none. ``plan.save(file)`` writes it later, `train` takes the plan itself.
        assignments: any key of the config.
        verbose: show log lines.

    Raises:
        FileNotFoundError, ValueError: a bundle, data set or setting that cannot be used.
    """
    from medseg_monai.bundle.paths import find_named_weights

    chosen, overrides, limit = preset(quick, best), parsed(assignments), time_limit(minutes, hours)
    data, start = data_folder(dataset_dir), text(start_from)
    check_there(data)
    folder, _ = bundle_and_data(bundle or bundle_of_start(start), data)
    if start is not None:
        find_named_weights(folder, start)
    from dataclasses import replace

    from medseg_monai.api.noting import noting
    from medseg_monai.bundle.workflow import bundle_workflow
    from medseg_monai.planning.in_config import bundle_plan

    values = given(dataset_dir=str(data), minutes=limit, preset=chosen, memory_gb=memory_gb, device=device)
    values |= given(start_from=start)
    with noting(verbose):
        made = bundle_plan(bundle_workflow(folder, "train", values, assignments=overrides))
    made = replace(made, bundle=made.bundle or folder.name, dataset_dir=str(data))
    if out is not None:
        made.save(Path(out))
    return made
