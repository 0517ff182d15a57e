"""Run-length encoding as in Kaggle's segmentation competitions: ``"start length start length …"``.

Pixels are counted from 1, row by row from the top left: pixel (x, y) of a picture W wide has the number ``y * W + x + 1``.
Masks are (W, H) here, as everywhere in this package.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def decode_rle(text: str, size: tuple[int, int]) -> Mask:
    """Decode runs to a mask.

    Args:
        text: ``"start length …"``, runs in ascending order; empty for an empty mask.
        size: (width, height) of the picture.

    Returns:
        bool, (W, H).

    Raises:
        ValueError: the text is not such a list, or runs overlap, are out of order or exceed the picture.

    >>> decode_rle("2 2 6 1", (3, 2)).T.astype(int)  # printed as displayed: 2 rows of 3
    array([[0, 1, 1],
           [0, 0, 1]])
    """
    width, height = size
    starts, lengths = _runs(text, width * height)
    # outside, inside, outside … in turn; nothing is between touching runs
    turns = np.empty(2 * len(starts) + 1, np.int64)
    turns[1::2] = lengths
    turns[::2] = np.append(starts, width * height) - np.insert(starts + lengths, 0, 0)
    mask: Mask = np.repeat(np.arange(len(turns)) % 2 == 1, turns).reshape(height, width).T
    return mask


def encode_rle(mask: NDArray[np.generic]) -> str:
    """The runs of a mask, (W, H), where it is not 0; an empty text for an empty mask.

    >>> encode_rle(np.array([[0, 1, 1], [0, 0, 1]]).T)
    '2 2 6 1'
    """
    if mask.ndim != 2:
        raise ValueError(f"got a mask of shape {mask.shape}, expected (W, H)")
    inside = np.zeros(mask.size + 2, np.bool_)
    inside[1:-1] = mask.T.ravel()
    edges = np.flatnonzero(inside[1:] != inside[:-1])  # first pixel of each run, and the one after its last
    edges[1::2] -= edges[::2]
    edges[::2] += 1
    return " ".join(map(str, edges.tolist()))


def _runs(text: str, pixels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts (from 0) and lengths of the runs in a picture of so many pixels."""
    words = text.split()
    try:
        numbers = np.array(words, dtype=np.int64)
    except (ValueError, OverflowError):
        wrong = next(word for word in words if not re.fullmatch(r"-?[0-9]{1,18}", word))
        raise ValueError(f"runs must be whole numbers, got {wrong[:40]!r}") from None
    if len(numbers) % 2:
        raise ValueError(f"runs must be pairs of start and length, got {len(numbers)} numbers")
    starts, lengths = numbers[::2] - 1, numbers[1::2]
    if not len(starts):
        return starts, lengths
    if lengths.min() < 1:
        raise ValueError(f"a run must have at least one pixel, got the length {lengths.min()}")
    ends = starts + lengths
    if starts.min() < 0 or ends.max() > pixels or ends.min() < 0:
        outside = int(np.flatnonzero((starts < 0) | (ends > pixels) | (ends < 0))[0])
        raise ValueError(f"the run '{starts[outside] + 1} {lengths[outside]}' exceeds the picture of {pixels} pixels")
    if (starts[1:] < ends[:-1]).any():
        second = int(np.flatnonzero(starts[1:] < ends[:-1])[0]) + 1
        runs = " and ".join(f"'{starts[i] + 1} {lengths[i]}'" for i in (second - 1, second))
        raise ValueError(f"runs overlap or are out of order: {runs}")
    return starts, lengths
