"""`medseg rerun`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.cli.endings import say_end
from medseg_monai.cli.options import Assignments, Device, Verbose, Workers, check_there, given

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
    from medseg_monai.bundle.assignments import parse_assignments
    from medseg_monai.training.recorded import finished_run

    check_there(folder, dataset_dir, *(overlay or []))
    finished_run(folder)
    overrides = parse_assignments(assignments or [])
    from medseg_monai.training.repeating import Repetition

    folder = folder.resolve() if folder.name in ("", "..") else folder
    repetition = Repetition(
        folder,
        out or folder.with_name(f"{folder.name}_rerun"),
        dataset_dir=dataset_dir,
        values=given(device=device, num_workers=workers, resume=resume or None),
        assignments=overrides,
        overlays=overlay or [],
        anyway=anyway,
    )
    compared = repetition.run()
    compared.write(repetition.out)
    for line in compared.lines():
        typer.echo(line)
    say_end(
        f"{folder} repeated -> {repetition.out}/ (rerun.json: the comparison)",
        following=None
        if compared.equal
        else "medseg compare, after medseg evaluate of both, says what the difference means",
    )
    if not compared.equal:
        raise typer.Exit(UNEQUAL)
