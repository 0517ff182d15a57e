"""`medseg review`."""

from __future__ import annotations

from typing import Annotated

import typer

from medseg_monai.cli.endings import counted, say_end
from medseg_monai.cli.options import Assignments, BundleName, DatasetDir, Weights, check_there


def review(
    bundle: BundleName,
    dataset_dir: DatasetDir = None,
    weights: Weights = None,
    split: Annotated[str, typer.Option(help="Split to learn the threshold from; never test.")] = "validation",
    failure_dice: Annotated[float, typer.Option(help="A case below this Dice is a failure.")] = 0.7,
    catch: Annotated[float, typer.Option(help="Share of the failures that must be flagged.")] = 0.9,
    unfamiliar: Annotated[
        float,
        typer.Option(min=0, max=0.5, help="Share of the cases that may be flagged as unlike the training pictures."),
    ] = 0.01,
    assignments: Assignments = None,
) -> None:
    """Learn which predictions a person should review (uncertain ones, pictures unlike training); `medseg predict` then flags them."""
    from medseg_monai.bundle.assignments import parse_assignments
    from medseg_monai.bundle.paths import find_bundle, find_weights, weights_to_change

    folder, overrides = find_bundle(bundle), parse_assignments(assignments or [])
    check_there(dataset_dir)
    if weights:
        find_weights(folder, weights)
    from tqdm import tqdm

    from medseg_monai.training.dataset import open_dataset
    from medseg_monai.tuning.review_run import review_bundle

    dataset = open_dataset(dataset_dir)
    found = review_bundle(
        folder,
        dataset,
        weights=weights,
        split=split,
        failure_dice=failure_dice,
        catch=catch,
        unfamiliar=unfamiliar,
        progress=lambda cases: tqdm(cases, desc="predicting", unit="case", disable=None),
        assignments=overrides,
    )
    typer.echo(f"flagged {found.review}")
    typer.echo(
        f"flagged {found.familiarity}" if found.familiarity else f"unfamiliar pictures are not flagged: {found.why_not}"
    )
    file = weights_to_change(folder, find_weights(folder, weights, dataset=dataset.spec.name))
    nothing_failed = ["no case failed there: the threshold is the highest uncertainty seen"]
    say_end(
        f"learnt from {counted(found.review.cases, f'{split} case')} -> {file.parent / 'spec.json'}, used from now on",
        doubtful=[] if found.review.failures else nothing_failed,
        following=f"medseg predict {bundle} IMAGES, which now flags them",
    )
