"""One Gaussian of all numbers of a description: fitted on cases, and distances to its mean, of the whole and of each part alone.

The covariance is shrunk toward independence, more with fewer cases: OAS, Chen et al., Shrinkage algorithms for MMSE covariance estimation,
2010.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Description: TypeAlias = Mapping[str, Array]
"""Part -> its numbers, of one image."""

DIGITS = 5
"""Significant digits of stored numbers."""
SMALLEST = 1e-6
"""Numbers that are the same in all cases have at least this spread."""


@dataclass(frozen=True)
class Gaussian:
    """Mean, spread and covariance of descriptions.

    Args:
        sizes: part -> its number of numbers, in the order in which they are put one after another.
        mean, scale: (n,), mean and spread of each number.
        covariance: (n, n), of the numbers less their mean, over their spread; positive definite.
    """

    sizes: Mapping[str, int]
    mean: Array
    scale: Array
    covariance: Array

    @classmethod
    def fitted(cls, cases: Sequence[Description]) -> Gaussian:
        """On cases, with no more digits than are stored."""
        table = np.stack([joined(case) for case in cases])
        mean = rounded(table.mean(axis=0))
        scale = rounded(np.maximum(table.std(axis=0), SMALLEST))
        covariance = shrunk_covariance((table - mean) / scale)
        lower = rounded(covariance[np.tril_indices(len(mean))])
        sizes = {name: len(numbers) for name, numbers in cases[0].items()}
        return cls(sizes, mean, scale, symmetric(lower, len(mean)))

    @cached_property
    def _blocks(self) -> dict[str, slice]:
        ends = np.cumsum(list(self.sizes.values())).tolist()
        return {name: slice(end - size, end) for (name, size), end in zip(self.sizes.items(), ends, strict=True)}

    @cached_property
    def _precision(self) -> Array:
        return np.asarray(np.linalg.inv(self.covariance))

    @cached_property
    def _precisions(self) -> dict[str, Array]:
        return {name: np.asarray(np.linalg.inv(self.covariance[place, place])) for name, place in self._blocks.items()}

    def _off(self, case: Description) -> Array:
        return np.asarray((joined({name: case[name] for name in self.sizes}) - self.mean) / self.scale)

    def distance(self, case: Description) -> float:
        """To the mean, in standard deviations: Mahalanobis' distance over the root of the count of numbers."""
        return _length(self._off(case), self._precision)

    def distances(self, case: Description) -> dict[str, float]:
        """The same of each part alone."""
        off = self._off(case)
        return {name: _length(off[place], self._precisions[name]) for name, place in self._blocks.items()}


def joined(case: Description) -> Array:
    """All numbers of a description, part after part."""
    return np.concatenate([np.asarray(numbers, np.float64) for numbers in case.values()])


def shrunk_covariance(centred: Array) -> Array:
    """OAS covariance of (cases, numbers) with mean 0: the sample's, shrunk toward that of independent numbers, more with fewer cases."""
    cases, size = centred.shape
    sample = centred.T @ centred / cases
    even = np.trace(sample) / size
    power = float(np.mean(sample**2))
    above = (cases + 1) * (power - even**2 / size)
    share = 1.0 if above == 0 else min(1.0, (power + even**2) / above)
    return np.asarray((1 - share) * sample + share * even * np.eye(size))


def symmetric(lower: Array | Sequence[float], size: int) -> Array:
    """The matrix (size, size) of which this is the lower triangle, row by row.

    >>> symmetric([1, 2, 3], 2).tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    matrix = np.zeros((size, size))
    matrix[np.tril_indices(size)] = lower
    return np.asarray(matrix + np.tril(matrix, -1).T)


def rounded(values: Array) -> Array:
    """Rounded to the stored digits."""
    return np.array([float(f"{value:.{DIGITS}g}") for value in values])


def _length(off: Array, precision: Array) -> float:
    return math.sqrt(max(0.0, float(off @ precision @ off)) / len(off))
