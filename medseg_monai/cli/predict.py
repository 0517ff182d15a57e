"""`medseg predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.cli.options import Assignments, BundleName, Device, Out, Weights, given


def predict(
    bundle: BundleName,
    scans: Annotated[
        list[Path],
        typer.Argument(
            help="Images or volumes (NIfTI, NRRD, MHA, DICOM folder), or folders of them (searched recursively)."
        ),
    ],
    out: Out,
    weights: Weights = None,
    threshold: Annotated[
        float | None, typer.Option(help="Probability that a pixel's class exceeds; default: as tuned, else 0.5.")
    ] = None,
    largest: Annotated[
        bool | None, typer.Option("--largest/--all-components", help="Keep each class's largest component only.")
    ] = None,
    fill_holes: Annotated[
        bool | None, typer.Option("--fill-holes/--keep-holes", help="Fill the holes in masks.")
    ] = None,
    min_size: Annotated[
        float | None, typer.Option(help="Remove smaller components: pixels of the image, mm³ in volumes.")
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write probabilities (8-bit PNG).")
    ] = False,
    overlays: Annotated[bool, typer.Option("--overlays", help="Also draw the outline on the image.")] = False,
    series: Annotated[
        str | None, typer.Option(help="Of a DICOM folder with several series: all, largest, or a SeriesInstanceUID.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do again what is already in OUT.")] = False,
    device: Device = None,
    assignments: Assignments = None,
) -> None:
    """Segment images: a mask PNG each, in the image's own size; what fails is listed in OUT/failures.csv."""
    from medseg_monai.bundle import find_bundle
    from medseg_monai.workflow import parse_assignments, run_bundle

    cleaning = {
        f"cleaning#{name}": value
        for name, value in {"largest": largest, "fill_holes": fill_holes, "min_size": min_size}.items()
    }
    overrides = given(
        dataset_dir=[str(scan) for scan in scans],
        output_dir=str(out),
        weights=weights,
        threshold=threshold,
        **cleaning,
        probabilities=probabilities,
        overlays=overlays,
        series=series,
        overwrite=overwrite,
        device=device,
    )
    run_bundle(find_bundle(bundle), "inference", {**overrides, **parse_assignments(assignments or [])})
