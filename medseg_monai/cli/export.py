"""`medseg export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.cli.endings import say_end
from medseg_monai.cli.options import BundleName, Weights, check_there


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
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="An argument of the network for inference, KEY=VALUE (inference_depth=2)."),
    ] = None,
) -> None:
    """Write trained weights as a file for another runtime, with their spec inside; refused if the outputs differ."""
    from medseg_monai.bundle.assignments import parse_assignments
    from medseg_monai.bundle.paths import find_bundle, find_weights

    folder = find_bundle(bundle)
    file, overrides = find_weights(folder, weights), parse_assignments(assignments or [])
    check_there(*(samples or []))
    from medseg_monai.engines.convert import FORMATS, SUFFIXES
    from medseg_monai.export.export import export as export_network
    from medseg_monai.export.export import parity_file, sample_images, trained_network
    from medseg_monai.export.exported import format_of
    from medseg_monai.program.messages import did_you_mean

    chosen = next((known for known in FORMATS if known == fmt), None) if fmt else format_of(out or Path("x.ts"))
    if chosen is None:
        raise ValueError(f"unknown format {fmt!r}{did_you_mean(fmt, FORMATS)}")
    out = out or Path(f"{folder.resolve().name}{SUFFIXES[chosen]}")
    trained, network = trained_network(file, overrides)
    images = sample_images(trained.dataset, samples) if samples else None
    parity = export_network(trained, network, out, chosen, images=images)
    shown = "the images given" if samples else "generated images"
    say_end(
        f"{file} -> {out} ({chosen}); against torch on {shown}, which says nothing about accuracy: {parity} · report: {parity_file(out)}"
    )
