"""`medseg train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.cli.options import Assignments, BundleName, DatasetDir, Device, Size, check_there, given, text


def train(
    bundle: BundleName,
    dataset_dir: DatasetDir = None,
    max_epochs: Annotated[int | None, typer.Option(help="Passes over the training cases.")] = None,
    size: Size = None,
    seed: Annotated[int | None, typer.Option(help="Decides every random choice.")] = None,
    device: Device = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Where the weights go; default: BUNDLE/models/DATA SET.")
    ] = None,
    memory_gb: Annotated[
        float | None,
        typer.Option(help="Memory to keep to: the patch of volumes, then the batch, are made as small as that needs."),
    ] = None,
    tracking: Annotated[
        str | None, typer.Option(help="mlflow: also log to MLflow, by MONAI (extra: tracking).")
    ] = None,
    assignments: Assignments = None,
    overlay: Annotated[list[Path] | None, typer.Option(help="Further config files merged over train.json.")] = None,
) -> None:
    """Train a bundle on a data set; weights and spec.json go to BUNDLE/models/DATA SET."""
    from medseg_monai.assignments import parse_assignments
    from medseg_monai.bundle_files import find_bundle

    folder, overrides = find_bundle(bundle), parse_assignments(assignments or [])
    check_there(dataset_dir, *(overlay or []))
    from medseg_monai.workflow import run_bundle

    values = given(
        dataset_dir=text(dataset_dir),
        max_epochs=max_epochs,
        size=None if size is None else [size, size],
        seed=seed,
        device=device,
        memory_gb=memory_gb,
        output_dir=text(output_dir),
    )
    workflow = run_bundle(
        folder,
        "train",
        values,
        assignments=overrides,
        overlays=overlay or [],
        tracking=tracking,
    )
    typer.echo(f"weights: {workflow.parser.get_parsed_content('output_dir')}/model.pt")
