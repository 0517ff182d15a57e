"""`medseg train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from medseg_monai.cli.endings import say_end
from medseg_monai.cli.options import (
    Assignments,
    BatchSize,
    Best,
    DatasetDir,
    Device,
    Hours,
    MaybeBundle,
    MemoryGb,
    Minutes,
    Quick,
    Size,
    Verbose,
    Workers,
    check_there,
    given,
    preset,
    text,
    time_limit,
)

WITHOUT_DATA = "unet"
"""The bundle that trains on the demo if neither is named."""
"""What is trained if no bundle is named: the U-Net was the best of five networks in equal time (docs/results/isic2017.md)."""

BEST_FOLDS = 5
"""Of --best, which takes five times the default time."""


def train(
    bundle: MaybeBundle = None,
    dataset_dir: DatasetDir = None,
    plan: Annotated[Path | None, typer.Option(help="A plan to follow, as `medseg plan` writes it.")] = None,
    minutes: Minutes = None,
    hours: Hours = None,
    quick: Quick = False,
    best: Best = False,
    as_published: Annotated[
        bool, typer.Option("--as-published", help="The paper's network and the data set's size, whatever they take.")
    ] = False,
    max_epochs: Annotated[
        int | None, typer.Option("--max-epochs", "--epochs", min=1, help="Passes over the training cases.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate of the schedule.")] = None,
    batch_size: BatchSize = None,
    size: Size = None,
    augmentation: Annotated[
        float | None, typer.Option(min=0, help="Strength of random changes: 0 none, 1 as designed.")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(min=0, help="Weight decay of AdamW.")] = None,
    patience: Annotated[
        int | None, typer.Option(min=0, help="Validations without a better score before training ends; 0: never.")
    ] = None,
    val_interval: Annotated[int | None, typer.Option(min=1, help="Epochs between two validations.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto (default), fp32, bf16 or fp16.")] = None,
    workers: Workers = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random choice.")] = None,
    device: Device = None,
    verbose: Verbose = False,
    output_dir: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", "--output-dir", help="Folder for the weights; default: DATA SET in the bundle's models."
        ),
    ] = None,
    memory_gb: MemoryGb = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--no-resume",
            help="Continue the folder's training where it was stopped or killed, with its settings; by itself after --stop-after.",
        ),
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option("--from", help="Weights to start from: a bundle's name, a folder or a file; what fits is kept."),
    ] = None,
    freeze_encoder: Annotated[
        bool, typer.Option("--freeze-encoder", help="With --from: leave the encoder as it is.")
    ] = False,
    stop_after: Annotated[
        float | None, typer.Option(min=0, help="Minutes after which to stop; the same command then continues.")
    ] = None,
    tracking: Annotated[
        str | None, typer.Option(help="mlflow: also log to MLflow, through MONAI (extra: tracking).")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Cross-validation: so many networks, and their ensemble; --best: 5.")
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(min=1, help="Only this one of the folds, for jobs side by side; the last puts all together."),
    ] = None,
    keep_probabilities: Annotated[
        bool,
        typer.Option(
            "--keep-probabilities", help="With --folds: keep those of each case by the network that has not seen it."
        ),
    ] = False,
    assignments: Assignments = None,
    overlay: Annotated[list[Path] | None, typer.Option(help="Further config files merged over train.json.")] = None,
) -> None:
    """Train a bundle on a data set; weights and spec.json go to the bundle's models/DATA SET (installed: ./models/BUNDLE/DATA SET).

    Size, network, batch and epochs are planned for this machine and the time given, unless they are given too (`medseg plan` shows it).
    """
    from medseg_monai.bundle.assignments import parse_assignments
    from medseg_monai.bundle.paths import find_named_weights

    chosen, overrides = preset(quick, best), parse_assignments(assignments or [])
    limit = time_limit(minutes, hours)
    check_there(dataset_dir, plan, *(overlay or []))
    folder, dataset_dir = bundle_and_data(bundle or bundle_of_start(start_from), dataset_dir, plan)
    if start_from is not None:
        find_named_weights(folder, start_from)
    from medseg_monai.bundle.workflow import run_bundle

    values = given(
        dataset_dir=text(dataset_dir),
        plan_file=text(plan),
        minutes=limit,
        preset=chosen,
        as_published=as_published or None,
        max_epochs=max_epochs,
        size=None if size is None else [size, size],
        lr=lr,
        batch_size=batch_size,
        augmentation=augmentation,
        weight_decay=weight_decay,
        patience=patience,
        val_interval=val_interval,
        precision=precision,
        num_workers=workers,
        seed=seed,
        device=device,
        memory_gb=memory_gb,
        output_dir=text(output_dir),
        resume=resume,
        stop_after=stop_after,
        start_from=start_from,
        freeze_encoder=freeze_encoder or None,
    )
    if best and folds is None and dataset_dir is not None:
        folds = BEST_FOLDS
    if folds is not None:
        run = {"assignments": overrides, "overlays": tuple(overlay or []), "tracking": tracking}
        _train_folds(folder, dataset_dir, values, run, count=folds, fold=fold, keep_probabilities=keep_probabilities)
        return
    if fold is not None or keep_probabilities:
        raise ValueError("--fold and --keep-probabilities are for a training by --folds")
    if resume:
        values = {**_recorded_settings(folder, values, overrides, overlay or []), **values}
    workflow = run_bundle(
        folder,
        "train",
        values,
        assignments=overrides,
        overlays=overlay or [],
        tracking=tracking,
    )
    _say_end(Path(workflow.parser.get_parsed_content("output_dir")), folder)


def _train_folds(
    bundle: Path,
    dataset_dir: Path | None,
    values: dict[str, Any],
    run: dict[str, Any],
    *,
    count: int,
    fold: int | None,
    keep_probabilities: bool,
) -> None:
    """Train all folds, or one of them, and say what came of it.

    Raises:
        ValueError: no data set is named.
    """
    if dataset_dir is None:
        raise ValueError("--folds needs a data set: name it with --dataset-dir")
    from medseg_monai.bundle.paths import models_folder
    from medseg_monai.dataset import read_dataset
    from medseg_monai.folds.run import FoldRun

    out = (
        values.pop("output_dir", None) or models_folder(bundle) / f"{read_dataset(dataset_dir).spec.name}_{count}folds"
    )
    if values.pop("preset", None) == "quick":
        values["preset"] = "quick"  # the best preset's time is that of its folds together
    if "minutes" in values and fold is None:
        values["minutes"] /= count
    whole = FoldRun(bundle, dataset_dir, Path(out), count, values, keep_probabilities=keep_probabilities, **run)
    if whole.train(fold):
        _say_folds(whole.folder, bundle, count)
    else:
        left = ", ".join(str(number) for number in range(1, count + 1) if not whole.is_done(number))
        say_end(
            f"{count} folds -> {whole.folder}/ (not done yet: {left})",
            following="the same command, or --fold NUMBER for each: what was stopped goes on, and the last one puts all together",
        )


def _say_folds(folder: Path, bundle: Path, count: int) -> None:
    from medseg_monai.folds.combine import FOLDS_SUMMARY, FOLDS_TABLE, OUT_OF_FOLD

    typer.echo((folder / OUT_OF_FOLD / FOLDS_SUMMARY).read_text(encoding="utf-8"))
    say_end(
        f"{bundle.name}: {count} folds and their ensemble -> {folder}/ (model.pt: all networks; {OUT_OF_FOLD}/{FOLDS_TABLE}: every case)",
        look=folder / OUT_OF_FOLD / FOLDS_SUMMARY,
        following=f"medseg evaluate {bundle.name} -w {folder} -d DATA; medseg predict {bundle.name} IMAGES -w {folder}",
    )


def bundle_and_data(bundle: str | None, dataset_dir: Path | None, plan: Path | None = None) -> tuple[Path, Path | None]:
    """The bundle's folder and the data set's: what the user named, else the plan, else the bundle for this kind of data.

    Raises:
        ValueError: the plan is for another bundle.
        FileNotFoundError: no such bundle or data set.
    """
    from medseg_monai.bundle.paths import find_bundle
    from medseg_monai.dataset import read_dataset
    from medseg_monai.grids.kinds import kind_of
    from medseg_monai.planning.plan import Plan, read_plan

    planned = Plan() if plan is None else read_plan(plan)
    data = dataset_dir or (Path(planned.dataset_dir) if planned.dataset_dir else None)
    check_there(data)
    name = bundle or planned.bundle
    if not name:
        name = WITHOUT_DATA if data is None else kind_of(read_dataset(data).spec).default_bundle
    folder = find_bundle(name)
    if planned.bundle and find_bundle(planned.bundle) != folder:
        raise ValueError(f"{plan} is a plan for {planned.bundle}, not for {name}: leave the bundle out, or plan anew")
    return folder, data


def bundle_of_start(start: str | None) -> str | None:
    """The bundle that weights to start from are of: the one named, or the one that spec.json names; None if nothing says."""
    import json

    from medseg_monai.bundle.paths import find_bundle
    from medseg_monai.training.folder import SPEC_FILE

    if start is None:
        return None
    folder = Path(start) if Path(start).is_dir() else Path(start).parent
    try:
        return str(json.loads((folder / SPEC_FILE).read_text(encoding="utf-8"))["bundle"])
    except (OSError, ValueError, LookupError, TypeError):
        pass  # what is wrong with the file is said by who reads all of it
    try:
        return str(find_bundle(start))
    except FileNotFoundError:
        return None


def _recorded_settings(
    bundle: Path, values: dict[str, Any], assignments: dict[str, Any], overlays: list[Path]
) -> dict[str, Any]:
    """Settings of the training to continue that the user did not give again; expressions must be given again, they are code."""
    from medseg_monai.bundle.workflow import bundle_workflow
    from medseg_monai.training.folder import files_of
    from medseg_monai.training.recorded import read_record, settings_to_repeat

    parser = bundle_workflow(bundle, "train", values, assignments=assignments, overlays=overlays).parser
    folder = Path(parser.get_parsed_content("output_dir"))
    recorded = read_record(files_of(folder)) or read_record(folder) or {}
    repeated, _ = settings_to_repeat(recorded, cast(dict[str, Any], parser.config))
    return {key: value for key, value in repeated.items() if key not in {**values, **assignments}}


def _say_end(weights: Path, bundle: Path) -> None:
    """Print the best epoch's scores, where its weights are, and what to do next."""
    from medseg_monai.bundle.paths import list_bundles
    from medseg_monai.bundle.trained import Trained
    from medseg_monai.training.folder import CURVES_FILE, files_of
    from medseg_monai.training.recorded import read_record

    record = read_record(files_of(weights)) or {}
    if not record.get("finished", True):
        say_end(
            f"{bundle.name}: stopped before its end; kept in {weights}/", following="the same command with --resume"
        )
        return
    trained = Trained.read(weights)
    by_name = bundle in list_bundles()  # else by its folder
    facts, name = trained.training, bundle.name if by_name else bundle
    scores = ", ".join(f"{key} {value:.3f}" for key, value in dict(facts.get("validation", {})).items())
    best, last = facts.get("best_epoch"), facts.get("epochs")
    doubtful = ["the last epoch was the best: more epochs may improve the scores"] if best == last else []
    if best == 0:
        doubtful = ["no epoch was better than the weights that it started from, which it keeps"]
    say_end(
        f"{bundle.name} trained on {trained.dataset.name} -> {weights}/ (model.pt: epoch {best} of {last}, validation {scores})",
        look=weights / CURVES_FILE,
        doubtful=doubtful,
        following=f"medseg evaluate {name} -w {weights} -d DATA; medseg predict {name} IMAGES -w {weights}",
    )
