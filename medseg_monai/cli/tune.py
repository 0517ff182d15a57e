"""`medseg tune`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from medseg_monai.cli.endings import say_end
from medseg_monai.cli.options import (
    Assignments,
    BundleName,
    DatasetDir,
    Device,
    Verbose,
    Weights,
    check_there,
    given,
)


def tune(
    bundle: BundleName,
    dataset_dir: DatasetDir = None,
    weights: Weights = None,
    metric: Annotated[
        Literal["dice", "jaccard", "competition"],
        typer.Option(help="The score to improve; competition: the UW-Madison one, for slices of scans."),
    ] = "dice",
    split: Annotated[str, typer.Option(help="Split to choose on; never the test split.")] = "validation",
    device: Device = None,
    verbose: Verbose = False,
    assignments: Assignments = None,
) -> None:
    """Choose thresholds and mask cleaning for trained weights; settings that help on held-out cases are written to their spec.json."""
    from medseg_monai.bundle.assignments import parse_assignments
    from medseg_monai.bundle.paths import find_bundle, find_weights

    folder, overrides = find_bundle(bundle), parse_assignments(assignments or [])
    check_there(dataset_dir)
    if weights:
        find_weights(folder, weights)
    from medseg_monai.inference.recipe import progress
    from medseg_monai.training.dataset import open_dataset
    from medseg_monai.tuning.choosing import tune_bundle

    found = tune_bundle(
        folder,
        open_dataset(dataset_dir),
        weights=weights,
        metric=metric,
        split=split,
        progress=progress("predicting"),
        assignments=overrides,
        **given(device=device),
    )
    typer.echo(found.report.read_text(encoding="utf-8"))
    say_end(
        f"tuned on {split} -> {found.weights_file.parent / 'spec.json'}, used from now on",
        look=found.report,
        following=f"medseg review {bundle}, to learn which masks a person should look at",
    )
