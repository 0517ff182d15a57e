"""A data set with what teachers answer as soft labels, and with images that nobody has labelled."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from medseg_monai.dataset import Dataset, check_splits, read_dataset, write_dataset
from medseg_monai.dataset.cases import SOFT_LABEL, Case, absolute_path, as_written
from medseg_monai.dataset.dataset_file import FILE_NAMES, SPLITS
from medseg_monai.distillation.answers import Answered, Progress, ask_all, image_digest
from medseg_monai.distillation.teachers import Teacher, Teachers
from medseg_monai.inference.cases import UNUSABLE, Failure, failures_file, find_cases, write_failures

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Material:
    """What a student is to learn from.

    Attributes:
        dataset: with labels.
        teachers: whom to ask.
        further: images that nobody has labelled.
        failures: files among them that could not be used.
    """

    dataset: Dataset
    teachers: Teachers
    further: Sequence[Case] = ()
    failures: Sequence[Failure] = ()


def find_material(
    dataset_dir: str | Path,
    folder: str | Path,
    teachers: Sequence[str | Path],
    *,
    unlabelled: Sequence[str | Path] = (),
    options: Mapping[str, object] | None = None,
) -> Material:
    """Find and check all that a distillation needs; nothing is written, and nobody is asked.

    Args:
        dataset_dir: the data set.
        folder: where answers will go: images in it are none to learn from.
        teachers: as `Teacher.find` takes them.
        unlabelled: further images for training, files or folders, whose labels will be the teachers' masks.
        options: of inference.json, for the teachers.

    Raises:
        FileNotFoundError, ValueError: the data set, a teacher or the images cannot be used.
    """
    dataset = read_dataset(dataset_dir)
    asked = Teachers([Teacher.find(named, dataset.spec) for named in teachers], options or {})
    check_splits(dataset)
    return Material(dataset, asked, *_new_images(dataset, unlabelled, absolute_path(folder)))


def write_distilled(
    material: Material, folder: str | Path, *, progress: Progress = iter, unchanged: bool = False
) -> tuple[Path, list[Failure]]:
    """Write a data set whose training and validation cases have the teachers' probabilities as soft labels; images stay where they are.

    Those of validation cases are for trainings by folds; scores are against labels. Answers that are in the folder from an earlier
    call are kept, so that what was stopped goes on.

    Args:
        material: what there is to learn from.
        folder: where to: ``dataset.json`` and the soft labels.
        progress: wraps the cases to show how far it is.
        unchanged: refuse to replace a data set that is there by another one: a training that is to go on began with it.

    Returns:
        The file of the data set, and the cases that could not be used (also in ``failures.csv``).

    Raises:
        ValueError: no training case can be used.
    """
    folder, dataset, teachers = absolute_path(folder), material.dataset, material.teachers
    labelled, validation = dataset.cases("training"), dataset.cases("validation")
    answers, failed = ask_all([*labelled, *validation], teachers, folder, dataset.spec, progress=progress)
    further = material.further
    guesses, not_guessed = ask_all(further, teachers, folder, dataset.spec, masks=True, progress=progress)
    failures = [*material.failures, *failed, *not_guessed]
    folder.mkdir(parents=True, exist_ok=True)
    write_failures(failures_file(folder), failures)
    training = [*_with_answers(labelled, answers), *_with_answers(further, guesses)]
    if not any(case["id"] in answers for case in labelled):
        raise ValueError(f"none of the {len(labelled)} training cases could be used, see {failures_file(folder)}")
    distilled = replace(
        dataset,
        training=tuple(training),
        validation=tuple(_with_answers(validation, answers)),
        test=tuple(map(as_written, dataset.cases("test"))),
    )
    return _replace(distilled, folder, unchanged=unchanged), failures


def _replace(dataset: Dataset, folder: Path, *, unchanged: bool) -> Path:
    """Write ``dataset.json``.

    Raises:
        ValueError: it would change, and must not.
    """
    file, new = folder / FILE_NAMES[0], folder / "new.json"
    write_dataset(dataset, new)
    if unchanged and file.is_file() and file.read_bytes() != new.read_bytes():
        new.unlink()
        raise ValueError(
            f"{file}: the training that is to go on began with other teachers, images or labels: give the same again, or name "
            "another folder with --out"
        )
    new.replace(file)
    return file


def _with_answers(cases: Iterable[Case], answers: Mapping[str, Answered]) -> list[Case]:
    """The cases that have answers, as dataset.json holds them; one without a label takes the mask."""
    there = ((case, answers[case["id"]]) for case in cases if case["id"] in answers)
    return [
        as_written({"label": _one_or_more(files.mask), **case, SOFT_LABEL: _one_or_more(files.soft_label)})
        for case, files in there
    ]


def _one_or_more(files: Sequence[str]) -> str | list[str]:
    return files[0] if len(files) == 1 else list(files)


def _new_images(dataset: Dataset, sources: Sequence[str | Path], folder: Path) -> tuple[list[Case], list[Failure]]:
    """The images of files and folders that the data set does not have, in any split, under any name.

    Raises:
        FileNotFoundError: a source does not exist.
        ValueError: there are no images, or the data set's labels are coded in a way that masks of a network are not.
    """
    if not sources:
        return [], []
    spec = dataset.spec
    if spec.slice_stride is not None:
        raise ValueError(
            f"data set {spec.name} has neighbouring slices as channels: images without labels, which are taken one by one, "
            "cannot join it"
        )
    if spec.label_values or spec.ignore:
        raise ValueError(
            f"data set {spec.name} has labels with values of its own (label_values, ignore), which masks of a network do not have: "
            "leave out the unlabelled images, or convert the labels to class numbers"
        )
    taken = set()
    for known_case in (one for split in SPLITS for one in dataset.cases(split)):
        with suppress(OSError):  # said when its turn comes
            taken.add(image_digest(known_case["image"]))
    new, failures, known = [], [], 0
    for case in find_cases(list(sources), leave_out=folder, spec=spec):
        if not Path(case["image"]).is_file():
            failures.append(
                Failure(str(case["image"]), "no single file: convert DICOM series to NIfTI first, e.g. with dcm2niix")
            )
            continue
        try:
            digest = image_digest(case["image"])
        except UNUSABLE as error:
            failures.append(Failure(str(case["image"]), str(error) or type(error).__name__))
            continue
        known += digest in taken
        if digest not in taken:
            taken.add(digest)
            new.append({**case, "id": f"unlabelled/{case['id']}"})
    if known:
        logger.warning(
            "%d of the images without labels are left out: the data set has them, or they occur twice", known
        )
    return new, failures
