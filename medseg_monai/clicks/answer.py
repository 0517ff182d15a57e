"""A mask with its probabilities that is being corrected, for classes that overlap and for classes that exclude each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.clicks.evidence import CERTAIN
from medseg_monai.clicks.window import as_floats

Bools = NDArray[np.bool_]
Cut = tuple[slice, ...]


class Answer:
    """Copies of a mask and its probabilities, changed class by class; the two stay of one opinion where they are changed.

    Args:
        mask: uint8 (classes, *S) of {0, 1}; of exclusive classes (*S) of class numbers, 0 for background.
        probabilities: (classes, *S) without the background.
        exclusive: whether a pixel has one class only.
    """

    def __init__(self, mask: NDArray[np.uint8], probabilities: NDArray[np.floating[Any]], *, exclusive: bool) -> None:
        self.exclusive = exclusive
        self.mask = mask.copy()
        self.probabilities = probabilities.copy()

    def has(self, number: int, cut: Cut = ()) -> Bools:
        """Where class `number` (from 0) is."""
        found: Bools = self.mask[cut] == number + 1 if self.exclusive else self.mask[number][cut] > 0
        return found

    def odds_change(self, number: int, cut: Cut, change: NDArray[np.floating[Any]]) -> None:
        """Add `change` to the log-odds of a class; where classes exclude each other, the others share what is left as before."""
        moved = change != 0
        values = self.probabilities[number][cut]
        old = np.clip(as_floats(values[moved]), CERTAIN**2, 1 - CERTAIN**2)
        raised = old * np.exp(change[moved])
        new = raised / (1 - old + raised)
        if self.exclusive and len(self.probabilities) > 1:
            share = ((1 - new) / (1 - old)).astype(self.probabilities.dtype)
            for other in range(len(self.probabilities)):
                if other != number:
                    self.probabilities[other][cut][moved] *= share
        values[moved] = new

    def add(self, number: int, cut: Cut, where: Bools) -> None:
        """Give pixels to a class."""
        if self.exclusive:
            self.mask[cut][where] = number + 1
        else:
            self.mask[number][cut][where] = 1
        self._agree(number, cut, where)

    def remove(self, number: int, cut: Cut, where: Bools, barred: Bools | None = None) -> None:
        """Take pixels from a class; where classes exclude each other, the most probable other one, or the background, gets them.

        Args:
            number: of the class.
            cut: a part of the image.
            where: the pixels of that part.
            barred: (classes, *part), classes that must not get them.
        """
        if not self.exclusive:
            self.mask[number][cut][where] = 0
            self._agree(number, cut, where)
            return
        shares = self._shares(cut, where)
        shares[number + 1] = -1
        if barred is not None:
            shares[1:][np.stack([excluded[where] for excluded in barred])] = -1
        self.mask[cut][where] = shares.argmax(axis=0)
        self._agree(number, cut, where)

    def _agree(self, number: int, cut: Cut, where: Bools) -> None:
        """Where the probabilities favour another answer than the mask's, the two exchange their values."""
        if not self.exclusive:
            values = self.probabilities[number][cut]
            wrong = where & ((values > 0.5) != self.has(number, cut))
            values[wrong] = 1 - values[wrong]
            return
        shares, columns = self._shares(cut, where), np.arange(int(where.sum()))
        given, favoured = self.mask[cut][where].astype(int), shares.argmax(axis=0)
        swapped = shares.copy()
        swapped[given, columns], swapped[favoured, columns] = shares[favoured, columns], shares[given, columns]
        for other in range(len(self.probabilities)):
            self.probabilities[other][cut][where] = swapped[other + 1]

    def _shares(self, cut: Cut, where: Bools) -> NDArray[np.float32]:
        """(1 + classes, N) probabilities of the background and all classes at the chosen pixels."""
        found = np.stack([values[cut][where] for values in self.probabilities]).astype(np.float32)
        return np.concatenate([1 - found.sum(axis=0, keepdims=True), found])


def small_cut(index: Sequence[int], radius: Sequence[int], shape: Sequence[int]) -> Cut:
    """Slices of the pixels within `radius` of a pixel along each axis."""
    return tuple(
        slice(max(0, at - margin), min(side, at + margin + 1))
        for at, margin, side in zip(index, radius, shape, strict=True)
    )
