"""`medseg review`."""

from __future__ import annotations

from typing import Annotated

import typer

from medseg_monai.api.review import review as review_weights
from medseg_monai.cli.endings import end_with_failures, same_weights, say_end
from medseg_monai.cli.options import Assignments, BundleName, Device, LabelledData, Verbose, Weights
from medseg_monai.program.messages import counted


def review(
    bundle: BundleName,
    dataset_dir: LabelledData = None,
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
        typer.Option(min=0, max=0.5, help="Share of the cases that may be flagged as unlike the training images."),
    ] = 0.01,
    device: Device = None,
    verbose: Verbose = False,
    assignments: Assignments = None,
) -> None:
    """Learn from validation how far masks can be trusted: calibration, predicted Dice, which to review; `medseg predict` then says it."""
    found = review_weights(
        bundle,
        dataset_dir,
        weights=weights,
        split=split,
        failure_dice=failure_dice,
        catch=catch,
        risk=risk,
        confidence=confidence,
        cover=cover,
        rate=rate,
        unfamiliar=unfamiliar,
        device=device,
        verbose=verbose,
        assignments=assignments,
    )
    for line in found.lines:
        typer.echo(line)
    say_end(
        f"learnt from {counted(found.learnt.review.cases, f'{split} case')} -> {found.weights.parent / 'spec.json'}, used from now on",
        doubtful=found.doubts,
        following=f"medseg predict {bundle} IMAGES{same_weights(weights)}, which now flags them",
    )
    end_with_failures(found.failures)
