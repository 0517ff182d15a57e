"""Distances between the surfaces of two masks, in 2D and 3D, exact and in the unit of the spacing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]

# A search tree is 5 to 30 times faster than a distance transform for outlines, and 5 times slower for noise,
# where every pixel is surface. Share of surface among the pixels above which the transform is taken:
DENSE_SURFACE = 0.1


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances between two surfaces, from each point of one to the nearest point of the other.

    Attributes:
        pred_to_truth: one distance per surface point of the prediction, in no particular order.
        truth_to_pred: one distance per surface point of the truth.
    """

    pred_to_truth: Distances
    truth_to_pred: Distances

    @property
    def hd95(self) -> float:
        """The larger of the two directed 95th percentiles: the 95 % Hausdorff distance.

        Defined as in MONAI, google-deepmind/surface-distance and MetricsReloaded. A percentile of the pooled
        distances, as in MedPy, lets the longer surface outweigh the shorter one.
        Huttenlocher et al. 1993, doi:10.1109/34.232073.
        Maier-Hein et al. 2024, doi:10.1038/s41592-023-02151-z.
        """
        return float(max(np.percentile(self.pred_to_truth, 95), np.percentile(self.truth_to_pred, 95)))

    @property
    def mean(self) -> float:
        """Average symmetric surface distance: the mean over the points of both surfaces."""
        total = self.pred_to_truth.sum() + self.truth_to_pred.sum()
        return float(total / (self.pred_to_truth.size + self.truth_to_pred.size))

    def within(self, tolerance: float) -> float:
        """The share of both surfaces' points that are at most a tolerance from the other surface: the normalised surface distance.

        Also called surface Dice. Points are pixels, as in MONAI and MetricsReloaded; google-deepmind/surface-distance weights the faces of
        a mesh by their area. Nikolov et al. 2021, doi:10.2196/26151.
        """
        limit = tolerance * (1 + 1e-9)  # a distance equal to it may be rounded up
        near = np.count_nonzero(self.pred_to_truth <= limit) + np.count_nonzero(self.truth_to_pred <= limit)
        return float(near / (self.pred_to_truth.size + self.truth_to_pred.size))


def surface_distances(pred: Mask, truth: Mask, spacing: Sequence[float] | None = None) -> SurfaceDistances:
    """Distances between the surfaces of two masks that both have at least one pixel.

    The surface of a mask is its pixels with a neighbour outside it (4-connected, 6-connected in 3D);
    beyond the image is outside.

    Args:
        pred: bool, (W, H) or (I, J, L).
        truth: bool, the same shape.
        spacing: distance between pixel centres along each axis; None for 1.

    Raises:
        ValueError: an empty mask: the distance is undefined.
    """
    steps = check_spacing(spacing, pred.ndim)
    union = box_of_both(pred, truth)
    pred_surface, true_surface = surface(pred[union]), surface(truth[union])
    return SurfaceDistances(
        pred_to_truth=_nearest(pred_surface, true_surface, steps),
        truth_to_pred=_nearest(true_surface, pred_surface, steps),
    )


def surface(mask: Mask) -> Mask:
    """The mask's pixels with a neighbour outside it; beyond the array is outside.

    >>> surface(np.ones((3, 3), bool)).astype(int).tolist()
    [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    """
    inner = mask.copy()
    for axis in range(mask.ndim):
        here, kept = np.moveaxis(mask, axis, 0), np.moveaxis(inner, axis, 0)
        kept[1:] &= here[:-1]
        kept[:-1] &= here[1:]
        kept[0] = kept[-1] = False
    outline: Mask = mask & ~inner
    return outline


def check_spacing(spacing: Sequence[float] | None, dims: int) -> tuple[float, ...]:
    """The spacing as a tuple; 1 along each axis if there is none.

    Raises:
        ValueError: the number of axes is wrong, or a value is not positive.
    """
    steps = (1.0,) * dims if spacing is None else tuple(float(step) for step in spacing)
    if len(steps) != dims or not all(0 < step < float("inf") for step in steps):
        raise ValueError(f"spacing must be {dims} positive numbers, one per spatial axis, not {spacing}")
    return steps


def bounding_box(mask: Mask) -> tuple[slice, ...]:
    """The smallest box around a mask's pixels.

    Raises:
        ValueError: it has none.
    """
    box = []
    for axis in range(mask.ndim):
        occupied = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        if not occupied.size:
            raise ValueError("an empty mask has no surface: score_case() defines its distances")
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(box)


def box_of_both(one: Mask, other: Mask) -> tuple[slice, ...]:
    """The smallest box around the pixels of two masks.

    Raises:
        ValueError: one of them has none.
    """
    boxes = zip(bounding_box(one), bounding_box(other), strict=True)
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in boxes)


def _nearest(origin: Mask, target: Mask, spacing: tuple[float, ...]) -> Distances:
    """Distance from each point of ``origin`` to the nearest point of ``target``, exact either way."""
    points = np.argwhere(origin & ~target)  # points that both have are at distance 0
    shared = np.zeros(np.count_nonzero(origin) - len(points))
    if not len(points):
        return shared
    if np.count_nonzero(target) > DENSE_SURFACE * target.size:
        # indices alone: a 24-megapixel image needs 0.2 GB for them, and twice that for a map of distances
        nearest = distance_transform_edt(~target, sampling=spacing, return_distances=False, return_indices=True)
        away = points - np.stack([index[tuple(points.T)] for index in nearest], axis=1)
        distances = np.linalg.norm(away * spacing, axis=1)
    else:
        from scipy.spatial import KDTree  # takes long to import, and a prediction measures nothing

        tree = KDTree(np.argwhere(target) * spacing, balanced_tree=False, compact_nodes=False)
        distances = tree.query(points * spacing)[0]
    return np.concatenate([shared, distances])
