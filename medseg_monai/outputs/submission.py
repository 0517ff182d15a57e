"""The competition's table of masks as run lengths: ``id,class,predicted``, a row for each slice and class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg_monai.files.csv_tables import csv_rows, csv_text
from medseg_monai.files.writing import write_whole
from medseg_monai.images.rle import decode_rle, encode_rle

COLUMNS = ("id", "class", "predicted")


def submission_rows(slice_id: str, masks: NDArray[np.generic], classes: Sequence[str]) -> list[tuple[str, str, str]]:
    """The rows of one slice: masks (K, W, H) as run lengths, in the order of the classes; an empty text for none.

    >>> submission_rows("case1_day0_slice_0001", np.array([[[0], [1]], [[0], [0]]]), ("a", "b"))
    [('case1_day0_slice_0001', 'a', '2 1'), ('case1_day0_slice_0001', 'b', '')]
    """
    return [(slice_id, name, encode_rle(mask)) for name, mask in zip(classes, masks, strict=True)]


def write_submission(file: Path, rows: Iterable[tuple[str, str, str]]) -> Path:
    """Write the table, whole or not at all."""
    write_whole(file, csv_text([COLUMNS, *rows]).encode())
    return file


def read_submission(file: Path) -> dict[tuple[str, str], str]:
    """{(slice id, class): run lengths} of such a table.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it has other columns, or a slice has two rows for one class.
    """
    rows: dict[tuple[str, str], str] = {}
    header, *table = csv_rows(file.read_text(encoding="utf-8-sig")) or [[]]
    if tuple(header) != COLUMNS:
        raise ValueError(f"{file}: its first line is not {','.join(COLUMNS)}")
    for line, row in enumerate(table, start=2):
        if len(row) != len(COLUMNS):
            raise ValueError(f"{file}: line {line} has {len(row)} columns, not {len(COLUMNS)}")
        if (row[0], row[1]) in rows:
            raise ValueError(f"{file}: line {line}: a second row for {row[0]}, {row[1]}")
        rows[row[0], row[1]] = row[2]
    return rows


def submitted_mask(
    rows: dict[tuple[str, str], str], slice_id: str, classes: Sequence[str], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """The masks (K, W, H) of one slice of `size` (width, height)."""
    return np.stack([decode_rle(rows[slice_id, name], size) for name in classes])
