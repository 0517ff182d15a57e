"""`medseg drift`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.cli.endings import counted, say_end
from medseg_monai.cli.options import Assignments, BundleName, Weights, check_there
from medseg_monai.program.messages import listed

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
    assignments: Assignments = None,
) -> None:
    """Compare a batch of images with those the weights were trained on; exit code 3 is an alarm. `medseg review` must have run before."""
    from medseg_monai.bundle.assignments import parse_assignments
    from medseg_monai.bundle.paths import find_bundle, find_weights

    folder, overrides = find_bundle(bundle), parse_assignments(assignments or [])
    check_there(*images)
    find_weights(folder, weights)
    from tqdm import tqdm

    from medseg_monai.quality.drift_run import PICTURE_FILE, RESULT_FILE, compare_images

    found = compare_images(
        folder,
        images,
        out,
        weights=weights,
        false_alarms=false_alarms,
        least_shift=least_shift,
        progress=lambda cases: tqdm(cases, desc="looking", unit="image", disable=None),
        assignments=overrides,
    )
    changed = [change for change in found.drift.changes if change.changed]
    for change in changed:
        typer.echo(f"changed: {change}")
    doubtful = [f"could not be used: {listed(list(found.left_out))}"] if found.left_out else []
    what = f"{len(changed)} of {len(found.drift.changes)} numbers changed" if changed else "nothing has changed"
    say_end(
        f"{counted(found.drift.images, 'image')} compared: {what} -> {out / RESULT_FILE}",
        look=out / PICTURE_FILE,
        doubtful=doubtful,
        following="label some of these images and run medseg evaluate on them before relying on the masks"
        if changed
        else None,
    )
    if changed:
        raise typer.Exit(ALARM)
