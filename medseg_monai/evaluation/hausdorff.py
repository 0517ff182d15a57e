"""The Hausdorff distance between two masks: exact, and quick on a whole scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from medseg_monai.evaluation.surfaces import DENSE_SURFACE, Mask, box_of_both, check_spacing, surface

if TYPE_CHECKING:
    from scipy.spatial import KDTree

BLOCKS = (16, 4, 1)  # sides, in pixels, of blocks that are ruled out together, each a multiple of the next


def hausdorff_distance(pred: Mask, truth: Mask, spacing: Sequence[float] | None = None) -> float:
    """The largest distance from a pixel of one mask to the nearest pixel of the other, in both directions.

    All pixels count, not only the surfaces: it equals the larger of SciPy's two ``directed_hausdorff`` of the pixels' coordinates.

    Args:
        pred: bool, (W, H) or (I, J, L), with at least one pixel.
        truth: bool, the same shape, with at least one pixel.
        spacing: distance between pixel centres along each axis; None for 1.

    Raises:
        ValueError: an empty mask.

    >>> row = np.arange(8) < 2
    >>> hausdorff_distance(row[None], np.roll(row, 3)[None])
    3.0
    """
    steps = np.array(check_spacing(spacing, pred.ndim))
    union = box_of_both(pred, truth)
    near, far = pred[union], truth[union]
    return max(_directed(near, far, steps), _directed(far, near, steps))


def normalised_hausdorff(pred: Mask, truth: Mask) -> float:
    """The Hausdorff distance as a share of the largest possible: 0 for equal masks, 1 if one mask is empty and the other is not.

    Every axis is scaled to length 1, and the distance divided by the unit cube's diagonal (see `medseg_monai.evaluation.scan_scores`).
    Two empty masks are equal.

    >>> left = np.zeros((1, 4, 10), bool); left[0, 0, 0] = True
    >>> round(normalised_hausdorff(left, np.roll(left, 5, axis=2)), 4) == round(0.5 / 3**0.5, 4)
    True
    """
    if not (pred.any() and truth.any()):
        return float(pred.any() or truth.any())
    return hausdorff_distance(pred, truth, [1 / side for side in pred.shape]) / float(np.sqrt(pred.ndim))


def _directed(origin: Mask, target: Mask, steps: NDArray[np.float64]) -> float:
    """The largest distance from a pixel of `origin` to the nearest one of `target`."""
    outside = origin & ~target  # common pixels are at distance 0
    if not outside.any():
        return 0.0
    outline = surface(target)  # the nearest pixel is on it
    if np.count_nonzero(outline) > DENSE_SURFACE * outline.size:
        return float(distance_transform_edt(~target, sampling=steps)[outside].max())
    from scipy.spatial import KDTree  # takes long to import, and a prediction measures nothing

    return _farthest(outside, KDTree(np.argwhere(outline) * steps, balanced_tree=False, compact_nodes=False), steps)


def _farthest(mask: Mask, tree: KDTree, steps: NDArray[np.float64]) -> float:
    """The largest distance from the mask's pixels, including those inside it, to the tree's points.

    Blocks are examined before pixels: the distance of a block's pixels differs from that of its centre by at most half its diagonal.
    """
    found = 0.0
    asked = np.ones([-(-side // BLOCKS[0]) for side in mask.shape], dtype=bool)
    for size, coarser in zip(BLOCKS, (BLOCKS[0], *BLOCKS), strict=False):
        asked = _occupied(mask, size) & _enlarged(asked, coarser // size, [-(-side // size) for side in mask.shape])
        blocks = np.argwhere(asked)
        middle = (size - 1) / 2
        centres = np.asarray(tree.query((blocks * size + middle) * steps)[0])
        reach = float(np.linalg.norm(middle * steps))
        found = max(found, float(centres.max()) - reach)
        asked[tuple(blocks.T)] = centres + reach >= found * (1 - 1e-12)  # rounding must not rule out the farthest
    return found


def _occupied(mask: Mask, size: int) -> Mask:
    """Which blocks of `size` pixels along each axis contain pixels of the mask."""
    padded = np.pad(mask, [(0, -side % size) for side in mask.shape])
    blocks = padded.reshape([length for side in padded.shape for length in (side // size, size)])
    return np.asarray(blocks.any(axis=tuple(range(1, blocks.ndim, 2))))


def _enlarged(mask: Mask, factor: int, shape: Sequence[int]) -> Mask:
    """The mask with each pixel `factor` times as large, cropped to `shape`."""
    for axis in range(mask.ndim):
        mask = mask.repeat(factor, axis=axis)
    return mask[tuple(slice(0, side) for side in shape)]
