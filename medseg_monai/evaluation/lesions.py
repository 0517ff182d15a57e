"""Lesions found, missed and invented: the connected parts of a mask, counted one by one.

Dice is ruled by the largest lesion of an image: a network may miss every small one unnoticed. Maier-Hein et al., Metrics reloaded:
recommendations for image analysis validation, Nature Methods 2024, doi:10.1038/s41592-023-02151-z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label

from medseg_monai.evaluation.surfaces import Mask, bounding_box, box_of_both

Numbers = NDArray[np.int64]
_COUNTED = 1 << 20  # pairs of lesions that are counted in a table; more are sorted


@dataclass(frozen=True)
class LesionCounts:
    """Numbers of lesions of one class in one case.

    Attributes:
        true: connected parts of the truth.
        predicted: connected parts of the prediction.
        matched: pairs of one of each, none of them in two pairs.
    """

    true: int
    predicted: int
    matched: int

    @property
    def precision(self) -> float:
        """Share of the predicted lesions that are true. With nothing predicted: 1 if there is nothing to find, 0 otherwise."""
        return self.matched / self.predicted if self.predicted else float(not self.true)

    @property
    def recall(self) -> float:
        """Share of the true lesions that were found; 1 if there is nothing to find."""
        return self.matched / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both, 2 matched / (true + predicted); 1 if there are no lesions at all."""
        total = self.true + self.predicted
        return 2 * self.matched / total if total else 1.0


def count_lesions(pred: Mask, truth: Mask, *, iou: float = 0.5) -> LesionCounts:
    """Count the connected parts of two masks, and match them one to one.

    Pixels that touch at a corner are connected (8 neighbours in 2D, 26 in 3D), as in the cleaning of masks. A pair may match if its
    IoU is above the threshold. Above 0.5 no part can have two partners. Below, as many pairs as possible are matched, so a
    predicted part that covers two true ones finds one of them.

    Args:
        pred: bool, (W, H) or (I, J, L).
        truth: likewise.
        iou: the threshold; 0 for any overlap.

    >>> truth, pred = np.zeros((2, 4, 9), bool); truth[1:3, 1:4] = truth[:, 7:] = True; pred[1:3, 1:5] = pred[0, 8] = True
    >>> count_lesions(pred, truth), count_lesions(pred, truth, iou=0).f1
    (LesionCounts(true=2, predicted=2, matched=1), 1.0)
    """
    if not pred.any() or not truth.any():
        n_true, n_predicted = (_parts(mask[bounding_box(mask)])[1] if mask.any() else 0 for mask in (truth, pred))
        return LesionCounts(n_true, n_predicted, 0)
    box = box_of_both(pred, truth)
    (true_parts, n_true), (predicted_parts, n_predicted) = _parts(truth[box]), _parts(pred[box])
    pairs = _pairs(true_parts, predicted_parts, n_true, n_predicted, iou)
    if iou < 0.5 and len(pairs) > 1:
        from scipy.sparse import csr_array  # takes long to import, and a prediction matches nothing
        from scipy.sparse.csgraph import maximum_bipartite_matching

        graph = csr_array((np.ones(len(pairs), bool), pairs.T), shape=(n_true, n_predicted))
        matched = int(np.count_nonzero(maximum_bipartite_matching(graph, perm_type="column") >= 0))
    else:
        matched = len(pairs)
    return LesionCounts(n_true, n_predicted, matched)


def _parts(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """The number of each pixel's part, 0 outside; and how many there are."""
    parts, count = label(mask, generate_binary_structure(mask.ndim, mask.ndim))
    return parts, int(count)


def _pairs(true: NDArray[np.int32], predicted: NDArray[np.int32], n_true: int, n_predicted: int, iou: float) -> Numbers:
    """Parts, from 0, with an IoU above the threshold, (n, 2)."""
    both = (true > 0) & (predicted > 0)
    keys = (true[both].astype(np.int64) - 1) * n_predicted + predicted[both] - 1
    if n_true * n_predicted <= _COUNTED:
        table = np.bincount(keys)
        found = np.flatnonzero(table)
        shared = table[found]
    else:
        found, shared = np.unique(keys, return_counts=True)
    rows, columns = np.divmod(found, n_predicted)
    sizes = [
        np.bincount(parts.ravel(), minlength=count + 1)[1:]
        for parts, count in ((true, n_true), (predicted, n_predicted))
    ]
    near = shared / (sizes[0][rows] + sizes[1][columns] - shared) > iou
    return np.stack([rows[near], columns[near]], axis=1)
