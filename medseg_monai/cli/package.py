"""`medseg package` and `medseg check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.api.arguments import check_there
from medseg_monai.cli.endings import say_end
from medseg_monai.cli.options import BundleName, Weights


def package(
    bundle: BundleName,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The .zip to write; default: BUNDLE.zip.")] = None,
    weights: Weights = None,
    wheel: Annotated[
        Path | None, typer.Option(help="Wheel of medseg-monai to include; default: built from this source.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="An argument of the network for inference, KEY=VALUE (inference_depth=2)."),
    ] = None,
) -> None:
    """Write a bundle with its weights, model card, licences and this package's wheel as one zip that runs anywhere."""
    from medseg_monai.bundle.assignments import parse_assignments
    from medseg_monai.bundle.paths import find_bundle, find_weights

    root, options = find_bundle(bundle), parse_assignments(assignments or [])
    file = find_weights(root, weights)
    check_there(wheel)
    from medseg_monai.export.package import package as write_package

    out = out or Path(f"{root.resolve().name}.zip")
    rules = write_package(root, file, out, options=options, wheel=wheel)
    for rule in rules:
        typer.echo(rule)
    say_end(
        f"{file} and its bundle -> {out} ({out.stat().st_size / 2**20:.1f} MB)",
        following=f"its docs/README.md says how to run it; medseg check {out}",
    )


def check(
    bundle: Annotated[str, typer.Argument(help="A bundle's name or folder, or a packaged zip.")],
) -> None:
    """Check a bundle against the rules of MONAI's model zoo, offline. This runs its config: check only bundles that you trust."""
    from medseg_monai.export.check import check_bundle, opened

    with opened(bundle) as root:
        rules = check_bundle(root)
    for rule in rules:
        typer.echo(rule)
    if failed := sum(not rule.ok for rule in rules):
        typer.echo(f"{failed} of {len(rules)} rules failed", err=True)
        raise typer.Exit(1)
    say_end(f"{bundle}: all {len(rules)} rules of the model zoo are met")
