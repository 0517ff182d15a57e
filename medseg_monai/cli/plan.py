"""`medseg plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    Verbose,
    check_there,
    given,
    preset,
    time_limit,
)
from medseg_monai.cli.train import bundle_and_data


def plan(
    dataset_dir: Annotated[Path, typer.Argument(help="Folder with dataset.json.")],
    bundle: MaybeBundle = None,
    minutes: Minutes = None,
    hours: Hours = None,
    memory_gb: MemoryGb = None,
    quick: Quick = False,
    best: Best = False,
    device: Device = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("plan.yaml"),
    assignments: Assignments = None,
    verbose: Verbose = False,
) -> None:
    """Plan a training: look at the data, time a few steps on this machine, and write what to train and why, to be read and changed."""
    from medseg_monai.bundle.assignments import parse_assignments

    chosen, overrides = preset(quick, best), parse_assignments(assignments or [])
    limit = time_limit(minutes, hours)
    check_there(dataset_dir)
    folder, _ = bundle_and_data(bundle, dataset_dir)
    from dataclasses import replace

    from medseg_monai.bundle.workflow import bundle_workflow
    from medseg_monai.planning.in_config import bundle_plan

    values = given(dataset_dir=str(dataset_dir), minutes=limit, preset=chosen, memory_gb=memory_gb, device=device)
    made = bundle_plan(bundle_workflow(folder, "train", values, assignments=overrides))
    made = replace(made, bundle=made.bundle or folder.name, dataset_dir=str(dataset_dir))
    made.write(out)
    typer.echo(made.to_yaml())
    say_end(f"plan -> {out}", following=f"medseg train --plan {out}")
