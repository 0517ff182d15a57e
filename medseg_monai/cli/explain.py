"""`medseg explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.cli.endings import counted, say_end
from medseg_monai.cli.options import Assignments, BundleName, Device, Verbose, Weights, check_there, given, text

NOTES_SHOWN = 20


def explain(
    bundle: BundleName,
    images: Annotated[list[Path] | None, typer.Argument(help="Images, or folders of images.")] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for maps, panels and explanations.csv; created.")
    ] = Path("explanations"),
    weights: Weights = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", "-c", help="A class to explain; default: all. May be repeated.")
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option("--layer", help="A layer for Grad-CAM; default: bottleneck. May be repeated; see --layers."),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", help="cam, gradcam, gradcampp or occlusion; default: cam and gradcam."),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            help="Where the class's mean logit is taken: predicted (default), truth, image, pixel:X,Y, box:X,Y,W,H, mask:FILE."
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="A data set with these images, a folder of masks, or the mask of a single image."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Deletion, insertion and randomisation: can the maps be trusted?")
    ] = False,
    report: Annotated[bool, typer.Option("--report", help="Also write report.html, one file with the panels.")] = False,
    list_layers: Annotated[bool, typer.Option("--layers", help="List the layers that maps can be made from.")] = False,
    device: Device = None,
    verbose: Verbose = False,
    assignments: Assignments = None,
) -> None:
    """Show where a network looks for a class: CAM and Grad-CAM maps and a panel for each image."""
    from medseg_monai.bundle.assignments import parse_assignments
    from medseg_monai.bundle.paths import find_bundle, find_weights

    folder, overrides = find_bundle(bundle), parse_assignments(assignments or [])
    check_there(*(images or []), truth)
    if weights:
        find_weights(folder, weights)
    if list_layers:
        _list_layers(folder, weights)
        return
    from medseg_monai.bundle.workflow import run_bundle

    values = given(
        dataset_dir=[str(image) for image in images or []],
        output_dir=str(out),
        weights=weights,
        classes=classes or None,
        layers=layers or None,
        methods=methods or None,
        region=region,
        truth=text(truth),
        check=check or None,
        report=report or None,
        device=device,
    )
    try:
        run_bundle(folder, "explain", values, assignments=overrides)
    except SystemExit:  # some images could not be used: still report the others
        _report(out, check)
        raise
    _report(out, check)


def _list_layers(bundle: Path, weights: str | None) -> None:
    from medseg_monai.bundle.trained import find_trained
    from medseg_monai.explain.layers import list_layers
    from medseg_monai.explain.maps import DEFAULT_LAYERS

    trained = find_trained(bundle, weights)
    layers = list_layers(trained.build_network(), trained.dataset)
    defaults = {DEFAULT_LAYERS["gradcam"]: "Grad-CAM's default", DEFAULT_LAYERS["cam"]: "CAM's default"}
    width = max(len(layer.name) for layer in layers)
    typer.echo(f"{'layer':<{width}}  channels  stride")
    for layer in layers:
        stride = str(layer.stride[0]) if len(set(layer.stride)) == 1 else "x".join(map(str, layer.stride))
        typer.echo(f"{layer.name:<{width}}  {layer.channels:>8}  {stride:>6}  {defaults.get(layer.name, '')}".rstrip())


def _report(folder: Path, checked: bool) -> None:
    """Print the number of maps, the table's notes, and the checks' tables."""
    from medseg_monai.explain.checks import SUMMARY_FILE
    from medseg_monai.explain.files import TABLE_FILE
    from medseg_monai.files.csv_tables import read_records
    from medseg_monai.report.evaluation import REPORT_FILE

    rows = read_records(folder / TABLE_FILE)
    cases = {row["case"] for row in rows}
    noted = [row for row in rows if row["note"]]
    for row in noted[:NOTES_SHOWN]:
        typer.echo(f"note: {row['case']}: {row['class']}: {row['method']}: {row['note']}")
    if len(noted) > NOTES_SHOWN:
        typer.echo(f"note: {len(noted) - NOTES_SHOWN} more in {TABLE_FILE}")
    if checked:
        typer.echo("\n" + (folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    maps = counted(sum(bool(row["map"]) for row in rows), "map")
    page = folder / REPORT_FILE
    say_end(
        f"{maps} of {counted(len(cases), 'image')} -> {folder}/ ({TABLE_FILE}, panels)",
        look=page if page.is_file() else None,
        following=None if checked else "add --check to see whether the maps can be trusted",
    )
