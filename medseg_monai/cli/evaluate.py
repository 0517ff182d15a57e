"""`medseg evaluate`, and `medseg compare` for its results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.api.compare import compare as compare_evaluations
from medseg_monai.api.evaluate import evaluate as evaluate_weights
from medseg_monai.cli.endings import end_with_failures, say_end
from medseg_monai.cli.options import Assignments, BundleName, Device, LabelledData, Verbose, Weights
from medseg_monai.program.messages import counted
from medseg_monai.program.process import take_huge_pages


def evaluate(
    bundle: BundleName,
    dataset_dir: LabelledData = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the tables; default: beside the weights.")
    ] = None,
    weights: Weights = None,
    split: Annotated[str, typer.Option(help="training, validation or test.")] = "test",
    strata: Annotated[
        Path | None,
        typer.Option(
            help="CSV with image_id and columns by which to divide the cases: centre, scanner …", show_default=False
        ),
    ] = None,
    annotators: Annotated[
        Path | None,
        typer.Option(
            help="Folder with a folder of masks for each annotator, to compare the network with.", show_default=False
        ),
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Also write report.html, one file with pictures.")] = False,
    device: Device = None,
    verbose: Verbose = False,
    assignments: Assignments = None,
) -> None:
    """Score trained weights on a split, each image at its own resolution: cases.csv, summary.json, summary.md."""
    take_huge_pages()
    found = evaluate_weights(
        bundle,
        dataset_dir,
        out=out,
        weights=weights,
        split=split,
        strata=strata,
        annotators=annotators,
        report=report,
        device=device,
        verbose=verbose,
        assignments=assignments,
    )
    typer.echo(found.markdown)
    place, page = found.folder, found.page if report else found.folder / "cases.jpg"
    cases = found.summary.n_cases + len(found.failures)
    scored = f"{found.summary.n_cases:,} of " if found.failures else ""
    say_end(
        f"{scored}{counted(cases, f'{found.split} case')} scored with {found.weights} -> {place}/ (summary.md, cases.csv)",
        look=page if page is not None and page.is_file() else None,
        following=None
        if report
        else f"add --report for one page with pictures; medseg compare {place} OTHER-EVALUATION",
    )
    end_with_failures(found.failures, cases, place)


def compare(
    evaluations: Annotated[list[Path], typer.Argument(help="Folders that `medseg evaluate` wrote, of the same cases.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; created.")] = Path("comparison"),
    metric: Annotated[str, typer.Option(help="The metric to test for differences.")] = "dice",
) -> None:
    """Compare several evaluations in one table, with intervals and a paired significance test: Markdown, CSV, a plot."""
    found = compare_evaluations(evaluations, out=out, metric=metric)
    typer.echo(found.markdown)
    files = ", ".join(path.name for path in found.files)
    say_end(f"{counted(len(evaluations), 'evaluation')} compared by {metric} -> {out}/ ({files})")
