"""Further outputs for slices of a scan besides their masks: the whole scan as a volume, and the submission table."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medseg_monai.dataset.cases import main_file
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.images.masks import read_mask
from medseg_monai.images.slices import SliceFile, Stack, number_ranges, slice_file, stack_affine, stack_in, stack_of
from medseg_monai.outputs.journal import Settings
from medseg_monai.outputs.naming import Wanted, chosen_formats, output_files
from medseg_monai.outputs.predictions import WritePredictions
from medseg_monai.outputs.submission import read_submission, submission_rows, write_submission
from medseg_monai.outputs.tables import keep_entries
from medseg_monai.outputs.volumes import VolumeWriter
from medseg_monai.transforms.cleaning import PLAIN, Cleaning, drop_isolated_slices

logger = logging.getLogger(__name__)

SUBMISSION_FILE = "submission.csv"
Masks = dict[int, NDArray[np.uint8]]
"""(1 or K, W, H) by slice number."""


@dataclass(frozen=True)
class PredictedScan:
    """The slices of one scan that were to be segmented.

    Args:
        scan: those slices.
        id: of the scan, as a path below the output folder.
        cases: the id of each slice's case, by its number.
        masks: the files of each slice's mask, likewise.
        whole: whether these are all slices in the scan's folder.
    """

    scan: Stack
    id: str
    cases: Mapping[int, str]
    masks: Mapping[int, Sequence[Path]]
    whole: bool


def write_stacks(
    cases: Sequence[Mapping[str, Any]],
    spec: DatasetSpec,
    folder: str | Path,
    *,
    cleaning: Cleaning = PLAIN,
    formats: str | Sequence[str] | None = None,
    made_with: Settings | None = None,
) -> list[Path]:
    """For each scan whose slices are all among the cases its volume, and ``submission.csv`` with the masks of all slices.

    The masks are read from the files that prediction wrote, now or in an earlier run; rows of slices that are not among the
    cases stay in ``submission.csv``. A slice without a mask, because it could not
    be read, is left out of the submission, empty in the volume, and named in the log. Cases that are not slices (by their
    file's name) are not affected. Without ``png`` among the `formats` nothing is written.

    ``<scan>_mask_<class>.nii.gz`` holds one overlapping class each: every viewer shows those, whereas a 4D file counts as a film.
    Columns, rows and slices of a scan are the axes, 3 mm between slices; see `medseg_monai.images.slices.stack_affine`.

    Classes in isolated slices are removed first, also from the slices' own files and the tables, if the cleaning's
    ``drop_isolated`` says so: this cannot be decided before the neighbours are known.

    Returns:
        The files written.

    Raises:
        ValueError: a mask is damaged, or two slices of a scan have the same number.
    """
    scans = _scans(cases, spec, Path(folder))
    if not scans:
        return []
    if "png" not in chosen_formats(formats, spec):
        logger.warning(
            "no volumes and no %s: they are made from masks in the format png, which was not requested", SUBMISSION_FILE
        )
        return []
    files: list[Path] = []
    rows: list[tuple[str, str, str]] = []
    written = WritePredictions(folder, spec=spec, formats=formats, made_with=made_with)
    for predicted in scans:
        masks = _without_isolated(predicted, _read_masks(predicted, spec), spec, cleaning, written)
        if predicted.whole and masks:
            files += _write_volume(predicted, masks, spec, Path(folder))
        for slice in predicted.scan.slices:
            if slice.number in masks:
                rows += submission_rows(slice.id, class_masks(masks[slice.number], len(spec.classes)), spec.classes)
    written.finish()
    if rows:
        file = Path(folder) / SUBMISSION_FILE
        here = {slice.id for predicted in scans for slice in predicted.scan.slices}
        files.append(write_submission(file, [*_rows_of_others(file, here), *rows]))
    return files


def _rows_of_others(file: Path, here: set[str]) -> list[tuple[str, str, str]]:
    """The rows of an earlier run's slices, of those that this run did not see."""
    try:
        earlier = read_submission(file)
    except FileNotFoundError:
        return []
    except ValueError as error:
        logger.warning("%s; it is replaced", error)
        return []
    return [(slice_id, name, runs) for (slice_id, name), runs in earlier.items() if slice_id not in here]


def _scans(cases: Sequence[Mapping[str, Any]], spec: DatasetSpec, folder: Path) -> list[PredictedScan]:
    by_folder: dict[Path, dict[SliceFile, str]] = {}
    for case in cases:
        slice = slice_file(main_file(case["image"]))
        if slice:
            by_folder.setdefault(slice.path.parent, {})[slice] = str(case["id"])
    found = []
    for place, ids in by_folder.items():
        scan = stack_of(ids)
        parent = PurePath(ids[scan.slices[0]]).parent
        parent = parent.parent if parent.name == "scans" else parent
        found.append(
            PredictedScan(
                scan,
                (parent / scan.name).as_posix(),
                {slice.number: case_id for slice, case_id in ids.items()},
                {slice.number: output_files(case_id, spec, folder) for slice, case_id in ids.items()},
                whole={slice.number for slice in stack_in(place).slices} == {slice.number for slice in ids},
            )
        )
    return found


def _read_masks(predicted: PredictedScan, spec: DatasetSpec) -> Masks:
    masks: Masks = {}
    for number, files in predicted.masks.items():
        if all(file.is_file() for file in files):
            masks[number] = read_mask(files, spec)
    if lacking := sorted(predicted.masks.keys() - masks.keys()):
        logger.warning(
            "scan %s: slices %s have no mask: left out of %s, empty in the volume",
            predicted.id,
            number_ranges(lacking),
            SUBMISSION_FILE,
        )
    return masks


def _without_isolated(
    predicted: PredictedScan, masks: Masks, spec: DatasetSpec, cleaning: Cleaning, written: WritePredictions
) -> Masks:
    """The masks after `drop_isolated_slices`; those that changed are written anew."""
    if not any(cleaning.drop_isolated) or not masks or not predicted.whole:  # a part's ends are not the scan's
        return masks
    numbers, count = sorted(masks), len(spec.classes)
    before = np.stack([class_masks(masks[number], count) for number in numbers])
    after = drop_isolated_slices(before, cleaning, numbers)
    kept, files = dict(masks), {slice.number: str(slice.path) for slice in predicted.scan.slices}
    for number, old, new in zip(numbers, before, after, strict=True):
        if not np.array_equal(old, new):
            kept[number] = masks[number] * (new if spec.label_channels == count else new.any(axis=0)[None])
            written.rewrite(predicted.cases[number], kept[number], files[number])
    return kept


def _write_volume(predicted: PredictedScan, masks: Masks, spec: DatasetSpec, folder: Path) -> list[Path]:
    """The masks stacked; if a number is missing, an empty slice keeps the place of the others."""
    slices = predicted.scan.slices
    if len({(slice.size, slice.spacing_mm) for slice in slices}) > 1:
        logger.warning("scan %s: slices differ in size or spacing: no volume is written", predicted.id)
        return []
    first, last = slices[0].number, slices[-1].number
    volume = np.zeros((*next(iter(masks.values())).shape, last - first + 1), np.uint8)
    for number, mask in masks.items():
        volume[..., number - first] = mask
    if predicted.scan.missing:
        logger.warning(
            "scan %s: slices %s do not exist: empty in the volume", predicted.id, number_ranges(predicted.scan.missing)
        )
    meta = {
        "spatial_shape": volume.shape[1:],
        "affine": stack_affine(slices[0].spacing_mm),
        "filename_or_obj": str(slices[0].path),
    }
    writer = VolumeWriter(folder, spec, Wanted())
    written = writer.write({"id": predicted.id, "image_meta_dict": meta}, {"pred": torch.from_numpy(volume)})
    keep_entries(predicted.id, written.entries, folder, spec)
    return written.files
