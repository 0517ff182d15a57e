"""What teachers answer for each case, as files: computed once, and again only if an image or a teacher has changed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg_monai.dataset.cases import Case, as_list, main_file, stem
from medseg_monai.dataset.leaks import content_hash
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.distillation.teachers import Teachers
from medseg_monai.files.writing import file_part
from medseg_monai.grids.truth import read_truth
from medseg_monai.images.paired import all_files
from medseg_monai.inference.cases import UNUSABLE, Failure
from medseg_monai.outputs.naming import MASK, file_rules, files_per_class, named, probability_files
from medseg_monai.outputs.predictions import WRITERS
from medseg_monai.prediction import Prediction

logger = logging.getLogger(__name__)

Progress = Callable[[Sequence[Case]], Iterable[Case]]


@dataclass(frozen=True)
class Answered:
    """The files of one case.

    Attributes:
        soft_label: the map of each class.
        mask: a label map, if one was wanted: a file, or one for each overlapping class.
    """

    soft_label: list[str]
    mask: list[str]


def image_digest(image: Any) -> str:
    """Hexadecimal digits of the content of a case's image, whatever its files are called.

    Raises:
        OSError: a file cannot be read.
    """
    contents = [content_hash(Path(part)) for file in as_list(image) for part in all_files(file)]
    return hashlib.blake2b("".join(contents).encode(), digest_size=8).hexdigest()


def ask_all(
    cases: Sequence[Case],
    teachers: Teachers,
    folder: Path,
    spec: DatasetSpec,
    *,
    masks: bool = False,
    progress: Progress = iter,
) -> tuple[dict[str, Answered], list[Failure]]:
    """The teachers' answers for all cases, by id; those whose files are there are not asked for again.

    Args:
        cases: with absolute paths.
        teachers: whom to ask.
        folder: where the files go, into a folder of these teachers.
        spec: the data set.
        masks: also write the masks that follow, for images without labels.
        progress: wraps the cases to show how far it is.

    Returns:
        The files, and the cases that could not be used; all others are done.
    """
    place = folder / teachers.digest
    found: dict[str, Answered] = {}
    failures = []
    for case in progress(cases):
        image = main_file(case["image"])
        try:
            named_so = place / f"{file_part(stem(Path(image)))[:80]}-{image_digest(case['image'])}"
            files = _files(named_so, spec, masks=masks)
            there = all(Path(file).is_file() for file in files.soft_label + files.mask)
        except UNUSABLE as error:
            failures.append(_left_out(case, error))
            continue
        if not there:
            teachers.load()  # what is wrong with a teacher, or with how it is asked, is no fault of the image
            try:
                answer = teachers(case["image"])
                if "label" in case:  # a training on what this writes would end at it
                    read_truth(case, answer.grid, spec)
            except UNUSABLE as error:
                failures.append(_left_out(case, error))
                continue
            _write(answer, image, named_so, spec, mask=masks)  # nor is a full disk, which ends it all
        found[str(case["id"])] = files
    return found, failures


def _left_out(case: Case, error: Exception) -> Failure:
    reason = str(error) or type(error).__name__
    logger.warning("%s is left out: %s", case["id"], reason)
    return Failure(main_file(case["image"]), reason)


def _files(place: Path, spec: DatasetSpec, *, masks: bool) -> Answered:
    """The names."""
    soft = [str(file) for file in probability_files(place, spec)]
    return Answered(
        soft, [str(file) for file in files_per_class(named(place, MASK, ""), spec, _ending(spec))] if masks else []
    )


def _ending(spec: DatasetSpec) -> str:
    """The suffix of label maps."""
    return next(iter(file_rules(spec).label_endings.values()))


def _write(answer: Prediction, image: str, place: Path, spec: DatasetSpec, *, mask: bool) -> None:
    """Write the files of one case; the probabilities last, of which each is whole or not there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if mask:
        answer.save(named(place, MASK, _ending(spec)))
    maps = answer.grid.kind.as_shown(answer.probabilities)  # it is its own inverse
    WRITERS[spec.spatial_dims].save_probabilities(answer.as_case(image), maps, probability_files(place, spec), spec)
