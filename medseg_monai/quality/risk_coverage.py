"""How well a number sorts masks by their quality: the mean error among the best so many of them (Geifman and El-Yaniv, NeurIPS 2017).

The area under that curve, the AURC, needs no threshold: the lower, the better the poor masks stand apart. Its least value is that of the
true Dice, and not 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RESAMPLES = 1000


def risk_curve(score: Sequence[float] | NDArray[Any], dice: Sequence[float] | NDArray[Any]) -> Array:
    """Mean 1 - Dice among the 1, 2 … all cases of the highest score; (..., cases) from (..., cases). Of equal scores the first comes first.

    >>> risk_curve([0.9, 0.1, 0.5], [1.0, 0.4, 0.8]).round(3).tolist()
    [0.0, 0.1, 0.267]
    """
    scores, risk = np.asarray(score, np.float64), 1 - np.asarray(dice, np.float64)
    order = np.argsort(-scores, axis=-1, kind="stable")
    sums = np.cumsum(np.take_along_axis(risk, order, axis=-1), axis=-1)
    return np.asarray(sums / np.arange(1, risk.shape[-1] + 1))


def aurc(score: Sequence[float] | NDArray[Any], dice: Sequence[float] | NDArray[Any]) -> float:
    """Area under the risk-coverage curve: the mean of `risk_curve` over all shares of the cases.

    >>> round(aurc([0.9, 0.1, 0.5], [1.0, 0.4, 0.8]), 4)
    0.1222
    """
    return float(risk_curve(score, dice).mean())


def aurc_interval(
    score: Sequence[float] | NDArray[Any], dice: Sequence[float] | NDArray[Any], *, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of `aurc` over cases."""
    scores, dices = np.asarray(score, np.float64), np.asarray(dice, np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(dices), (RESAMPLES, len(dices)))
    low, high = np.percentile(risk_curve(scores[drawn], dices[drawn]).mean(axis=-1), [2.5, 97.5])
    return float(low), float(high)
