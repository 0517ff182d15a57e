"""`medseg export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.api.export import export as export_weights
from medseg_monai.cli.endings import say_end
from medseg_monai.cli.options import BundleName, Verbose, Weights


def export(
    bundle: BundleName,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write: .ts (default: BUNDLE.ts), .onnx, .xml (with .bin) or .pt2."),
    ] = None,
    fmt: Annotated[
        str | None, typer.Option("--format", "-f", help="torchscript, onnx, openvino or torch-export; default: by OUT.")
    ] = None,
    weights: Weights = None,
    samples: Annotated[
        list[Path] | None,
        typer.Option(help="Images, or folders of images, to compare the outputs on; default: generated ones."),
    ] = None,
    verbose: Verbose = False,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="An argument of the network for inference, KEY=VALUE (inference_depth=2)."),
    ] = None,
) -> None:
    """Write trained weights as a file for another runtime, with their spec inside; refused if the outputs differ."""
    found = export_weights(
        bundle, out=out, fmt=fmt, weights=weights, samples=samples, verbose=verbose, assignments=assignments
    )
    shown = "the images given" if samples else "generated images"
    say_end(
        f"{found.weights} -> {found.file} ({found.parity.format}); against torch on {shown}, which says nothing about accuracy: "
        f"{found.parity} · report: {found.report}"
    )
