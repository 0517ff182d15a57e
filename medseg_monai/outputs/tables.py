"""Files with all cases of a run: predictions.csv, volumes.csv, run lengths, COCO JSON. They keep the cases of earlier runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.files.csv_tables import csv_rows, csv_text
from medseg_monai.files.writing import write_whole
from medseg_monai.formats.coco import coco_entries, coco_entry, coco_file
from medseg_monai.images.rle import encode_rle
from medseg_monai.outputs.naming import file_rules
from medseg_monai.outputs.order import PredictedCase

PREDICTIONS_FILE, VOLUMES_FILE, RLE_FILE, COCO_FILE = (
    "predictions.csv",
    "volumes.csv",
    "masks_rle.csv",
    "masks.coco.json",
)
PREDICTIONS_COLUMNS = ("case", "class", "pixels", "uncertainty", "flagged", "reason", "predicted_dice")
ORDER_COLUMN = "order"
"""Of ``predictions.csv``, whose rows stand in it: 1 for the case that a person should look at first. It depends on all cases, so it is
made when it is written."""
VOLUMES_COLUMNS = ("case", "class", "ml", "voxels")
RLE_COLUMNS = ("case", "class", "width", "height", "rle")
Rows = list[list[Any]]


@dataclass
class RunTable:
    """One file with an entry for each case.

    Args:
        file: its path.
        read: the entries of an older file's text, by case.
        text: the file's text from its entries.

    Attributes:
        entries: by case; those of an older file at first.
    """

    file: Path
    read: Callable[[str], dict[str, Any]]
    text: Callable[[Mapping[str, Any]], str]
    entries: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file.is_file():
            try:
                self.entries = self.read(self.file.read_text(encoding="utf-8"))
            except (ValueError, KeyError, TypeError, IndexError):
                raise ValueError(
                    f"{self.file} was not written by this program: move it, or name another folder"
                ) from None

    def save(self) -> None:
        """Write the whole file."""
        if self.entries or self.file.is_file():
            write_whole(self.file, self.text(self.entries).encode())


def run_tables(
    folder: Path, spec: DatasetSpec, formats: Sequence[str], *, all_there: bool = False
) -> dict[str, RunTable]:
    """The files that a run keeps for all its cases, by name: those of every run and of the formats, or also the others in the folder.

    Raises:
        ValueError: one of them was not written by this program.
    """
    tables = {"predictions": predictions_table(folder)}
    if "volumes" in file_rules(spec).kept:
        tables["volumes"] = volumes_table(folder)
    if "rle" in formats or (all_there and (folder / RLE_FILE).is_file()):
        tables["rle"] = rle_table(folder)
    if "coco" in formats or (all_there and (folder / COCO_FILE).is_file()):
        tables["coco"] = coco_table(folder, spec)
    return tables


def keep_entries(case_id: str, entries: Mapping[str, Any], folder: Path, spec: DatasetSpec) -> None:
    """Put one case's entries into the folder's tables, outside of a run; an older one of the case is replaced.

    Args:
        case_id: the case.
        entries: by the table's name.
        folder, spec: as for `run_tables`.

    Raises:
        ValueError: one of the tables was not written by this program.
    """
    made: dict[str, Callable[[Path], RunTable]] = {
        "volumes": volumes_table,
        "rle": rle_table,
        "coco": partial(coco_table, spec=spec),
    }
    for name, entry in entries.items():
        table = made[name](folder)
        table.entries[case_id] = entry
        table.save()


def predictions_table(folder: Path) -> RunTable:
    """``predictions.csv``: a row per case and class, and in which order to look; rows of earlier versions, which said less, are kept."""
    read = partial(_read_rows, columns=PREDICTIONS_COLUMNS, optional=2, ignored=ORDER_COLUMN)
    return RunTable(folder / PREDICTIONS_FILE, read, _with_order)


def volumes_table(folder: Path) -> RunTable:
    """``volumes.csv``: a row per case and class; 1 ml = 1000 mm³."""
    return _csv_table(folder / VOLUMES_FILE, VOLUMES_COLUMNS)


def rle_table(folder: Path) -> RunTable:
    """``masks_rle.csv``: a row per case and class; runs as `medseg_monai.images.rle` has them, empty if the class is absent."""
    return _csv_table(folder / RLE_FILE, RLE_COLUMNS)


def coco_table(folder: Path, spec: DatasetSpec) -> RunTable:
    """``masks.coco.json``."""

    def text(entries: Mapping[str, Any]) -> str:
        return json.dumps(coco_file(dict(entries), spec)) + "\n"

    return RunTable(folder / COCO_FILE, lambda content: coco_entries(json.loads(content)), text)


def prediction_rows(
    case: str,
    mask: NDArray[np.uint8],
    spec: DatasetSpec,
    *,
    uncertainty: float | None,
    flagged: bool | None = None,
    reason: str = "",
    predicted_dice: Mapping[str, float] | None = None,
) -> Rows:
    """The rows of a case.

    Args:
        case: its id.
        mask: (1, *S) of class numbers, or (classes, *S) of {0, 1} for multilabel.
        spec: the data set.
        uncertainty: `medseg_monai.inference.uncertainty.uncertainty`'s number, the same in all rows; empty if unknown.
        flagged: whether a person should look at it; empty if unknown.
        reason: why, in words.
        predicted_dice: class -> the Dice that its mask is likely to have; empty if unknown.
    """
    number = "" if uncertainty is None else f"{uncertainty:.4f}"
    look = "" if flagged is None else "yes" if flagged else "no"
    dices = {name: f"{dice:.4f}" for name, dice in (predicted_dice or {}).items()}
    return [
        [case, name, count, number, look, reason, dices.get(name, "")]
        for name, count in zip(spec.classes, pixels(mask, spec), strict=True)
    ]


def predicted_case(case: str, rows: Rows) -> PredictedCase:
    """A case from its rows, `PREDICTIONS_COLUMNS`."""
    return PredictedCase.of(case, [dict(zip(PREDICTIONS_COLUMNS, map(str, row), strict=True)) for row in _filled(rows)])


def _filled(rows: Rows) -> Rows:
    """Rows with all columns: those that a journal of an earlier version holds lack the last ones."""
    return [[*row, *[""] * (len(PREDICTIONS_COLUMNS) - len(row))] for row in rows]


def _with_order(entries: Mapping[str, Rows]) -> str:
    """The text of ``predictions.csv``."""
    found = [predicted_case(case, rows) for case, rows in entries.items()]
    order = {one.case: place for place, one in enumerate(sorted(found, key=lambda one: one.urgency), start=1)}
    rows = [[*row, order[case]] for case in sorted(entries, key=order.__getitem__) for row in _filled(entries[case])]
    return csv_text([[*PREDICTIONS_COLUMNS, ORDER_COLUMN], *rows])


def rle_rows(case: str, mask: NDArray[np.uint8], spec: DatasetSpec) -> Rows:
    """The rows of a case's (1 or classes, W, H) mask."""
    planes = class_masks(mask, len(spec.classes))
    return [[case, name, *plane.shape, encode_rle(plane)] for name, plane in zip(spec.classes, planes, strict=True)]


def volume_rows(case: str, mask: NDArray[np.uint8], spec: DatasetSpec, voxel_ml: float) -> Rows:
    """The rows of a volume's mask, as for `prediction_rows`, with voxels of that many ml."""
    counts = pixels(mask, spec)
    return [[case, name, f"{count * voxel_ml:.4f}", count] for name, count in zip(spec.classes, counts, strict=True)]


def coco_of(mask: NDArray[np.uint8], spec: DatasetSpec, image: str) -> dict[str, Any]:
    """A case's entry in the COCO file."""
    return coco_entry(mask, spec, file_name=Path(image).name)


def pixels(mask: NDArray[np.uint8], spec: DatasetSpec) -> list[int]:
    """Pixels or voxels of each class."""
    if spec.task != "multiclass":
        return [int(np.count_nonzero(plane)) for plane in mask]
    counts: list[int] = np.bincount(mask.ravel(), minlength=len(spec.classes) + 1)[1:].tolist()
    return counts


def _csv_table(file: Path, columns: Sequence[str]) -> RunTable:
    def text(entries: Mapping[str, Rows]) -> str:
        return csv_text([columns, *(row for case in sorted(entries) for row in entries[case])])

    return RunTable(file, partial(_read_rows, columns=columns), text)


def _read_rows(content: str, columns: Sequence[str], optional: int = 0, ignored: str = "") -> dict[str, Rows]:
    """A table's rows by case; its last `optional` columns may be missing in a file of an earlier version, one after them is `ignored`."""
    rows = csv_rows(content)
    if ignored and rows[0][-1] == ignored:
        rows = [row[:-1] for row in rows]
    lacking = len(columns) - len(rows[0])
    if not 0 <= lacking <= optional or tuple(rows[0]) != tuple(columns[: len(rows[0])]):
        raise ValueError("other columns")
    entries: dict[str, Rows] = {}
    for row in rows[1:]:
        entries.setdefault(row[0], []).append([*row, *[""] * lacking])
    return entries
