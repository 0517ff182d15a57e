"""Errors of labels, made on purpose: each takes masks, bool (classes, *S), and a random generator, and returns other masks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Error = Callable[[Mask, np.random.Generator], Mask]


def shifted(masks: Mask, chance: np.random.Generator) -> Mask:
    """Moved by 10 to 35 % of the extent, in any direction, by 2 pixels or more."""
    shown = masks.any(axis=0)
    extent = np.array([np.ptp(places) + 1 for places in np.nonzero(shown)])
    by = np.zeros(len(extent), int)
    while np.abs(by).max() < 2:
        direction = chance.normal(size=len(extent))
        by = np.rint(direction / np.linalg.norm(direction) * extent * chance.uniform(0.1, 0.35)).astype(int)
    return np.asarray(ndimage.shift(masks.astype(np.uint8), (0, *by), order=0) > 0)


def missing(masks: Mask, chance: np.random.Generator) -> Mask:
    """15 to 50 % of a class cut off by a plane."""
    changed, number = masks.copy(), _a_class(masks, chance)
    points = np.argwhere(masks[number])
    along = points @ chance.normal(size=points.shape[1])
    cut = points[along > np.quantile(along, 1 - chance.uniform(0.15, 0.5))]
    changed[number][tuple(cut.T)] = False
    return changed


def extra(masks: Mask, chance: np.random.Generator) -> Mask:
    """An ellipse or ellipsoid of 15 to 50 % of a class's size more, anywhere in the background."""
    changed, number = masks.copy(), _a_class(masks, chance)
    free = ~masks.any(axis=0)
    room, points = ndimage.distance_transform_edt(free), np.argwhere(free)
    wanted = masks[number].sum() * chance.uniform(0.15, 0.5)
    radius = (wanted / (np.pi if free.ndim == 2 else 4 * np.pi / 3)) ** (1 / free.ndim)
    for _ in range(200):
        centre = points[chance.integers(len(points))]
        if room[tuple(centre)] < radius / 2:
            continue
        axes = radius * np.exp(chance.normal(0, 0.25, free.ndim))
        squares = [
            ((g - c) / a) ** 2 for g, c, a in zip(np.ogrid[tuple(map(slice, free.shape))], centre, axes, strict=True)
        ]
        blob = (sum(squares) <= 1) & free
        if blob.sum() > wanted / 2:
            changed[number] |= blob
            break
    return changed


def empty(masks: Mask, chance: np.random.Generator) -> Mask:
    """Without one of the classes."""
    changed = masks.copy()
    changed[_a_class(masks, chance)] = False
    return changed


def swapped(masks: Mask, chance: np.random.Generator) -> Mask:
    """The first two classes exchanged."""
    return np.concatenate([masks[1::-1], masks[2:]])


def jagged(masks: Mask, chance: np.random.Generator) -> Mask:
    """Outlines with noise of 5 % of the diameter, or of pictures on a grid of 6 to 12 % of it."""
    spatial = masks.ndim - 1
    diameter = masks.any(axis=0).sum() ** (1 / spatial)
    if spatial == 2 and chance.random() < 0.5:
        step = max(2, round(diameter * chance.uniform(0.06, 0.12)))
        start = chance.integers(0, step, spatial)
        nearest = [
            np.clip((np.arange(side) + offset) // step * step - offset + step // 2, 0, side - 1)
            for side, offset in zip(masks.shape[1:], start, strict=True)
        ]
        return masks[:, nearest[0][:, None], nearest[1]]
    noise = ndimage.gaussian_filter(chance.normal(size=masks.shape[1:]), max(0.7, 0.01 * diameter))
    noise *= max(1.0, 0.05 * diameter) / noise.std()
    changed = np.stack([_depth(mask) + noise > 0 for mask in masks])
    taken = np.cumsum(changed, axis=0) > 1
    return changed & ~taken


def blurred(masks: Mask, chance: np.random.Generator) -> Mask:
    """Rounded outlines: blurred by 8 to 15 % of the diameter, and cut at half."""
    sigma = masks.any(axis=0).sum() ** (1 / (masks.ndim - 1)) * chance.uniform(0.08, 0.15)
    return np.stack([ndimage.gaussian_filter(mask.astype(np.float32), sigma) > 0.5 for mask in masks])


def fitted(masks: Mask, shape: tuple[int, ...]) -> Mask:
    """Masks of another picture, cut or padded around their centre to this one's shape."""
    out = np.zeros((len(masks), *shape), bool)
    target, source = [slice(None)], [slice(None)]
    for ours, theirs in zip(shape, masks.shape[1:], strict=True):
        side = min(ours, theirs)
        target.append(slice((ours - side) // 2, (ours - side) // 2 + side))
        source.append(slice((theirs - side) // 2, (theirs - side) // 2 + side))
    out[tuple(target)] = masks[tuple(source)]
    return out


def _a_class(masks: Mask, chance: np.random.Generator) -> int:
    return int(chance.choice([number for number, mask in enumerate(masks) if mask.any()]))


def _depth(mask: Mask) -> NDArray[np.float64]:
    """Distance to the outline, negative outside."""
    return np.asarray(ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask))
