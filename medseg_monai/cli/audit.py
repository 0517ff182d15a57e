"""`medseg audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medseg_monai.api.audit import FOLDS_FOLDER, LabelAudit
from medseg_monai.api.audit import audit as audit_labels
from medseg_monai.cli.endings import say_end
from medseg_monai.cli.options import Assignments, Device, Verbose, Weights
from medseg_monai.program.messages import counted

if TYPE_CHECKING:
    from medseg_monai.audit.run import Audit


def audit(
    data: Annotated[Path, typer.Argument(help="The data set: a folder with dataset.json.")],
    bundle: Annotated[
        str | None,
        typer.Argument(help="A bundle whose weights have not seen the cases; default: quick folds are trained."),
    ] = None,
    probabilities: Annotated[
        Path | None,
        typer.Option(
            "--probabilities",
            "-p",
            help="Folder of `train --folds …` or `predict --probabilities`.",
        ),
    ] = None,
    weights: Weights = None,
    folds: Annotated[int, typer.Option(min=2, help="How many quick folds to train if nothing else is named.")] = 3,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Minutes for all of them; default: three for each.")
    ] = None,
    listed_from: Annotated[
        float, typer.Option("--from", min=0, max=7, help="Evidence, in nats, from which a label is listed as doubtful.")
    ] = 3.0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables and the page; created.")] = Path(
        "audit"
    ),
    device: Device = None,
    verbose: Verbose = False,
    assignments: Assignments = None,
) -> None:
    """Rank labels that are probably wrong, by what networks that have not seen the cases say of them: shifted, missing parts …

    audit.csv has all cases; leave_out.csv, for `medseg prepare --leave-out`, those that are doubtful; index.html shows them.
    """
    found = audit_labels(
        data,
        bundle,
        probabilities=probabilities,
        weights=weights,
        folds=folds,
        minutes=minutes,
        listed_from=listed_from,
        out=out,
        device=device,
        verbose=verbose,
        assignments=assignments,
    )
    if found.found is None:
        say_end(
            f"{folds} folds -> {out / FOLDS_FOLDER}/ (stopped)",
            following="the same command, which goes on where it was",
        )
        return
    _say_end(found, found.found)
    if found.found.failed:
        raise typer.Exit(1)


def _say_end(done: LabelAudit, found: Audit) -> None:
    """Print the most doubtful labels, how many there are, and what to do with them."""
    table = done.folder / "audit.csv"
    for one in found.listed[:3]:
        typer.echo(f"{one.kind}: {one.case}: {one.reason}")
    without = found.dice.get("without those listed") if found.listed else None
    again = f"; mean Dice of network and label {found.dice['all']:.3f}"
    again += "" if without is None else f", without the doubtful {without:.3f}"
    missing = f"{counted(len(found.not_judged), 'case')} not judged, see {table}" if found.not_judged else None
    say_end(
        f"{counted(len(found.findings), 'label')} judged: {len(found.listed)} doubtful{again} -> {table}",
        look=done.page,
        doubtful=[missing] if missing else [],
        following=f"look at them, then medseg prepare … --leave-out {done.leave_out}" if found.listed else None,
    )
