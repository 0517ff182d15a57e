"""Boundary IoU, and the erosion and dilation by boxes that it needs, quick for large masks and wide bands.

Cheng et al., Boundary IoU: Improving Object-Centric Image Segmentation Evaluation, CVPR 2021, arXiv:2103.16562.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medseg_monai.evaluation.surfaces import Mask, box_of_both


def boundary_iou(pred: Mask, truth: Mask, *, width: float, spacing: Sequence[float]) -> float:
    """IoU of the two masks' inner bands: their pixels at most ``width`` from the outline.

    Interior pixels, of which a large mask has so many that IoU hardly notices its outline, do not count. As in the authors' code, the
    distance is the larger of those along the axes (a square of 2 d + 1 pixels, d at least 1), and beyond the image is outside.

    Args:
        pred: bool, (W, H) or (I, J, L), with at least one pixel.
        truth: likewise.
        width: in the unit of the spacing.
        spacing: distance between pixel centres along each axis.

    >>> square = np.zeros((9, 9), bool); square[1:8, 1:8] = True
    >>> larger = np.ones((9, 9), bool)
    >>> boundary_iou(square, larger, width=1, spacing=(1, 1))  # rings of 24 and 32 pixels, apart
    0.0
    """
    box = box_of_both(pred, truth)
    radii = [max(1, round(width / step)) for step in spacing]
    bands = [mask & ~eroded(mask, radii) for mask in (pred[box], truth[box])]
    return float(np.count_nonzero(bands[0] & bands[1]) / np.count_nonzero(bands[0] | bands[1]))


def eroded(mask: Mask, radii: Sequence[int]) -> Mask:
    """The pixels around which a whole box of 2 r + 1 pixels along each axis is in the mask; beyond the array is outside.

    >>> eroded(np.ones((3, 6), bool), (1, 2)).astype(int).tolist()
    [[0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]]
    """
    for axis, radius in enumerate(radii):
        inner = np.zeros_like(mask)
        runs = _runs(mask, axis, 2 * radius + 1)
        if runs.size:
            place = [slice(None)] * mask.ndim
            place[axis] = slice(radius, radius + runs.shape[axis])
            inner[tuple(place)] = runs
        mask = inner
    return mask


def dilated(mask: Mask, radii: Sequence[int]) -> Mask:
    """The pixels of which a box of 2 r + 1 pixels along each axis touches the mask.

    >>> dilated(np.eye(1, 5, 3, dtype=bool), (0, 1)).astype(int).tolist()
    [[0, 0, 1, 1, 1]]
    """
    for axis, radius in enumerate(radii):
        pad = [(radius, radius) if other == axis else (0, 0) for other in range(mask.ndim)]
        mask = ~_runs(np.pad(~mask, pad, constant_values=True), axis, 2 * radius + 1)
    return mask


def _runs(mask: Mask, axis: int, length: int) -> Mask:
    """Whether ``length`` pixels from here on along an axis are all set; the axis is shorter by ``length`` - 1.

    The runs double in each step, so that a band of 100 pixels takes 8 steps.
    """
    runs = np.moveaxis(mask, axis, 0)
    if length > len(runs):
        return np.moveaxis(runs[:0], 0, axis)
    done = 1
    while done < length:
        step = min(done, length - done)
        runs = runs[:-step] & runs[step:]
        done += step
    return np.moveaxis(runs, 0, axis)
