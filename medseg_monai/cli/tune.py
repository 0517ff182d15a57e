"""`medseg tune`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from medseg_monai.api.tune import tune as tune_weights
from medseg_monai.cli.endings import end_with_failures, same_weights, say_end
from medseg_monai.cli.options import Assignments, BundleName, Device, LabelledData, Verbose, Weights


def tune(
    bundle: BundleName,
    dataset_dir: LabelledData = None,
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
    found = tune_weights(
        bundle,
        dataset_dir,
        weights=weights,
        metric=metric,
        split=split,
        device=device,
        verbose=verbose,
        assignments=assignments,
    )
    typer.echo(found.markdown)
    say_end(
        f"tuned on {split} -> {found.weights.parent / 'spec.json'}, used from now on",
        look=found.report,
        following=f"medseg review {bundle}{same_weights(weights)}, to learn which masks a person should look at",
    )
    end_with_failures(found.failures)
