"""`medseg review`."""

from __future__ import annotations

from typing import Annotated

import typer

from medseg_monai.cli.options import Assignments, BundleName, DatasetDir, Weights


def review(
    bundle: BundleName,
    dataset_dir: DatasetDir = None,
    weights: Weights = None,
    split: Annotated[str, typer.Option(help="Whose cases tell; not test.")] = "validation",
    failure_dice: Annotated[float, typer.Option(help="A case below this Dice is a failure.")] = 0.7,
    catch: Annotated[float, typer.Option(help="Share of the failures that must be flagged.")] = 0.9,
    assignments: Assignments = None,
) -> None:
    """Learn from validation which predictions a person should look at; `medseg predict` then flags them in predictions.csv."""
    from tqdm import tqdm

    from medseg_monai.bundle import find_bundle, open_dataset
    from medseg_monai.tuning.review_run import review_bundle
    from medseg_monai.workflow import parse_assignments

    found = review_bundle(
        find_bundle(bundle),
        open_dataset(dataset_dir),
        weights=weights,
        split=split,
        failure_dice=failure_dice,
        catch=catch,
        progress=lambda cases: tqdm(cases, desc="predicting", unit="case", disable=None),
        assignments=parse_assignments(assignments or []),
    )
    typer.echo(f"flagged {found}")
