"""`medseg predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.api.predict import Predictions
from medseg_monai.api.predict import predict as predict_images
from medseg_monai.cli.endings import end_with_failures, say_end
from medseg_monai.cli.options import Assignments, BatchSize, BundleName, Device, Verbose, Workers
from medseg_monai.program.messages import counted, listed
from medseg_monai.program.process import take_huge_pages


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
    shard: Annotated[
        str | None,
        typer.Option(
            help="NUMBER/COUNT: only this share of the images; other processes do the others, into the same OUT."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Redo what is already in OUT.")] = False,
    batch_size: BatchSize = None,
    workers: Workers = None,
    device: Device = None,
    verbose: Verbose = False,
    assignments: Assignments = None,
) -> None:
    """Segment images: each gets a mask of the image's size and a row in predictions.csv; failures are listed in failures.csv."""
    take_huge_pages()
    found = predict_images(
        bundle,
        images,
        out=out,
        weights=weights,
        engine=engine,
        tta=tta,
        formats=formats,
        threshold=threshold,
        largest=largest,
        fill_holes=fill_holes,
        min_size=min_size,
        probabilities=probabilities,
        uncertainty=uncertainty,
        margins=margins,
        overlays=overlays,
        report=report,
        series=series,
        shard=shard,
        overwrite=overwrite,
        batch_size=batch_size,
        workers=workers,
        device=device,
        verbose=verbose,
        assignments=assignments,
    )
    _say_end(found)
    end_with_failures(found.failures, len(found.images) - found.earlier, found.folder)


def _say_end(found: Predictions) -> None:
    """Print what was done, where the results are, and what is doubtful."""
    from medseg_monai.grids.kinds import kind_of
    from medseg_monai.inference.cases import FAILURES_FILE

    images, failed = len(found.images), [Path(failure.path).name for failure in found.failures]
    in_order = sorted(found, key=lambda case: case.case)
    flagged = [case.case for case in in_order if case.flagged]
    empty = [case.case for case in in_order if case.empty]
    done = images - len(failed)
    earlier = f", {found.earlier} of them from earlier runs" if found.earlier else ""
    counts = [f"{done} {'mask' if done == 1 else 'masks'}{earlier}"]
    counts += [f"{len(flagged)} flagged"] if any(case.flagged is not None for case in found) else []
    counts += [f"{len(empty)} empty"] if empty else []
    counts += [f"{len(failed)} failed"]
    doubtful = [f"flagged, a person should look: {listed(flagged)}"] if flagged else []
    doubtful += [f"nothing was found in {listed(empty)}"] if empty else []
    doubtful += [f"left out, see {found.folder / FAILURES_FILE}: {listed(failed)}"] if failed else []
    shard = f"{found.shard}: " if found.shard else ""
    what = f"{shard}{counted(images, kind_of(found.spec).noun)} -> {found.folder}/ ({', '.join(counts)})"
    waits = (
        None
        if found.is_complete
        else "the last shard to finish writes the tables, as does this command without --shard"
    )
    say_end(what, look=found.page, used=found.weights_text, doubtful=doubtful, following=waits)
