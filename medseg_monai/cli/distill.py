"""`medseg distill`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.api.distill import distill as train_student
from medseg_monai.cli.options import (
    Assignments,
    Augmentation,
    BatchSize,
    BundleName,
    Device,
    Hours,
    LearningRate,
    MaxEpochs,
    Minutes,
    Overlays,
    PlanFile,
    Size,
    StartFrom,
    TrainingSeed,
    Verbose,
    Workers,
)
from medseg_monai.cli.train import say_trained


def distill(
    bundle: BundleName,
    teacher: Annotated[
        list[str],
        typer.Option(
            "--teacher", "-t", help="Weights to learn from: a bundle's name, a folder or a file; repeat it for several."
        ),
    ],
    dataset_dir: Annotated[Path, typer.Option("--dataset-dir", "-d", help="Folder with dataset.json.")],
    unlabelled: Annotated[
        list[Path] | None, typer.Option(help="Further images to learn from, without labels: files or folders.")
    ] = None,
    tta: Annotated[str | None, typer.Option(help="Views of which the teachers take the mean: flips, dihedral.")] = None,
    soft_weight: Annotated[
        float | None, typer.Option(min=0, max=1, help="Weight of the teachers beside the labels; default: 0.5.")
    ] = None,
    plan: PlanFile = None,
    minutes: Minutes = None,
    hours: Hours = None,
    max_epochs: MaxEpochs = None,
    lr: LearningRate = None,
    batch_size: BatchSize = None,
    size: Size = None,
    augmentation: Augmentation = None,
    seed: TrainingSeed = None,
    device: Device = None,
    workers: Workers = None,
    verbose: Verbose = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the weights; default: DATA SET_distilled in the bundle's models."),
    ] = None,
    resume: Annotated[
        bool | None, typer.Option("--resume/--no-resume", help="Continue the folder's training where it was stopped.")
    ] = None,
    start_from: StartFrom = None,
    assignments: Assignments = None,
    overlay: Overlays = None,
) -> None:
    """Train a bundle (the student) on a data set's labels and on the answers of trained networks (its teachers).

    The teachers answer once, before training; a smaller student then comes nearer to them than it would by the labels alone.
    """
    done = train_student(
        bundle,
        dataset_dir,
        teacher=teacher,
        unlabelled=unlabelled,
        tta=tta,
        soft_weight=soft_weight,
        plan=plan,
        minutes=minutes,
        hours=hours,
        max_epochs=max_epochs,
        lr=lr,
        batch_size=batch_size,
        size=size,
        augmentation=augmentation,
        seed=seed,
        device=device,
        workers=workers,
        verbose=verbose,
        out=out,
        resume=resume,
        start_from=start_from,
        assignments=assignments,
        overlay=overlay,
    )
    say_trained(done, dataset_dir)
