"""`medseg tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from medseg_monai.cli.options import Assignments, BundleName, DatasetDir, Device, Weights, given, text


def tune(
    bundle: BundleName,
    dataset_dir: DatasetDir = None,
    weights: Weights = None,
    metric: Annotated[
        Literal["dice", "jaccard", "competition"],
        typer.Option(help="The score to raise; competition: the UW-Madison one, for slices of scans."),
    ] = "dice",
    split: Annotated[str, typer.Option(help="The cases to choose on; never those of a test to come.")] = "validation",
    device: Device = None,
    assignments: Assignments = None,
) -> None:
    """Choose thresholds and mask cleaning for trained weights; what holds on held-out cases goes into their spec.json."""
    from medseg_monai.bundle import find_bundle
    from medseg_monai.tuning.run import REPORT_FILE
    from medseg_monai.workflow import parse_assignments, run_bundle

    values = given(dataset_dir=text(dataset_dir), weights=weights, metric=metric, split=split, device=device)
    folder = find_bundle(bundle)
    workflow = run_bundle(
        folder,
        "evaluate",
        values,
        assignments=parse_assignments(assignments or []),
        overlays=[folder / "configs" / "tune.json"],
    )
    out = Path(workflow.parser.get_parsed_content("output_dir"))
    typer.echo((out / REPORT_FILE).read_text(encoding="utf-8"))
    typer.echo(f"report: {out / REPORT_FILE}; used from now on: {Path(out).parent / 'spec.json'}")
