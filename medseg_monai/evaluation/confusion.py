"""Which class was mistaken for which: pixels of each true class by predicted class, including overlapping classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg_monai.evaluation.surfaces import Mask
from medseg_monai.files.csv_tables import csv_rows, csv_text
from medseg_monai.files.writing import write_whole

NOTHING = "nothing"
"""Name of the last row and column: no class at all."""
OVERLAP_FILE = "overlap.csv"
_BLOCK = 1 << 18  # pixels counted at a time: 2 MiB per class


@dataclass(frozen=True)
class Overlap:
    """Pixels, or voxels, by true and predicted class.

    Attributes:
        classes: names of the K classes.
        pixels: (K + 1), of each true class; the last entry counts predictions where there is no class.
        counts: (K + 1, K + 1), by true class (rows) and predicted class (columns); the last is no class. A pixel of two
            predicted classes counts in both columns, so a row may sum to more than its pixels.
    """

    classes: tuple[str, ...]
    pixels: NDArray[np.int64]
    counts: NDArray[np.int64]

    def __add__(self, other: Overlap) -> Overlap:
        """The sum of both, for example of two cases."""
        return Overlap(self.classes, self.pixels + other.pixels, self.counts + other.counts)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The counts as shares of their row's pixels, 0 to 1; the diagonal is the share that was found. NaN for a class that no case has,
        and in the last corner: pixels with neither a true nor a predicted class are not counted.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            shares: NDArray[np.float64] = self.counts / self.pixels[:, None]
        shares[-1, -1] = np.nan
        return shares


def count_overlap(pred: Mask, truth: Mask, classes: Sequence[str]) -> Overlap:
    """Count one case.

    Args:
        pred: bool, (K, ...).
        truth: likewise.
        classes: names of the K classes.

    >>> truth, pred = np.array([[1, 1, 0, 0], [0, 1, 1, 0]], bool), np.array([[1, 0, 0, 1], [0, 1, 0, 0]], bool)
    >>> overlap = count_overlap(pred, truth, ["a", "b"])
    >>> overlap.counts.tolist(), overlap.pixels.tolist()
    ([[1, 1, 0], [0, 1, 1], [1, 0, 0]], [2, 2, 1])
    """
    there = np.flatnonzero(pred.any(axis=0) | truth.any(axis=0))
    flat = [masks.reshape(len(masks), -1) for masks in (truth, pred)]
    counts = np.zeros((len(truth) + 1, len(pred) + 1))
    pixels = np.zeros(len(truth) + 1)
    for start in range(0, there.size, _BLOCK):
        rows, columns = (_with_nothing(masks[:, there[start : start + _BLOCK]]) for masks in flat)
        counts += rows @ columns.T  # exact: a double holds whole numbers up to 2**53
        pixels += rows.sum(axis=1)
    return Overlap(tuple(classes), pixels.astype(np.int64), counts.astype(np.int64))


def count_label_overlap(pred: NDArray[np.uint8], truth: NDArray[np.uint8], classes: Sequence[str]) -> Overlap:
    """The same from labels (as for `medseg_monai.evaluation.metrics.class_masks`), without a mask per class in memory.

    Args:
        pred: (1, ...) of class numbers, 0 for none; or (K, ...) of 0 and 1.
        truth: likewise.
        classes: names of the K classes.

    >>> count_label_overlap(np.array([[1, 2, 0, 1]]), np.array([[1, 1, 2, 0]]), ["a", "b"]).counts.tolist()
    [[1, 1, 0], [0, 0, 1], [1, 0, 0]]
    """
    if len(truth) > 1 or len(classes) == 1:
        return count_overlap(pred > 0, truth > 0, classes)
    kinds = len(classes) + 1
    counts = np.zeros(kinds * kinds, np.int64)
    flat_truth, flat_pred = truth.reshape(-1), pred.reshape(-1)
    for start in range(0, truth.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        counts += np.bincount(flat_truth[part].astype(np.int64) * kinds + flat_pred[part], minlength=kinds * kinds)
    table = np.roll(counts.reshape(kinds, kinds), -1, axis=(0, 1))  # no class comes last, not first
    table[-1, -1] = 0
    return Overlap(tuple(classes), table.sum(axis=1), table)


def _with_nothing(masks: Mask) -> NDArray[np.float64]:
    """(K, n) as (K + 1, n) of 0 and 1; the last row is 1 where all others are 0."""
    return np.concatenate([masks, ~masks.any(axis=0, keepdims=True)]).astype(np.float64)


def write_overlap(folder: str | Path, overlap: Overlap) -> Path:
    """Write ``overlap.csv``: a row per true class with its pixels, and a column per predicted class."""
    names = [*overlap.classes, NOTHING]
    rows = zip(names, overlap.pixels.tolist(), overlap.counts.tolist(), strict=True)
    table = [["truth", "pixels", *names], *([name, pixels, *counts] for name, pixels, counts in rows)]
    path = Path(folder) / OVERLAP_FILE
    write_whole(path, csv_text(table).encode())
    return path


def read_overlap(folder: str | Path) -> Overlap | None:
    """The table written by :func:`write_overlap`; None if there is none.

    Raises:
        ValueError: the file is not such a table.
    """
    path = Path(folder) / OVERLAP_FILE
    if not path.is_file():
        return None
    try:
        header, *rows = csv_rows(path.read_text(encoding="utf-8"))
        numbers = np.array([[int(value) for value in row[1:]] for row in rows], np.int64)
        if numbers.shape != (len(header) - 2, len(header) - 1):
            raise ValueError(f"{len(rows)} rows for {len(header) - 2} columns")
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path} is not a table of overlaps: {error}") from error
    return Overlap(tuple(header[2:-1]), numbers[:, 0], numbers[:, 1:])
