"""Is one network better than another on the same cases? A paired permutation test, corrected for many pairs.

Why permutation and not Wilcoxon's signed ranks: its statistic is the mean difference, the number that the
table shows, while signed ranks test a pseudo-median and drop cases on which both are equal. It assumes only that
under the null hypothesis the two networks could be swapped within any case, and nothing about the distribution,
which for Dice is skewed, bounded and full of ties at 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 22  # signs that are held at a time
_ROUNDING = 1e-12  # permuted means this close below the observed one are equal to it


def paired_permutation_p(
    differences: Sequence[float] | NDArray[np.float64], *, seed: int = 0, n_permutations: int = 10_000
) -> float:
    """Two-sided p value of the mean of paired differences, by flipping their signs.

    With at most ``n_permutations`` ways to choose the signs, all are tried and p is exact. Otherwise they are
    drawn, and the observed signs count as one draw, so p is never 0 (Phipson and Smyth 2010,
    doi:10.2202/1544-6115.1585).

    Args:
        differences: one per case.
        seed: of the drawing.
        n_permutations: number of draws.

    Raises:
        ValueError: no differences.

    >>> paired_permutation_p([0.1, 0.2, 0.3])  # of the 8 choices of signs, +++ and --- are as extreme
    0.25
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"differences must be a list of at least one number, not of shape {values.shape}")
    n_choices = 2**values.size
    is_exact = n_choices <= n_permutations
    total = n_choices if is_exact else n_permutations
    generator = np.random.default_rng(seed)
    threshold = abs(values.sum()) - _ROUNDING * np.abs(values).sum()
    block, extreme = max(1, _BLOCK // values.size), 0
    for start in range(0, total, block):
        stop = min(start + block, total)
        if is_exact:
            flips = (np.arange(start, stop)[:, None] >> np.arange(values.size)) & 1
        else:
            flips = generator.integers(2, size=(stop - start, values.size), dtype=np.int8)
        extreme += int(np.count_nonzero(np.abs((1 - 2 * flips) @ values) >= threshold))
    return extreme / total if is_exact else (extreme + 1) / (total + 1)


def group_permutation_p(
    values: Sequence[float] | NDArray[np.float64],
    members: Sequence[bool] | NDArray[np.bool_],
    *,
    seed: int = 0,
    n_permutations: int = 10_000,
) -> float:
    """Two-sided p value of the difference between the mean of some cases and that of the others, by drawing as many at random.

    Args:
        values: one per case.
        members: which cases are in the group; some, but not all.
        seed: of the drawing.
        n_permutations: number of draws; the observed group counts as one more.

    Raises:
        ValueError: nobody, or everybody, is in the group.
    """
    numbers, inside = np.asarray(values, dtype=np.float64), np.asarray(members, dtype=bool)
    size = int(inside.sum())
    if not 0 < size < len(numbers):
        raise ValueError(f"a group of {size} of {len(numbers)} cases cannot be compared with the others")
    # of a given size, the group's sum decides the difference: far from its expectation is far from the others
    centred = numbers - numbers.mean()
    threshold = abs(centred[inside].sum()) - _ROUNDING * np.abs(centred).sum()
    generator, block, extreme = np.random.default_rng(seed), max(1, _BLOCK // len(numbers)), 1
    for start in range(0, n_permutations, block):
        draws = generator.random((min(block, n_permutations - start), len(numbers)))
        drawn = np.argpartition(draws, size - 1, axis=1)[:, :size]
        extreme += int(np.count_nonzero(np.abs(centred[drawn].sum(axis=1)) >= threshold))
    return extreme / (n_permutations + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected so that the chance of any false finding among them stays at the level (Holm 1979).

    The smallest of m is multiplied by m, the next by m - 1, and so on; none falls below the one before it.

    >>> holm([0.01, 0.04, 0.02])
    [0.03, 0.04, 0.04]
    """
    order = np.argsort(p_values, kind="stable")
    corrected, floor = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        floor = max(floor, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = floor
    return corrected
