"""`medseg explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.api.explain import Explanations
from medseg_monai.api.explain import explain as explain_images
from medseg_monai.api.explain import list_layers as layers_of
from medseg_monai.cli.endings import end_with_failures, say_end
from medseg_monai.cli.options import Assignments, BundleName, Device, Verbose, Weights
from medseg_monai.program.messages import counted

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
    if list_layers:
        _list_layers(bundle, weights)
        return
    found = explain_images(
        bundle,
        images,
        out=out,
        weights=weights,
        classes=classes,
        layers=layers,
        methods=methods,
        region=region,
        truth=truth,
        check=check,
        report=report,
        device=device,
        verbose=verbose,
        assignments=assignments,
    )
    _say_end(found, check)
    end_with_failures(found.failures, found.images, found.folder)


def _list_layers(bundle: str, weights: str | None) -> None:
    layers = layers_of(bundle, weights=weights)
    from medseg_monai.explain.maps import DEFAULT_LAYERS

    defaults = {DEFAULT_LAYERS["gradcam"]: "Grad-CAM's default", DEFAULT_LAYERS["cam"]: "CAM's default"}
    width = max(len(layer.name) for layer in layers)
    typer.echo(f"{'layer':<{width}}  channels  stride")
    for layer in layers:
        stride = str(layer.stride[0]) if len(set(layer.stride)) == 1 else "x".join(map(str, layer.stride))
        typer.echo(f"{layer.name:<{width}}  {layer.channels:>8}  {stride:>6}  {defaults.get(layer.name, '')}".rstrip())


def _say_end(found: Explanations, checked: bool) -> None:
    """Print the number of maps, the table's notes, and the checks' tables."""
    from medseg_monai.explain.files import TABLE_FILE

    noted = [row for row in found.rows if row["note"]]
    for row in noted[:NOTES_SHOWN]:
        typer.echo(f"note: {row['case']}: {row['class']}: {row['method']}: {row['note']}")
    if len(noted) > NOTES_SHOWN:
        typer.echo(f"note: {len(noted) - NOTES_SHOWN} more in {TABLE_FILE}")
    if checked:
        typer.echo("\n" + found.checks)
    maps = counted(len(found.maps), "map")
    say_end(
        f"{maps} of {counted(len(found.cases), 'image')} -> {found.folder}/ ({TABLE_FILE}, panels)",
        look=found.page,
        following=None if checked else "add --check to see whether the maps can be trusted",
    )
