"""How `medseg prepare` ends: what was prepared, what was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from medseg_monai.api.datasets import ImageDataset


def say_prepared(prepared: ImageDataset) -> None:
    """Print what was prepared and what was left out."""
    from medseg_monai.grids.kinds import kind_of

    shown, out = 20, prepared.folder
    for path, reason in prepared.left_out[:shown]:
        typer.echo(f"left out: {path}: {reason}", err=True)
    if len(prepared.left_out) > shown:
        typer.echo(f"left out: {len(prepared.left_out) - shown} more, see {out / 'left_out.csv'}", err=True)
    for note in prepared.notes:
        typer.echo(f"note: {note}", err=True)
    counts = ", ".join(f"{count} {split}" for split, count in prepared.counts().items())
    spec = prepared.spec
    if prepared.layout:
        typer.echo(f"read as {prepared.layout!r}: {len(prepared)} cases, classes {', '.join(spec.classes)}")
    typer.echo(f"{out / 'dataset.json'}: {spec.name}, {counts} cases")
    if spec.spacing_mm is not None:
        spacing = " x ".join(f"{side:g}" for side in spec.spacing_mm)
        patch = "x".join(str(side) for side in spec.size or ())
        rule = " ".join(str(value) for value in spec.intensity.to_dict().values() if not isinstance(value, list))
        typer.echo(f"spacing {spacing} mm, patch {patch} voxels, intensity {rule}: change them in dataset.json")
    typer.echo(f"next: medseg train {kind_of(spec).first_bundle} --dataset-dir {out}")
