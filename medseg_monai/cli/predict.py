"""`medseg predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.cli.options import Assignments, BatchSize, BundleName, Device, Out, Workers, check_there, given


def predict(
    bundle: BundleName,
    scans: Annotated[
        list[Path],
        typer.Argument(
            help="Images or volumes (NIfTI, NRRD, MHA, DICOM folder), or folders of them (searched recursively)."
        ),
    ],
    out: Out,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights",
            "-w",
            help="Weights file, its folder, or the data set's name; several times for the mean of several networks.",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="torch (default), onnx, openvino; auto tries those installed; plain for plain float32."),
    ] = None,
    tta: Annotated[
        str | None, typer.Option(help="Mean over mirrored images: flips; over turned ones too: dihedral.")
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option("--format", help="png, geojson, coco, rle; of volumes nifti, nrrd, mha, dicomseg. With commas."),
    ] = None,
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
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Also write how unsure the network is of each pixel.")
    ] = False,
    overlays: Annotated[bool, typer.Option("--overlays", help="Also draw the outline on the image.")] = False,
    series: Annotated[
        str | None, typer.Option(help="Of a DICOM folder with several series: all, largest, or a SeriesInstanceUID.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do again what is already in OUT.")] = False,
    batch_size: BatchSize = None,
    workers: Workers = None,
    device: Device = None,
    assignments: Assignments = None,
) -> None:
    """Segment images: a mask each, in the image's own size, and a row in predictions.csv; failures are listed in failures.csv."""
    from medseg_monai.assignments import parse_assignments
    from medseg_monai.bundle_files import find_bundle, find_weights
    from medseg_monai.startup import without_unused

    folder, overrides = find_bundle(bundle), parse_assignments(assignments or [])
    check_there(*scans)
    if weights or "weights" not in overrides:
        for name in weights or [""]:
            find_weights(folder, name)
    with without_unused():
        from medseg_monai.workflow import run_bundle

    cleaning = {
        f"cleaning#{name}": value
        for name, value in {"largest": largest, "fill_holes": fill_holes, "min_size": min_size}.items()
    }
    values = given(
        dataset_dir=[str(scan) for scan in scans],
        output_dir=str(out),
        weights=weights[0] if weights else None,
        ensemble=weights[1:] if weights else None,
        engine=engine,
        tta=tta,
        formats=formats,
        threshold=threshold,
        **cleaning,
        probabilities=probabilities,
        uncertainty=uncertainty,
        overlays=overlays,
        series=series,
        overwrite=overwrite,
        batch_size=batch_size,
        num_workers=workers,
        device=device,
    )
    run_bundle(folder, "inference", values, assignments=overrides)
