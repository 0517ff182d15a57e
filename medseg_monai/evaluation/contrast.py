"""How much a structure stands out from what surrounds it, on the network's own input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.evaluation.boundary import dilated
from medseg_monai.evaluation.surfaces import Mask, bounding_box

RING_SHARE = 0.2
"""Width of the ring of surroundings, of the square (cubic) root of the structure's size."""
LEAST_SPREAD = 1e-3
"""Of normalised intensities: a spread below it is that of a drawing, and would make any contrast infinite."""


def contrast(image: NDArray[Any], mask: Mask, *, others: Mask, seen: Mask) -> float:
    """The difference of the mean intensities inside and around a structure, in standard deviations (Cohen's d), without sign.

    Of several channels, that in which the structure stands out most. The surroundings are a ring that begins one pixel outside the
    outline, whose pixels are mixtures, and is at least 2 pixels wide.

    Args:
        image: (C, *S), of any linear scale.
        mask: the structure, (*S).
        others: pixels of any structure, which do not count as surroundings.
        seen: pixels that the image fills.

    Returns:
        NaN if the structure has no pixels or no surroundings.

    >>> image, mask = np.arange(81.0).reshape(1, 9, 9) % 2, np.zeros((9, 9), bool)
    >>> mask[3:6, 3:6] = True
    >>> image[0, mask] += 10
    >>> 19 < contrast(image, mask, others=mask, seen=np.ones((9, 9), bool)) < 21
    True
    """
    if not mask.any():
        return math.nan
    width = max(2, round(RING_SHARE * np.count_nonzero(mask) ** (1 / mask.ndim)))
    box = tuple(
        slice(max(0, part.start - width - 1), min(side, part.stop + width + 1))
        for part, side in zip(bounding_box(mask), mask.shape, strict=True)
    )
    inside = mask[box]
    near, far = (dilated(inside, [radius] * mask.ndim) for radius in (1, width + 1))
    around = far & ~near & ~others[box] & seen[box]
    if not around.any():
        return math.nan
    index = (slice(None), *box)
    channels = np.asarray(image[index], dtype=np.float64)
    return max(_separation(channel[inside], channel[around]) for channel in channels)


def _separation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The distance of two means in pooled standard deviations."""
    spread = max(LEAST_SPREAD, math.sqrt((first.var() + second.var()) / 2))
    return float(abs(first.mean() - second.mean()) / spread)
