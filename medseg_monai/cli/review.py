"""`medseg review`."""

from __future__ import annotations

from typing import Annotated

import typer

from medseg_monai.cli.endings import counted, say_end
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


def review(
    bundle: BundleName,
    dataset_dir: DatasetDir = None,
    weights: Weights = None,
    split: Annotated[str, typer.Option(help="Split to learn the threshold from; never test.")] = "validation",
    failure_dice: Annotated[float, typer.Option(help="A case below this Dice is a failure.")] = 0.7,
    catch: Annotated[float, typer.Option(help="Share of the failures that must be flagged.")] = 0.9,
    risk: Annotated[
        float,
        typer.Option(
            min=0.001, max=0.5, help="Share of failures that is allowed among the masks that are not flagged."
        ),
    ] = 0.02,
    confidence: Annotated[
        float | None,
        typer.Option(
            min=0.5, max=0.999, help="Keep the risk with this confidence; default: on average, which takes fewer cases."
        ),
    ] = None,
    cover: Annotated[
        float,
        typer.Option(
            min=0.5, max=1, help="Share of the lesion that an outer mask must hold, and of an inner one that is right."
        ),
    ] = 0.95,
    rate: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Share of the cases in which outer and inner masks must do so.")
    ] = 0.9,
    unfamiliar: Annotated[
        float,
        typer.Option(min=0, max=0.5, help="Share of the cases that may be flagged as unlike the training pictures."),
    ] = 0.01,
    device: Device = None,
    verbose: Verbose = False,
    assignments: Assignments = None,
) -> None:
    """Learn from validation how far masks can be trusted: calibration, predicted Dice, which to review; `medseg predict` then says it."""
    from medseg_monai.bundle.assignments import parse_assignments
    from medseg_monai.bundle.paths import find_bundle, find_weights

    folder, overrides = find_bundle(bundle), parse_assignments(assignments or [])
    check_there(dataset_dir)
    if weights:
        find_weights(folder, weights)
    from medseg_monai.inference.recipe import progress
    from medseg_monai.training.dataset import open_dataset
    from medseg_monai.tuning.learning import review_bundle

    found = review_bundle(
        folder,
        open_dataset(dataset_dir),
        weights=weights,
        split=split,
        failure_dice=failure_dice,
        catch=catch,
        risk=risk,
        confidence=confidence,
        cover=cover,
        rate=rate,
        unfamiliar=unfamiliar,
        progress=progress("predicting"),
        assignments=overrides,
        **given(device=device),
    )
    quality = found.quality
    for learnt in (quality.calibration, quality.dice, quality.promise, quality.margins):
        typer.echo(str(learnt))
    instead = quality.promise is not None and quality.promise.threshold is not None
    typer.echo(f"flagged {found.review}{' (not used: the promise is)' if instead else ''}")
    typer.echo(
        f"flagged {found.familiarity}" if found.familiarity else f"unfamiliar pictures are not flagged: {found.why_not}"
    )
    nothing_failed = ["no case failed there: the threshold is the highest uncertainty seen"]
    say_end(
        f"learnt from {counted(found.review.cases, f'{split} case')} -> {found.weights_file.parent / 'spec.json'}, used from now on",
        doubtful=[] if found.review.failures else nothing_failed,
        following=f"medseg predict {bundle} IMAGES, which now flags them",
    )
