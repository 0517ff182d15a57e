"""`medseg evaluate`, and `medseg compare` for its results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.cli.endings import counted, say_end
from medseg_monai.cli.options import (
    Assignments,
    BundleName,
    DatasetDir,
    Device,
    Verbose,
    Weights,
    check_there,
    given,
    text,
)


def evaluate(
    bundle: BundleName,
    dataset_dir: DatasetDir = None,
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
    from medseg_monai.bundle.assignments import parse_assignments
    from medseg_monai.bundle.paths import find_bundle, find_weights

    folder, overrides = find_bundle(bundle), parse_assignments(assignments or [])
    check_there(dataset_dir, strata, annotators)
    if weights:
        find_weights(folder, weights)
    from medseg_monai.bundle.workflow import run_bundle
    from medseg_monai.report.evaluation import REPORT_FILE

    values = given(dataset_dir=text(dataset_dir), output_dir=text(out), weights=weights, split=split, device=device)
    values |= given(strata=text(strata), annotators=text(annotators))
    values |= {"report": True} if report else {}
    workflow = run_bundle(folder, "evaluate", values, assignments=overrides)
    place = Path(workflow.parser.get_parsed_content("output_dir"))
    typer.echo((place / "summary.md").read_text(encoding="utf-8"))
    cases = counted(len(workflow.parser.get_parsed_content("dataset").data), f"{split} case")
    page = place / REPORT_FILE if report else place / "cases.jpg"
    weights_used = workflow.parser.get_parsed_content("weights_file")
    say_end(
        f"{cases} scored with {weights_used} -> {place}/ (summary.md, cases.csv)",
        look=page if page.is_file() else None,
        following=None
        if report
        else f"add --report for one page with pictures; medseg compare {place} OTHER-EVALUATION",
    )


def compare(
    evaluations: Annotated[list[Path], typer.Argument(help="Folders that `medseg evaluate` wrote, of the same cases.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; created.")] = Path("comparison"),
    metric: Annotated[str, typer.Option(help="The metric to test for differences.")] = "dice",
) -> None:
    """Compare several evaluations in one table, with intervals and a paired significance test: Markdown, CSV, a plot."""
    check_there(*evaluations)
    from medseg_monai.evaluation.compare import compare as compare_evaluations
    from medseg_monai.evaluation.compare import write_comparison

    written = write_comparison(out, compare_evaluations(evaluations, metric=metric))
    typer.echo((out / "comparison.md").read_text(encoding="utf-8"))
    files = ", ".join(path.name for path in written)
    say_end(f"{counted(len(evaluations), 'evaluation')} compared by {metric} -> {out}/ ({files})")
