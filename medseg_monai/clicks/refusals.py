"""Of classes that exclude each other: which of them a pixel must not get when it is taken from another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.clicks.click import Index

Bools = NDArray[np.bool_]


class Refusals:
    """What each click says the pixel is not. A pixel that a class loses follows the nearest click that took it away.

    Args:
        said: class -> index -> whether it is there.
        classes: their number.
        spacing: sides of a pixel.
    """

    def __init__(self, said: Mapping[int, Mapping[Index, bool]], classes: int, spacing: Sequence[float]) -> None:
        self.said, self.classes, self.spacing = said, classes, spacing

    def of(self, point: Index) -> Bools:
        """(classes,) those that are not at a clicked pixel."""
        return np.array([not self.said.get(number, {}).get(point, True) for number in range(self.classes)])

    def at(self, point: Index, cut: Sequence[slice]) -> Bools:
        """(classes, *cut), those of one click for all of a part of the image."""
        shape = tuple(part.stop - part.start for part in cut)
        return np.broadcast_to(self.of(point).reshape(-1, *[1] * len(shape)), (self.classes, *shape))

    def near(self, number: int, cut: Sequence[slice]) -> Bools:
        """(classes, *cut), of each pixel those of the nearest click that says it is not of class `number`."""
        refused = self.at(next(iter(self.said[number])), cut) & False
        nearest = np.full(refused.shape[1:], np.inf)
        for point, inside in self.said[number].items():
            if not inside:
                distance = squared_distances(cut, point, self.spacing)
                closer = distance < nearest
                nearest = np.where(closer, distance, nearest)
                refused = np.where(closer, self.at(point, cut), refused)
        return refused


def squared_distances(cut: Sequence[slice], point: Index, spacing: Sequence[float]) -> NDArray[np.floating[Any]]:
    """Of the pixels of a part of the image from one pixel."""
    axes = [
        ((np.arange(part.start, part.stop) - at) * side) ** 2
        for part, at, side in zip(cut, point, spacing, strict=True)
    ]
    squares: NDArray[np.floating[Any]] = sum(np.ix_(*axes), np.zeros(()))
    return squares
