"""`medseg correct`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.api.correct import correct as correct_image
from medseg_monai.cli.endings import say_end
from medseg_monai.cli.options import BundleName, Device, Verbose, Weights
from medseg_monai.program.messages import counted


def correct(
    bundle: BundleName,
    image: Annotated[Path, typer.Argument(help="A photograph or volume.")],
    inside: Annotated[
        list[str] | None,
        typer.Option(help="ROW,COLUMN (of a volume ROW,COLUMN,SLICE) of a pixel that belongs to the class; repeat it."),
    ] = None,
    outside: Annotated[
        list[str] | None, typer.Option(help="Of a pixel that does not; CLASS:ROW,COLUMN if there are several classes.")
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(help="ROW,COLUMN,ROW,COLUMN of the first and last pixel of a box that it just fits into."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; created.")] = Path("corrected"),
    weights: Weights = None,
    formats: Annotated[str | None, typer.Option("--format", help="As for medseg predict.")] = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also draw the outline on the image.")] = False,
    device: Device = None,
    verbose: Verbose = False,
) -> None:
    """Segment an image and correct the mask by clicks: pixels, counted from 0 at the top left, that are inside or outside."""
    found = correct_image(
        bundle,
        image,
        inside=inside,
        outside=outside,
        box=box,
        out=out,
        weights=weights,
        formats=formats,
        overlay=overlay,
        device=device,
        verbose=verbose,
    )
    from medseg_monai.grids.kinds import kind_of

    count = len(inside or []) + len(outside or [])
    unit = "pixel" if found.found.spec is None else kind_of(found.found.spec).elements.removesuffix("s")
    by = [counted(count, "click")] if count else []
    say_end(
        f"{image.name} corrected by {' and '.join(by + ['a box'] * (box is not None))} -> "
        f"{', '.join(map(str, found.files))} ({counted(found.changed, unit)} changed)"
    )
