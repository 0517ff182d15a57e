"""`medseg list` and `medseg doctor`: what is here."""

from __future__ import annotations

import typer


def list_bundles() -> None:
    """The bundles, and what each has been trained on."""
    from medseg_monai.bundle_files import list_bundles as found
    from medseg_monai.bundle_files import trained_on

    for bundle in found():
        typer.echo(f"{bundle.name:<16} {', '.join(trained_on(bundle)) or 'not trained yet'}")


def doctor() -> None:
    """What is installed, what hardware is seen, what is missing."""
    from medseg_monai.doctor import examine

    findings = examine()
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        typer.echo(f"{'ok ' if finding.fine else '-- '} {finding.what:<{width}}  {finding.found}")
