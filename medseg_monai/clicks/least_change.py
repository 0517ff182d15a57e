"""The smallest change of a field that makes every click right.

A mask is where a field is positive. Among all smooth changes of the field, the one wanted satisfies every click and is otherwise as
small as possible. Smooth means: of small norm in the reproducing kernel Hilbert space of a kernel that compares pixels by place, by
colour and by the field itself. By the representer theorem the change is a sum of one kernel function per click (Schölkopf, Herbrich and
Smola, COLT 2001), and its weights solve a small quadratic programme, as those of a support vector machine do (Cortes and Vapnik, Machine
Learning 20, 1995). A click that is clearly right already gets the weight 0. Wendland's function of the distance (Advances in
Computational Mathematics 4, 1995) is exactly 0 beyond `reach`: what is farther from every click does not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.floating[Any]]
MARGIN = 1.0
"""How clearly right a clicked pixel becomes, in log-odds."""
FIELD_SCALE = 3.0
"""Log-odds between pixels that one click hardly moves together."""
COLOUR_SCALE = 1.0
"""The same of colour, in standard deviations of the image, root mean square over channels."""
JITTER = 1e-5
"""Added to the diagonal: neighbouring clicks have nearly the same kernel function."""


def least_change(
    field: Floats,
    colours: Floats,
    points: Sequence[tuple[int, ...]],
    inside: Sequence[bool],
    *,
    steps: Sequence[float],
    reach: float,
) -> Floats:
    """The change to add to `field`.

    Args:
        field: float32 (*S), log-odds: positive in the mask.
        colours: float32 (C, *S), in standard deviations.
        points: indices of the clicks in `field`, each once.
        inside: whether the field has to be positive there, or negative.
        steps: distances of neighbouring pixels along each axis.
        reach: distance from a click beyond which it changes nothing, in the unit of `steps`.

    Returns:
        float32 (*S).
    """
    kernels = np.stack([_kernel(field, colours, point, steps=steps, reach=reach) for point in points])
    at = tuple(np.array(points).T)
    sign = np.where(inside, 1.0, -1.0)
    products = np.array([kernel[at] for kernel in kernels], np.float64) * np.outer(sign, sign)
    # minimise w'Gw/2 - r'w over w >= 0, with G = LL' the least squares |L'w - L⁻¹r|²
    lower = np.linalg.cholesky((products + products.T) / 2 + JITTER * np.eye(len(points)))
    weights, _ = nnls(lower.T, np.linalg.solve(lower, MARGIN - sign * field[at]))
    change: Floats = np.tensordot((weights * sign).astype(np.float32), kernels, 1)
    return change


def _kernel(field: Floats, colours: Floats, point: tuple[int, ...], *, steps: Sequence[float], reach: float) -> Floats:
    """How much a click at `point` says about each pixel, 1 at `point` itself."""
    squares = [
        ((np.arange(side, dtype=np.float32) - at) * (step / reach)) ** 2
        for side, at, step in zip(field.shape, point, steps, strict=True)
    ]
    distance = np.sqrt(sum(np.ix_(*squares)))
    near = np.maximum(0, 1 - distance) ** 4 * (4 * distance + 1)
    unlike = ((field - field[point]) / FIELD_SCALE) ** 2
    for channel in colours:
        unlike += ((channel - channel[point]) / COLOUR_SCALE) ** 2 / len(colours)
    kernel: Floats = near * np.exp(-unlike / 2)
    return kernel
