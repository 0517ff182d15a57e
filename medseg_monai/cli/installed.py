"""`medseg list`, `medseg init` and `medseg doctor`: what is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.cli.options import BundleName


def list_bundles() -> None:
    """List the bundles, the data sets that each was trained on, and its folder, which MONAI's own commands take."""
    from medseg_monai.bundle.paths import list_bundles as found
    from medseg_monai.bundle.paths import trained_on

    rows = [(bundle.name, ", ".join(trained_on(bundle)) or "not trained yet", str(bundle)) for bundle in found()]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, trained, folder in rows:
        typer.echo(f"{name:<{widths[0]}}  {trained:<{widths[1]}}  {folder}")


def init(
    bundle: BundleName,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to create; default: bundles/NAME.")] = None,
) -> None:
    """Copy a bundle to ./bundles to change it: from then on the copy takes precedence."""
    from medseg_monai.bundle.paths import BUNDLES, copy_bundle

    folder = copy_bundle(bundle, out)
    found_by_name = folder == Path(BUNDLES) / folder.name
    typer.echo(
        f"{folder}: its network and its recipe are in configs/train.json\n"
        f"next: medseg train {folder.name if found_by_name else folder} --dataset-dir DATA"
    )


def doctor() -> None:
    """Show what is installed, what hardware was found, and what is missing."""
    from medseg_monai.program.doctor import examine

    findings = examine()
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        typer.echo(f"{'ok ' if finding.fine else '-- '} {finding.what:<{width}}  {finding.found}")
