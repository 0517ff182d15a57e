"""`medseg_monai.train`: a bundle trained on a data set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from medseg_monai.api.arguments import (
    Assignments,
    FilePath,
    as_path,
    check_there,
    data_folder,
    given,
    listed,
    parsed,
    preset,
    square,
    text,
    time_limit,
)
from medseg_monai.api.training import Training

if TYPE_CHECKING:
    from medseg_monai.api.datasets import ImageDataset
    from medseg_monai.planning.plan import Plan

WITHOUT_DATA = "unet"
"""The bundle that trains on the demo if neither is named."""

BEST_FOLDS = 5
"""Of --best, which takes five times the default time."""


def train(
    bundle: FilePath | None = None,
    dataset_dir: FilePath | ImageDataset | None = None,
    *,
    plan: FilePath | Plan | None = None,
    minutes: float | None = None,
    hours: float | None = None,
    quick: bool = False,
    best: bool = False,
    as_published: bool = False,
    max_epochs: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    size: int | None = None,
    augmentation: float | None = None,
    weight_decay: float | None = None,
    patience: int | None = None,
    val_interval: int | None = None,
    precision: str | None = None,
    workers: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    verbose: bool = False,
    out: FilePath | None = None,
    memory_gb: float | None = None,
    resume: bool | None = None,
    start_from: FilePath | None = None,
    freeze_encoder: bool = False,
    stop_after: float | None = None,
    tracking: str | None = None,
    folds: int | None = None,
    fold: int | None = None,
    keep_probabilities: bool = False,
    assignments: Assignments = None,
    overlay: FilePath | Sequence[FilePath] | None = None,
) -> Training:
    """Train a bundle on a data set. Size, network, batch and epochs are planned for this machine and the time, unless they are given.

    Args:
        bundle: its name or folder; default: the plan's, else unet, for volumes unet3d.
        dataset_dir: the data set, or its folder; default: generated demo data.
        plan: a plan to follow, or its file.
        minutes, hours: that training may take; default: 10 to 60 minutes, by the number of cases; on a GPU no limit.
        quick: three minutes, to see whether images and masks are right; not for use.
        best: five times the default time, by five folds, for their ensemble.
        as_published: the paper's network and the data set's size, however long it takes.
        max_epochs: passes over the training cases.
        lr: highest learning rate of the schedule.
        batch_size: images (or patches of volumes) per batch.
        size: width and height of the network's input.
        augmentation: strength of random changes: 0 none, 1 as designed.
        weight_decay: of AdamW.
        patience: validations without a better score before training ends; 0: never.
        val_interval: epochs between two validations.
        precision: ``auto`` (default), ``fp32``, ``bf16`` or ``fp16``.
        workers: processes or threads that read images.
        seed: of every random choice.
        device: ``cpu``, ``cuda`` …; default: a GPU if there is one.
        verbose: show log lines.
        out: folder for the weights; default: the data set's name in the bundle's models.
        memory_gb: memory limit in GB.
        resume: continue the folder's training where it was stopped or killed, with its settings.
        start_from: weights to start from: a bundle's name, a folder or a file; what fits is kept.
        freeze_encoder: with `start_from`: leave the encoder as it is.
        stop_after: minutes after which to stop; the same call then continues.
        tracking: ``mlflow``: also log to MLflow.
        folds: cross-validation: so many networks, and their ensemble.
        fold: only this one of the folds.
        keep_probabilities: with `folds`: keep those of each case by the network that has not seen it.
        assignments: any key of the config.
        overlay: further config files merged over train.json.

    Raises:
        FileNotFoundError, ValueError: a bundle, data set or setting that cannot be used.
        FloatingPointError: the loss is not a number.
        KeyboardInterrupt: it was interrupted; ``resume=True`` continues.
    """
    from medseg_monai.bundle.paths import find_named_weights

    chosen, overrides, limit = preset(quick, best), parsed(assignments), time_limit(minutes, hours)
    data, overlays, start = data_folder(dataset_dir), [Path(file) for file in listed(overlay)], text(start_from)
    plan_file = file_of(plan)
    check_there(data, plan_file, *overlays)
    folder, data = bundle_and_data(bundle or bundle_of_start(start), data, plan_file)
    if start is not None and resume is not True and stop_after is None:  # what goes on needs them no more
        find_named_weights(folder, start)
    values = given(
        dataset_dir=text(data),
        plan_file=text(plan_file),
        minutes=limit,
        preset=chosen,
        as_published=as_published or None,
        max_epochs=max_epochs,
        size=None if size is None else list(square(size) or ()),
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
        output_dir=text(out),
        resume=resume,
        stop_after=stop_after,
        start_from=start,
        freeze_encoder=freeze_encoder or None,
    )
    if best and folds is None and data is not None:
        folds = BEST_FOLDS
    if folds is None and (fold is not None or keep_probabilities):
        raise ValueError("--fold and --keep-probabilities are for a training by --folds")
    run = _Run(folder, data, values, overrides, overlays, tracking, verbose)
    return run.once(resume) if folds is None else run.by_folds(folds, fold, keep_probabilities)


@dataclass(frozen=True)
class _Run:
    """A training with checked arguments."""

    bundle: Path
    data: Path | None
    values: dict[str, Any]
    assignments: dict[str, Any]
    overlays: list[Path]
    tracking: str | None
    verbose: bool

    def once(self, resume: bool | None) -> Training:
        from medseg_monai.api.running import run_config

        values = {**self._recorded_settings(), **self.values} if resume else self.values
        done = run_config(
            self.bundle,
            "train",
            values,
            assignments=self.assignments,
            overlays=self.overlays,
            tracking=self.tracking,
            verbose=self.verbose,
        )
        return Training(Path(done.part("output_dir")), self.bundle, self.data, notes=done.notes)

    def by_folds(self, count: int, fold: int | None, keep_probabilities: bool) -> Training:
        """All folds, or one of them.

        Raises:
            ValueError: no data set is named.
        """
        if self.data is None:
            raise ValueError("--folds needs a data set: name it with --dataset-dir")
        from medseg_monai.api.noting import notes_of, noting
        from medseg_monai.bundle.paths import models_folder
        from medseg_monai.dataset import read_dataset
        from medseg_monai.folds.run import FoldRun

        values = dict(self.values)
        name = f"{read_dataset(self.data).spec.name}_{count}folds"
        out = Path(values.pop("output_dir", None) or models_folder(self.bundle) / name)
        if values.pop("preset", None) == "quick":
            values["preset"] = "quick"  # the best preset's time is that of its folds together
        if "minutes" in values and fold is None:
            values["minutes"] /= count
        whole = FoldRun(
            self.bundle,
            self.data,
            out,
            count,
            values,
            keep_probabilities=keep_probabilities,
            assignments=self.assignments,
            overlays=tuple(self.overlays),
            tracking=self.tracking,
        )
        with noting(self.verbose) as messages:
            done = whole.train(fold)
        left = () if done else tuple(number for number in range(1, count + 1) if not whole.is_done(number))
        return Training(whole.folder, self.bundle, self.data, folds=count, folds_left=left, notes=notes_of(messages))

    def _recorded_settings(self) -> dict[str, Any]:
        """Settings of the training to continue that the user did not give again; expressions must be given again, they are code."""
        from medseg_monai.bundle.workflow import bundle_workflow
        from medseg_monai.training.folder import files_of
        from medseg_monai.training.recorded import read_record, settings_to_repeat

        workflow = bundle_workflow(
            self.bundle, "train", self.values, assignments=self.assignments, overlays=self.overlays
        )
        folder = Path(workflow.parser.get_parsed_content("output_dir"))
        recorded = read_record(files_of(folder)) or read_record(folder) or {}
        repeated, _ = settings_to_repeat(recorded, cast(Mapping[str, Any], workflow.parser.config))
        return {key: value for key, value in repeated.items() if key not in {**self.values, **self.assignments}}


def file_of(plan: FilePath | Plan | None) -> Path | None:
    """A plan's file; one that is in no file is written into a folder of its own, which lasts as long as the program."""
    from medseg_monai.planning.plan import Plan

    return _kept(plan) if isinstance(plan, Plan) else as_path(plan)


def _kept(plan: Plan) -> Path:
    import atexit
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="medseg-plan-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return plan.save(folder / "plan.yaml")


def bundle_and_data(
    bundle: FilePath | None, dataset_dir: Path | None, plan: Path | None = None
) -> tuple[Path, Path | None]:
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
    name = text(bundle) or planned.bundle
    if not name:
        name = WITHOUT_DATA if data is None else kind_of(read_dataset(data).spec).default_bundle
    folder = find_bundle(name)
    if planned.bundle and find_bundle(planned.bundle) != folder:
        raise ValueError(f"{plan} is a plan for {planned.bundle}, not for {name}: leave the bundle out, or plan anew")
    return folder, data


def bundle_of_start(start: str | None) -> str | None:
    """The bundle that weights to start from are of: the one named, or the one that spec.json names; None if nothing says."""
    from medseg_monai.bundle.paths import find_bundle, named_bundle
    from medseg_monai.training.folder import SPEC_FILE

    if start is None:
        return None
    folder = Path(start) if Path(start).is_dir() else Path(start).parent
    try:
        name = str(json.loads((folder / SPEC_FILE).read_text(encoding="utf-8"))["bundle"])
    except (OSError, ValueError, LookupError, TypeError):
        name = ""  # what is wrong with the file is reported by what reads all of it
    if name:
        named_bundle(name)  # a path in a stranger's file is not to run any configs
        return name
    try:
        return str(find_bundle(start))
    except FileNotFoundError:
        return None
