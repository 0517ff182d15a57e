"""`medseg correct`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.cli.endings import counted, say_end
from medseg_monai.cli.options import BundleName, Device, Verbose, Weights, check_there, given


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
    from medseg_monai.bundle.paths import find_bundle, find_weights
    from medseg_monai.clicks.text import parse_box, parse_click

    folder = find_bundle(bundle)
    check_there(image)
    clicks = [parse_click(text, inside=True) for text in inside or []]
    clicks += [parse_click(text, inside=False) for text in outside or []]
    fitted = None if box is None else parse_box(box)
    if not clicks and fitted is None:
        raise ValueError("nothing to correct by: give --inside, --outside or --box")
    find_weights(folder, weights)
    from medseg_monai.clicks.run import correct_image
    from medseg_monai.grids.kinds import kind_of

    options = given(device=device)
    found = correct_image(
        folder, image, out, clicks=clicks, box=fitted, weights=weights, formats=formats, overlay=overlay, **options
    )
    unit = kind_of(found.spec).elements.removesuffix("s")
    by = [counted(len(clicks), "click")] if clicks else []
    say_end(
        f"{image.name} corrected by {' and '.join(by + ['a box'] * (fitted is not None))} -> "
        f"{', '.join(map(str, found.files))} ({counted(found.changed, unit)} changed)"
    )
