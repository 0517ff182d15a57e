"""`medseg drift`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.api.drift import drift as compare_images
from medseg_monai.cli.endings import say_end
from medseg_monai.cli.options import Assignments, BundleName, Verbose, Weights
from medseg_monai.program.messages import counted, listed

ALARM = 3
"""The exit code if something has changed; 1 and 2 are for what went wrong."""


def drift(
    bundle: BundleName,
    images: Annotated[list[Path], typer.Argument(help="Images or volumes, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for drift.json and drift.png.")] = Path("drift"),
    weights: Weights = None,
    false_alarms: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="Share of batches like training's that may raise an alarm.")
    ] = 0.01,
    least_shift: Annotated[
        float, typer.Option(min=0, help="Standard deviations that a mean must have moved for it to matter.")
    ] = 0.4,
    verbose: Verbose = False,
    assignments: Assignments = None,
) -> None:
    """Compare a batch of images with those the weights were trained on; `medseg review` must have run before.

    Exit code 3 is an alarm, 1 says that images could not be used.
    """
    found = compare_images(
        bundle,
        images,
        out=out,
        weights=weights,
        false_alarms=false_alarms,
        least_shift=least_shift,
        verbose=verbose,
        assignments=assignments,
    )
    for change in found.changed:
        typer.echo(f"changed: {change}")
    doubtful = [f"could not be used: {listed(list(found.left_out))}"] if found.left_out else []
    count = len(found.changed)
    what = f"{count} of {len(found.found.changes)} numbers changed" if count else "nothing has changed"
    say_end(
        f"{counted(found.found.images, 'image')} compared: {what} -> {out / 'drift.json'}",
        look=out / "drift.png",
        doubtful=doubtful,
        following="label some of these images and run medseg evaluate on them before relying on the masks"
        if found.alarm
        else None,
    )
    if found.alarm:
        raise typer.Exit(ALARM)
    if found.left_out:
        raise typer.Exit(1)
