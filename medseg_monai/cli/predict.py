"""`medseg predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medseg_monai.cli.endings import counted, say_end
from medseg_monai.cli.options import Assignments, BatchSize, BundleName, Device, Verbose, Workers, check_there, given
from medseg_monai.program.messages import listed

if TYPE_CHECKING:
    from monai.bundle import ConfigParser

DEFAULT_OUT = Path("masks")
FEW = 2
"""Photographs that are answered by the unchanged network, sooner than an engine could be tried."""


def predict(
    bundle: BundleName,
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Images or volumes (NIfTI, NRRD, MHA, DICOM folder), or folders of them (searched recursively)."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write to; created. Default: masks.")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights",
            "-w",
            help="Weights file, its folder, or the data set's name; repeat it to average several networks.",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="torch (default), onnx, openvino; auto: the fastest one installed; plain: unchanged float32."
        ),
    ] = None,
    tta: Annotated[
        str | None,
        typer.Option(help="Average over mirrored images (flips), or over mirrored and rotated ones (dihedral)."),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="png, geojson, coco, rle; for volumes nifti, nrrd, mha, dicomseg. Separate several with commas.",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Probability above which a pixel belongs to a class; default: as tuned, else 0.5."),
    ] = None,
    largest: Annotated[
        bool | None, typer.Option("--largest/--all-components", help="Keep only the largest component of each class.")
    ] = None,
    fill_holes: Annotated[
        bool | None, typer.Option("--fill-holes/--keep-holes", help="Fill the holes in masks.")
    ] = None,
    min_size: Annotated[
        float | None, typer.Option(help="Remove components smaller than this: pixels of the image, or mm³ for volumes.")
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write probabilities (8-bit PNG).")
    ] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Also write a map of the network's uncertainty.")
    ] = False,
    margins: Annotated[
        bool,
        typer.Option("--margins", help="Also write an outer and an inner mask between which the true outline lies."),
    ] = False,
    overlays: Annotated[bool, typer.Option("--overlays", help="Also draw the outline on the image.")] = False,
    report: Annotated[
        bool | None,
        typer.Option(
            "--report/--no-report", help="Write index.html, one page with pictures; default: for up to 200 images."
        ),
    ] = None,
    series: Annotated[
        str | None, typer.Option(help="For a DICOM folder with several series: all, largest, or a SeriesInstanceUID.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Redo what is already in OUT.")] = False,
    batch_size: BatchSize = None,
    workers: Workers = None,
    device: Device = None,
    verbose: Verbose = False,
    assignments: Assignments = None,
) -> None:
    """Segment images: each gets a mask of the image's size and a row in predictions.csv; failures are listed in failures.csv."""
    from medseg_monai.bundle.assignments import parse_assignments
    from medseg_monai.bundle.paths import encoder_of, find_bundle, find_weights
    from medseg_monai.program.imports import import_timm, without_unused

    folder, overrides = find_bundle(bundle), parse_assignments(assignments or [])
    check_there(*images)
    out = out or _default_out()
    files: list[Path] = []
    if weights or "weights" not in overrides:
        files = [find_weights(folder, name) for name in weights or [""]]
    with without_unused():
        from medseg_monai.bundle.workflow import bundle_workflow, run_workflow
    if encoders := {encoder for file in files if (encoder := encoder_of(file))}:
        import_timm(encoders)

    cleaning = {
        f"cleaning#{name}": value
        for name, value in {"largest": largest, "fill_holes": fill_holes, "min_size": min_size}.items()
    }
    values = given(
        dataset_dir=[str(image) for image in images],
        output_dir=str(out),
        weights=weights[0] if weights else None,
        ensemble=weights[1:] if weights else None,
        engine=engine or ("plain" if _are_few_photographs(images) and "precision" not in overrides else None),
        tta=tta,
        formats=formats,
        threshold=threshold,
        **cleaning,
        probabilities=probabilities,
        uncertainty=uncertainty,
        margins=margins,
        overlays=overlays,
        report=report,
        series=series,
        overwrite=overwrite,
        batch_size=batch_size,
        num_workers=workers,
        device=device,
    )
    workflow = bundle_workflow(folder, "inference", values, assignments=overrides)
    try:
        run_workflow(workflow)
    except SystemExit:  # some images could not be used: still report the others
        _say_end(workflow.parser)
        raise
    _say_end(workflow.parser)


def _are_few_photographs(images: list[Path]) -> bool:
    """Whether these are files of photographs, `FEW` at most; a folder's contents are not counted."""
    from medseg_monai.images.formats import SUFFIXES

    return len(images) <= FEW and all(image.is_file() and image.suffix.lower() in SUFFIXES for image in images)


def _default_out() -> Path:
    """``masks``, unless `medseg predict` did not write the folder of that name: it may contain masks drawn by hand.

    Raises:
        FileExistsError: it did not.
    """
    from medseg_monai.files.writing import HIDDEN_FOLDER

    if DEFAULT_OUT.exists() and not (DEFAULT_OUT / HIDDEN_FOLDER).is_dir():
        raise FileExistsError(
            f"{DEFAULT_OUT}/ already exists and was not written by medseg predict: name another folder with --out"
        )
    return DEFAULT_OUT


def _say_end(parser: ConfigParser) -> None:
    """Print what was done, where the results are, and what is doubtful."""
    from medseg_monai.grids.kinds import kind_of
    from medseg_monai.inference.cases import FAILURES_FILE
    from medseg_monai.report.prediction import PAGE_FILE, read_predictions

    cases, dataset, spec = (parser.get_parsed_content(key) for key in ("cases", "dataset", "spec"))
    out = Path(parser.get_parsed_content("output_dir"))
    here = {str(case["id"]) for case in cases}
    found = [case for case in read_predictions(out) if case.case in here]
    done = len(cases) - len(dataset.failures)
    flagged = [case.case for case in found if case.flagged]
    empty = [case.case for case in found if not any(case.pixels.values())]
    earlier = len(cases) - len(dataset.data)
    counts = [f"{done} {'mask' if done == 1 else 'masks'}{f', {earlier} of them from earlier runs' if earlier else ''}"]
    counts += [f"{len(flagged)} flagged"] if any(case.flagged is not None for case in found) else []
    counts += [f"{len(empty)} empty"] if empty else []
    counts += [f"{len(dataset.failures)} failed"]
    what = counted(len(cases), kind_of(spec).noun)
    look = out / PAGE_FILE if parser.get_parsed_content("writer").pictures else None
    doubtful = [f"flagged, a person should look: {listed(flagged)}"] if flagged else []
    doubtful += [f"nothing was found in {listed(empty)}"] if empty else []
    if failed := [Path(failure.path).name for failure in dataset.failures]:
        doubtful.append(f"left out, see {out / FAILURES_FILE}: {listed(failed)}")
    say_end(f"{what} -> {out}/ ({', '.join(counts)})", look=look, used=_weights_used(parser), doubtful=doubtful)


def _weights_used(parser: ConfigParser) -> str:
    """The weights file, what it was trained on, and the other trainings if the user named none: shipped weights come first."""
    from medseg_monai.bundle.paths import other_trainings

    file, ensemble = Path(parser.get_parsed_content("weights_file")), parser.get_parsed_content("ensemble")
    used = f"{file}, trained on {parser.get_parsed_content('spec').name}"
    if ensemble:
        return f"{used}; mean with {', '.join(map(str, ensemble))}"
    named = bool(parser.get_parsed_content("weights"))
    others = [] if named else other_trainings(parser.get_parsed_content("bundle_root"), file)
    return used + (f"; also there: {', '.join(f'--weights {name}' for name in others)}" if others else "")
