"""How `medseg prepare` goes on and ends: a progress bar, what was prepared, what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from medseg_monai.prepare.prepared import Prepared


def reading() -> Callable[..., Iterable[Any]]:
    """A progress bar for the pass over all pairs, on a terminal."""
    from functools import partial

    from tqdm import tqdm

    return partial(tqdm, desc="reading", disable=None)


def folder_by_name(raw: Path) -> Path:
    """The default output folder, named after the raw folder."""
    return Path("data") / raw.resolve().name


def say_prepared(prepared: Prepared, out: Path) -> None:
    """Print what was prepared and what was left out."""
    from medseg_monai.grids.kinds import kind_of

    shown = 20
    for path, reason in prepared.left_out[:shown]:
        typer.echo(f"left out: {path}: {reason}", err=True)
    if len(prepared.left_out) > shown:
        typer.echo(f"left out: {len(prepared.left_out) - shown} more, see {out / 'left_out.csv'}", err=True)
    for note in prepared.notes:
        typer.echo(f"note: {note}", err=True)
    counts = ", ".join(
        f"{len(getattr(prepared.dataset, split))} {split}" for split in ("training", "validation", "test")
    )
    spec = prepared.dataset.spec
    if prepared.layout:
        cases = sum(len(getattr(prepared.dataset, split)) for split in ("training", "validation", "test"))
        typer.echo(f"read as {prepared.layout!r}: {cases} cases, classes {', '.join(spec.classes)}")
    typer.echo(f"{out / 'dataset.json'}: {spec.name}, {counts} cases")
    if spec.spacing_mm is not None:
        spacing = " x ".join(f"{side:g}" for side in spec.spacing_mm)
        patch = "x".join(str(side) for side in spec.size or ())
        rule = " ".join(str(value) for value in spec.intensity.to_dict().values() if not isinstance(value, list))
        typer.echo(f"spacing {spacing} mm, patch {patch} voxels, intensity {rule}: change them in dataset.json")
    typer.echo(f"next: medseg train {kind_of(spec).first_bundle} --dataset-dir {out}")
