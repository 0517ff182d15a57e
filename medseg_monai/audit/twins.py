"""Pictures of two patients that are nearly the same: saved again, resized, or with other brightness.

Pictures are reduced to a few thousand pixels, and what is smooth in them is taken away: lesions and organs look alike in the coarse,
their details do not. Cropped, mirrored or turned copies are not found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

SIDES = {2: (64, 64), 3: (24, 24, 24)}
"""Of the reduced pictures, by number of axes."""
SMOOTH = 2.0
"""Standard deviation, in pixels of the reduced picture, of what counts as smooth."""
ALIKE = 0.85
"""Correlation of two pictures' details from which they are twins."""
ROWS = 512
"""Pictures that are compared with all at once."""

Detail = NDArray[np.float32]


class Twins(NamedTuple):
    """Two pictures, by number, and the correlation of their details."""

    first: int
    second: int
    alike: float


def detail_of(image: NDArray[np.generic]) -> Detail:
    """A picture's details: (C, *S) of any size to (pixels,) of zero mean and unit length; zeros for a picture without any."""
    spatial = image.ndim - 1
    grey = torch.from_numpy(np.asarray(image, np.float32)).mean(dim=0)[None, None]
    small: NDArray[np.float32] = F.interpolate(grey, SIDES[spatial], mode="area")[0, 0].numpy()
    detail = small - ndimage.gaussian_filter(small, SMOOTH, mode="nearest")
    values: Detail = (detail - detail.mean()).ravel()
    length = float(np.linalg.norm(values))
    least = 1e-4 * max(float(np.abs(small).max()), 1e-12) * len(values) ** 0.5
    return values / length if length > least else np.zeros_like(values)


def find_twins(details: Sequence[Detail], groups: Sequence[str], *, alike: float = ALIKE) -> Iterator[Twins]:
    """Pairs of pictures of different patients that are nearly the same.

    Args:
        details: of all pictures, from `detail_of`.
        groups: their patients.
        alike: least correlation.
    """
    if not details:
        return
    everything = np.stack(details)
    patients = np.unique(np.array(groups), return_inverse=True)[1]
    for start in range(0, len(everything), ROWS):
        rows = everything[start : start + ROWS]
        pairs = np.argwhere(rows @ everything.T >= alike)
        for row, second in pairs:
            first = start + int(row)
            if first < second and patients[first] != patients[second]:
                yield Twins(first, int(second), float(everything[first] @ everything[second]))
