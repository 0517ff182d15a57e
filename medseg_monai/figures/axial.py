"""Volumes as radiologists view them: axial slices with square pixels.

A volume's axes are those of its file; the affine gives their directions. Here they are reoriented so that the first points
to the patient's left, the second to the back, the third to the head: a slice drawn with its first axis to the right
and its second downwards then has the patient's right on the picture's left and the front at the top.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from medseg_monai.evaluation.surfaces import Mask
from medseg_monai.figures.drawing import Picture

SHOWN_AXES = ("L", "P", "S")


def to_axial(volume: ArrayLike, affine: ArrayLike | None = None) -> tuple[NDArray[Any], tuple[float, float, float]]:
    """A volume with its axes reoriented to left, back and head, and its voxel size along them.

    Args:
        volume: (I, J, K), or (C, I, J, K) with channels or classes first.
        affine: (4, 4), voxel index to RAS millimetres; None leaves the axes unchanged and assumes cubic voxels.

    Returns:
        An array of as many axes, and its voxel size in mm.

    >>> turned, size = to_axial(np.arange(6).reshape(1, 2, 3), np.diag([2, 3, 5, 1]))  # RAS: right and front grow
    >>> turned[0].tolist(), size
    ([[3, 4, 5], [0, 1, 2]], (2.0, 3.0, 5.0))
    """
    values: NDArray[Any] = np.asarray(volume)
    if affine is None:
        return values, (1.0, 1.0, 1.0)
    from nibabel.affines import voxel_sizes
    from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

    turn = ornt_transform(io_orientation(np.asarray(affine)), axcodes2ornt(SHOWN_AXES))  # type: ignore[no-untyped-call]
    last = np.moveaxis(values, 0, -1) if values.ndim == 4 else values  # apply_orientation turns the leading axes
    turned = apply_orientation(last, turn)  # type: ignore[no-untyped-call]
    sizes = np.empty(3)
    sizes[turn[:, 0].astype(int)] = voxel_sizes(np.asarray(affine))  # type: ignore[no-untyped-call]
    back: NDArray[Any] = np.moveaxis(turned, -1, 0) if values.ndim == 4 else turned
    return back, (float(sizes[0]), float(sizes[1]), float(sizes[2]))


def fullest_slice(masks: Mask) -> int:
    """The slice, along the last axis of (N, I, J, K), with most of the masks; the middle one if all are empty.

    >>> masks = np.zeros((1, 2, 2, 5), bool); masks[..., 3] = True
    >>> fullest_slice(masks), fullest_slice(masks & False)
    (3, 2)
    """
    filled = masks.reshape(-1, masks.shape[-1]).sum(axis=0)
    return int(filled.argmax()) if filled.any() else masks.shape[-1] // 2


def spread_slices(masks: Mask, count: int) -> list[int]:
    """Slices evenly spaced from the first to the last non-empty one of (N, I, J, K); of all slices if all are empty.

    >>> masks = np.zeros((1, 2, 2, 9), bool); masks[..., 2:7] = True
    >>> spread_slices(masks, 3), spread_slices(masks & False, 3), spread_slices(masks, 20)
    ([2, 4, 6], [0, 4, 8], [2, 3, 4, 5, 6])
    """
    filled = np.flatnonzero(masks.any(axis=(0, 1, 2)))
    first, last = (int(filled[0]), int(filled[-1])) if filled.size else (0, masks.shape[-1] - 1)
    count = min(count, last - first + 1)
    return [int(index) for index in np.linspace(first, last, count).round()]


def with_square_pixels(picture: Picture, masks: Mask, spacing_mm: tuple[float, float]) -> tuple[Picture, Mask]:
    """A picture (H, W, 3) and masks (N, H, W) enlarged along the axis of the wider step, so that lengths look as they are.

    Args:
        picture: a slice.
        masks: on its pixels.
        spacing_mm: the pixel's width and height.
    """
    finest = min(spacing_mm)
    height, width = picture.shape[:2]
    size = (round(width * spacing_mm[0] / finest), round(height * spacing_mm[1] / finest))
    if size == (width, height):
        return picture, masks
    larger = np.array(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
    planes = [np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)) for mask in masks]
    return larger, np.array(planes, dtype=np.bool_).reshape(len(masks), size[1], size[0])
