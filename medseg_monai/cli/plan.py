"""`medseg plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.api.plan import plan as plan_training
from medseg_monai.cli.endings import say_end
from medseg_monai.cli.options import (
    Assignments,
    Best,
    Device,
    Hours,
    MaybeBundle,
    MemoryGb,
    Minutes,
    Quick,
    StartFrom,
    Verbose,
)


def plan(
    dataset_dir: Annotated[Path, typer.Argument(help="Folder with dataset.json.")],
    bundle: MaybeBundle = None,
    minutes: Minutes = None,
    hours: Hours = None,
    memory_gb: MemoryGb = None,
    quick: Quick = False,
    best: Best = False,
    device: Device = None,
    start_from: StartFrom = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("plan.yaml"),
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> None:
    """Plan a training: look at the data, time a few steps on this machine, and write what to train and why, to be read and changed."""
    made = plan_training(
        dataset_dir,
        bundle,
        minutes=minutes,
        hours=hours,
        memory_gb=memory_gb,
        quick=quick,
        best=best,
        device=device,
        start_from=start_from,
        out=out,
        assignments=assignments,
        verbose=verbose,
    )
    typer.echo(made.to_yaml())
    start = f" --from {start_from}" if start_from else ""
    say_end(f"plan -> {out}", following=f"medseg train --plan {out}{start}")
