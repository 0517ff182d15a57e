"""`medseg audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medseg_monai.cli.endings import counted, say_end
from medseg_monai.cli.options import Assignments, Device, Weights, check_there, given

if TYPE_CHECKING:
    from medseg_monai.audit.answers import Answers
    from medseg_monai.dataset import Dataset

FOLDS_FOLDER = "folds"
"""Below the audit's own, for the quick folds that it trains itself."""


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
    assignments: Assignments = None,
) -> None:
    """Rank labels that are probably wrong, by what networks that have not seen the cases say of them: shifted, missing parts …

    audit.csv has all cases; leave_out.csv, for `medseg prepare --leave-out`, those that are doubtful; index.html shows them.
    """
    from medseg_monai.bundle.assignments import parse_assignments

    overrides = parse_assignments(assignments or [])
    check_there(data, probabilities)
    if probabilities is not None and (bundle or weights):
        raise ValueError("give --probabilities, or a bundle and its weights, not both")
    if weights is not None and bundle is None:
        raise ValueError("--weights needs the name of their bundle: medseg audit DATA BUNDLE --weights …")
    from medseg_monai.dataset import check_dataset, read_dataset

    dataset = read_dataset(data)
    if probabilities is None and bundle is None:
        check_dataset(dataset)
        values = given(minutes=None if minutes is None else minutes / folds, device=device)
        probabilities = out / FOLDS_FOLDER
        if not _quick_folds(data, dataset, probabilities, folds, values, overrides):
            say_end(
                f"{folds} folds -> {probabilities}/ (stopped)", following="the same command, which goes on where it was"
            )
            return
    _audit(
        dataset, _answers(dataset, probabilities, bundle, weights, overrides, given(device=device)), out, listed_from
    )


def _quick_folds(
    data: Path, dataset: Dataset, folder: Path, count: int, values: dict[str, Any], overrides: dict[str, Any]
) -> bool:
    """Train networks that have not seen each case, unless they are there; whether all are done."""
    from medseg_monai.api.train import bundle_and_data
    from medseg_monai.dataset.cases import as_list
    from medseg_monai.folds.run import FoldRun

    bundle, _ = bundle_and_data(None, data)
    typer.echo(f"no probabilities named: {count} quick folds of {bundle.name} -> {folder}/", err=True)
    settings = {"preset": "quick", **values} if "minutes" not in values else values
    single = all(len(as_list(case["image"])) == 1 for case in dataset.training + dataset.validation)
    run = FoldRun(bundle, data, folder, count, settings, assignments=overrides, keep_probabilities=single)
    return run.train()


def _answers(
    dataset: Dataset,
    probabilities: Path | None,
    bundle: str | None,
    weights: str | None,
    overrides: dict[str, Any],
    options: dict[str, Any],
) -> Answers:
    from medseg_monai.audit.answers import asked_answers, kept_answers
    from medseg_monai.bundle.paths import find_bundle

    if probabilities is not None:
        return kept_answers(probabilities, dataset)
    assert bundle is not None  # one of the two is named, or was trained
    return asked_answers(find_bundle(bundle), weights, dataset, assignments={**options, **overrides})


def _audit(dataset: Dataset, answers: Answers, out: Path, listed_from: float) -> None:
    from tqdm import tqdm

    from medseg_monai.audit.output import AUDIT_FILE, LEAVE_OUT_FILE, write_audit
    from medseg_monai.audit.run import audit_dataset

    found = audit_dataset(
        dataset,
        answers,
        listed_from=listed_from,
        progress=lambda cases: tqdm(cases, desc="judging", unit="label", disable=None),
    )
    origins = sorted({answer.origin for answer in answers.values()})
    run = {"data set": str(dataset.root), "probabilities": origins, "listed from (nats)": listed_from}
    page = write_audit(out, found, dataset, answers, run=run)
    for one in found.listed[:3]:
        typer.echo(f"{one.kind}: {one.case}: {one.reason}")
    without = found.dice.get("without those listed")
    again = "" if without is None else f"; mean Dice {found.dice['all']:.3f}, without the doubtful {without:.3f}"
    missing = (
        f"{counted(len(found.not_judged), 'case')} not judged, see {out / AUDIT_FILE}" if found.not_judged else None
    )
    say_end(
        f"{counted(len(found.findings), 'label')} judged: {len(found.listed)} doubtful{again} -> {out / AUDIT_FILE}",
        look=page,
        doubtful=[missing] if missing else [],
        following=f"look at them, then medseg prepare … --leave-out {out / LEAVE_OUT_FILE}" if found.listed else None,
    )
    if found.failed:
        raise typer.Exit(1)
