"""`medseg train`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.api.train import train as train_bundle
from medseg_monai.api.training import Training
from medseg_monai.cli.endings import say_end
from medseg_monai.cli.options import (
    Assignments,
    Augmentation,
    BatchSize,
    Best,
    DatasetDir,
    Device,
    Hours,
    LearningRate,
    MaxEpochs,
    MaybeBundle,
    MemoryGb,
    Minutes,
    Overlays,
    PlanFile,
    Quick,
    Size,
    StartFrom,
    TrainingSeed,
    Verbose,
    Workers,
)


def train(
    bundle: MaybeBundle = None,
    dataset_dir: DatasetDir = None,
    plan: PlanFile = None,
    minutes: Minutes = None,
    hours: Hours = None,
    quick: Quick = False,
    best: Best = False,
    as_published: Annotated[
        bool, typer.Option("--as-published", help="The paper's network and the data set's size, however long it takes.")
    ] = False,
    max_epochs: MaxEpochs = None,
    lr: LearningRate = None,
    batch_size: BatchSize = None,
    size: Size = None,
    augmentation: Augmentation = None,
    weight_decay: Annotated[float | None, typer.Option(min=0, help="Weight decay of AdamW.")] = None,
    patience: Annotated[
        int | None, typer.Option(min=0, help="Validations without a better score before training ends; 0: never.")
    ] = None,
    val_interval: Annotated[int | None, typer.Option(min=1, help="Epochs between two validations.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto (default), fp32, bf16 or fp16.")] = None,
    workers: Workers = None,
    seed: TrainingSeed = None,
    device: Device = None,
    verbose: Verbose = False,
    out: Annotated[
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
    start_from: StartFrom = None,
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
    overlay: Overlays = None,
) -> None:
    """Train a bundle on a data set; weights and spec.json go to the bundle's models/DATA SET (installed: ./models/BUNDLE/DATA SET).

    Size, network, batch and epochs are planned for this machine and the time given, unless they are given too (`medseg plan` shows it).
    """
    done = train_bundle(
        bundle,
        dataset_dir,
        plan=plan,
        minutes=minutes,
        hours=hours,
        quick=quick,
        best=best,
        as_published=as_published,
        max_epochs=max_epochs,
        lr=lr,
        batch_size=batch_size,
        size=size,
        augmentation=augmentation,
        weight_decay=weight_decay,
        patience=patience,
        val_interval=val_interval,
        precision=precision,
        workers=workers,
        seed=seed,
        device=device,
        verbose=verbose,
        out=out,
        memory_gb=memory_gb,
        resume=resume,
        start_from=start_from,
        freeze_encoder=freeze_encoder,
        stop_after=stop_after,
        tracking=tracking,
        folds=folds,
        fold=fold,
        keep_probabilities=keep_probabilities,
        assignments=assignments,
        overlay=overlay,
    )
    if done.folds is None:
        say_trained(done, done.data)
    else:
        _say_folds(done)


def _say_folds(done: Training) -> None:
    """Print the scores of the ensemble, or which folds are left."""
    from medseg_monai.folds.combine import FOLDS_SUMMARY, FOLDS_TABLE, OUT_OF_FOLD

    if done.folds_left:
        say_end(
            f"{done.folds} folds -> {done.folder}/ (not done yet: {', '.join(map(str, done.folds_left))})",
            following="the same command, or --fold NUMBER for each: what was stopped goes on, and the last one puts all together",
        )
        return
    summary, name = done.folder / OUT_OF_FOLD / FOLDS_SUMMARY, done.bundle.name
    every = f"{OUT_OF_FOLD}/{FOLDS_TABLE}: every case"
    typer.echo(summary.read_text(encoding="utf-8"))
    say_end(
        f"{name}: {done.folds} folds and their ensemble -> {done.folder}/ (model.pt: all networks; {every})",
        look=summary,
        following=_next_commands(name, done.folder, done.data),
    )


def _next_commands(bundle: str | Path, weights: Path, data: Path | None) -> str:
    """Evaluation and prediction with new weights; the demo's need no data set."""
    used = f"{bundle} -w {shlex.quote(str(weights))}"
    return f"medseg evaluate {used}{f' -d {shlex.quote(str(data))}' if data else ''}; medseg predict {used} IMAGES"


def say_trained(done: Training, data: Path | None) -> None:
    """Print the best epoch's scores, where its weights are, and what to do next.

    Args:
        done: the training.
        data: the data set to evaluate on; None for the demo's.
    """
    from medseg_monai.bundle.paths import list_bundles
    from medseg_monai.training.folder import CURVES_FILE

    bundle, weights = done.bundle, done.folder
    if not done.finished:
        say_end(
            f"{bundle.name}: stopped before its end; kept in {weights}/", following="the same command with --resume"
        )
        return
    name = bundle.name if bundle in list_bundles() else bundle  # else by its folder
    scores = ", ".join(f"{key} {value:.3f}" for key, value in done.scores.items())
    say_end(
        f"{bundle.name} trained on {done.trained.dataset.name} -> {weights}/ (model.pt: epoch {done.best_epoch} of {done.epochs}, "
        f"validation {scores})",
        look=weights / CURVES_FILE,
        doubtful=done.doubts,
        following=_next_commands(name, weights, data),
    )
