"""Intervals of means and of medians over cases, without assuming a distribution.

Means: the studentised bootstrap (bootstrap-t; Efron and Tibshirani 1993, ch. 12). Dice is skewed, with a tail of failures, and so are
distances. There a percentile interval misses the true mean too often, on one side, and BCa hardly less; `benchmarks/intervals.py` measures
it. The studentised interval is longer towards the tail. If all cases but a few are equal (every lesion found, except for one),
it does not exist, and Student's t interval takes its place.

Medians: order statistics. A bootstrap of the median fails for few cases: a resample's median is always one of the cases themselves, or
midway between two, so its distribution has a handful of values, whatever the number of resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

CONFIDENCE = 0.95
_TAIL = (1 - CONFIDENCE) / 2
LEAST_CASES = 5
"""Fewer have no interval of the mean: most of the few different resamples would have no spread, or the same one."""
_BLOCK = 1 << 22  # numbers that the bootstrap holds at a time: 32 MiB
_NO_SPREAD = 1e-6  # of the sample's standard deviation: what rounding leaves in a resample of equal values


def mean_interval(
    values: ArrayLike,
    *,
    seed: int,
    n_bootstrap: int,
    least: ArrayLike = -np.inf,
    most: ArrayLike = np.inf,
) -> tuple[Array, Array]:
    """The 95 % studentised bootstrap interval of the mean over the first axis, for all columns from the same resamples.

    Args:
        values: (cases, …), for example a column per score.
        seed: of the resampling.
        n_bootstrap: number of resamples.
        least: the smallest possible value, one for all columns or one each: an interval does not reach beyond it.
        most: the largest.

    Returns:
        Lower and upper ends, one per column; NaN for fewer than `LEAST_CASES` cases, and for a column with a NaN.

    >>> low, high = mean_interval([0.9, 0.8, 0.95, 0.85, 0.2], seed=0, n_bootstrap=2000, least=0, most=1)
    >>> bool(low < 0.55 < 0.74 < high)  # longer towards the failure
    True
    """
    table = np.asarray(values, dtype=np.float64)
    columns = table.reshape(len(table), -1)
    if len(columns) < LEAST_CASES:
        return (np.full(table.shape[1:], np.nan), np.full(table.shape[1:], np.nan))
    centre = columns.mean(axis=0)
    spread = columns.std(axis=0, ddof=1)
    shifts, spreads = _resampled(columns - centre, seed, n_bootstrap)
    ends = np.tile(centre, (2, 1))
    for number, scale in enumerate(spread):
        has_spread = spreads[:, number] > _NO_SPREAD * scale
        ratios = shifts[has_spread, number] / spreads[has_spread, number]
        if has_spread.mean() > 1 - _TAIL:
            ends[:, number] -= scale * np.quantile(ratios, [1 - _TAIL, _TAIL])
        else:  # nearly all cases are equal, and the ratio of a resample without the others is infinite
            from scipy.special import stdtrit  # see `median_interval`

            ends[:, number] -= scale / len(columns) ** 0.5 * stdtrit(len(columns) - 1, [1 - _TAIL, _TAIL])
    low, high = (np.clip(end.reshape(table.shape[1:]), least, most) for end in ends)
    return low, high


def _resampled(centred: Array, seed: int, n_bootstrap: int) -> tuple[Array, Array]:
    """Means and standard deviations of the resamples, (n_bootstrap, columns) each."""
    generator, n_cases = np.random.default_rng(seed), len(centred)
    moments = np.concatenate([centred, centred**2], axis=1)
    block = max(1, _BLOCK // n_cases)
    parts = []
    for start in range(0, n_bootstrap, block):
        rows = min(block, n_bootstrap - start)
        drawn = generator.integers(n_cases, size=(rows, n_cases)) + n_cases * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * n_cases).reshape(rows, n_cases)
        parts.append(times.astype(np.float64) @ moments / n_cases)
    means, squares = np.split(np.concatenate(parts), 2, axis=1)
    variance = (squares - means**2).clip(min=0) * n_cases / (n_cases - 1)
    return means, np.sqrt(variance)


def median_interval(values: ArrayLike) -> tuple[float, float]:
    """The interval between two order statistics that contains the median in at least 95 % of samples, whatever the distribution.

    The number of cases below the median is binomial with 1/2 (Conover 1999, section 3.2). NaN for fewer than 6 cases: there even the
    lowest and the highest enclose the median less often.

    >>> median_interval([7, 1, 5, 3, 4, 9]), median_interval([1, 2, 3, 4, 5])
    ((1.0, 9.0), (nan, nan))
    """
    from scipy.special import bdtr  # scipy.stats takes most of a second, and a page of predictions has no intervals

    ordered = np.sort(np.asarray(values, dtype=np.float64))
    below = bdtr(np.arange(len(ordered)), len(ordered), 0.5)  # the chance of at most so many cases below the median
    left_out = int(np.count_nonzero(below < _TAIL))  # as many at each end
    if left_out < 1:
        return np.nan, np.nan
    return float(ordered[left_out - 1]), float(ordered[-left_out])
