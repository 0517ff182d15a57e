"""What a change leaves behind in small pieces: pixels at its rim that look a little different."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, generate_binary_structure, label

Bools = NDArray[np.bool_]
LARGEST_SHARE = 0.1
"""A piece goes with a change that it touches if it is at most this part of the change's size."""


def slivers(before: Bools, after: Bools, points: Mapping[tuple[int, ...], bool], *, inside: bool) -> NDArray[Any]:
    """Small pieces of what was not changed beside what was.

    Args:
        before: the mask.
        after: the changed mask.
        points: clicks, index -> whether inside; a piece with a click stays.
        inside: True for holes beside what was added, False for remnants beside what was removed.
    """
    changed = (after & ~before) if inside else (before & ~after)
    if not changed.any():
        return changed
    pieces, _ = label(after != inside)
    sizes = np.bincount(pieces.ravel())
    touching = np.unique(pieces[binary_dilation(changed, generate_binary_structure(changed.ndim, 1))])
    clicked = {int(pieces[point]) for point, wanted in points.items() if wanted != inside}
    small = [
        piece
        for piece in touching.tolist()
        if piece and piece not in clicked and sizes[piece] <= LARGEST_SHARE * changed.sum()
    ]
    found: Bools = np.isin(pieces, small)
    return found
