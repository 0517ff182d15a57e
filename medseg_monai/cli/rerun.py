"""`medseg rerun`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.api.rerun import rerun as repeat_training
from medseg_monai.cli.endings import say_end
from medseg_monai.cli.options import Assignments, Device, Verbose, Workers

UNEQUAL = 1
"""The exit code if the weights differ, as that of `cmp`."""


def rerun(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished training, with run.json.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the repetition; default: FOLDER_rerun.")
    ] = None,
    dataset_dir: Annotated[
        Path | None, typer.Option("--dataset-dir", "-d", help="Where the data set is now, if it was moved.")
    ] = None,
    bundle: Annotated[
        str | None,
        typer.Option(help="A bundle's name or folder; default: as recorded, if `medseg list` names it."),
    ] = None,
    device: Device = None,
    workers: Workers = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue a repetition that was stopped or killed; compare one that has ended."),
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also with other data or settings, which are named then.")
    ] = False,
    assignments: Assignments = None,
    overlay: Annotated[
        list[Path] | None, typer.Option(help="Config files that the training was given with --overlay.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Repeat a training from its record (run.json, plan.yaml) in a new folder, and compare: weights to the bit, scores, what has changed.

    The number of threads is taken from the record too. Exit code 0 if the weights are equal to the bit, 1 if not.
    """
    found = repeat_training(
        folder,
        out=out,
        dataset_dir=dataset_dir,
        bundle=bundle,
        device=device,
        workers=workers,
        resume=resume,
        anyway=anyway,
        assignments=assignments,
        overlay=overlay,
        verbose=verbose,
    )
    for line in found.comparison.lines():
        typer.echo(line)
    say_end(
        f"{found.first} repeated -> {found.folder}/ (rerun.json: the comparison)",
        following=None
        if found.equal
        else "medseg compare, after medseg evaluate of both, says what the difference means",
    )
    if not found.equal:
        raise typer.Exit(UNEQUAL)
