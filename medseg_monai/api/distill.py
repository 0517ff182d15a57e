"""`medseg_monai.distill`: a bundle trained on a data set's labels and on what other networks answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from medseg_monai.api.arguments import (
    Assignments,
    FilePath,
    check_there,
    data_folder,
    given,
    listed,
    parsed,
    text,
    time_limit,
)
from medseg_monai.api.train import bundle_and_data, file_of, train
from medseg_monai.api.training import Training

if TYPE_CHECKING:
    from medseg_monai.api.datasets import ImageDataset
    from medseg_monai.planning.plan import Plan

DATA_FOLDER = "data"
"""In the folder of the weights: the data set with soft labels."""


def distill(
    bundle: FilePath,
    dataset_dir: FilePath | ImageDataset,
    *,
    teacher: FilePath | Sequence[FilePath],
    unlabelled: FilePath | Sequence[FilePath] | None = None,
    tta: str | None = None,
    soft_weight: float | None = None,
    plan: FilePath | Plan | None = None,
    minutes: float | None = None,
    hours: float | None = None,
    max_epochs: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    size: int | None = None,
    augmentation: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    workers: int | None = None,
    verbose: bool = False,
    out: FilePath | None = None,
    resume: bool | None = None,
    start_from: FilePath | None = None,
    assignments: Assignments = None,
    overlay: FilePath | Sequence[FilePath] | None = None,
) -> Training:
    """Train a bundle on a data set's labels and on the probabilities of trained networks (knowledge distillation).

    The teachers answer once for every training image, before training; their answers are files beside the weights, from which a call
    that was stopped goes on. Teachers and student may be of different bundles; they must know the same classes.

    Args:
        bundle: the student: its name or folder.
        dataset_dir: the data set, or its folder.
        teacher: weights to learn from, one or several (then the mean of their probabilities): a bundle's name, a folder or a file.
        unlabelled: further images to learn from, files or folders; their labels are the teachers' masks.
        tta: mirrored views of which the teachers take the mean: ``flips``, ``dihedral``.
        soft_weight: weight of the teachers' probabilities beside the labels, 0 to 1; default 0.5.
        plan, minutes, hours, max_epochs, lr, batch_size, size, augmentation, seed, device, workers, verbose, resume, start_from: of the
            training, as in `medseg_monai.train`.
        out: folder for the weights; default: the data set's name with ``_distilled`` in the bundle's models.
        assignments: any key of the training's config.
        overlay: further config files merged over train.json.

    Raises:
        FileNotFoundError, ValueError: a bundle, data set, teacher or setting that cannot be used.
    """
    named, sources, overlays = [str(each) for each in listed(teacher)], listed(unlabelled), listed(overlay)
    overrides, data = parsed(assignments), data_folder(dataset_dir)
    plan_file, start, limit = file_of(plan), text(start_from), time_limit(minutes, hours)
    check_there(data, plan_file, *map(Path, sources), *map(Path, overlays))
    folder, data = bundle_and_data(bundle, data, plan_file)
    if data is None:
        raise ValueError("name the data set to learn from")
    if not named:
        raise ValueError("name at least one teacher: weights to learn from")
    from medseg_monai.api.noting import noting
    from medseg_monai.bundle.paths import find_named_weights, models_folder
    from medseg_monai.bundle.workflow import bundle_workflow
    from medseg_monai.dataset import read_dataset
    from medseg_monai.distillation.data import find_material, write_distilled
    from medseg_monai.files.writing import lock_folder
    from medseg_monai.inference.recipe import progress

    # what training would refuse is refused before a folder is made, and before the teachers are asked, which may take hours
    bundle_workflow(
        folder, "train", given(device=device), assignments=overrides, overlays=[Path(file) for file in overlays]
    )
    if start is not None and resume is not True:  # what goes on needs them no more
        find_named_weights(folder, start)
    place = Path(text(out) or models_folder(folder) / f"{read_dataset(data).spec.name}_distilled")
    with noting(verbose):
        material = find_material(
            data,
            place / DATA_FOLDER,
            named,
            unlabelled=[Path(source) for source in sources],
            options=given(tta=tta, device=device),
        )
    lock = lock_folder(place)  # from here to the training's end the folder is this process's
    try:
        with noting(verbose):
            _, failures = write_distilled(
                material,
                place / DATA_FOLDER,
                progress=progress("asking the teachers"),
                unchanged=resume is True,
            )
        done = train(
            folder,
            place / DATA_FOLDER,
            plan=plan_file,
            minutes=limit,
            max_epochs=max_epochs,
            lr=lr,
            batch_size=batch_size,
            size=size,
            augmentation=augmentation,
            seed=seed,
            device=device,
            workers=workers,
            verbose=verbose,
            out=place,
            resume=resume,
            start_from=start,
            assignments={**overrides, **given(soft_weight=soft_weight)},
            overlay=[Path(file) for file in overlays],
        )
    finally:
        lock.release()
    return replace(done, left_out={failure.path: failure.reason for failure in failures})
