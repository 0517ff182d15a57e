"""A mask corrected by clicks and a box: a pure function, in milliseconds, that changes nothing far from a click."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from medseg_monai.clicks.answer import Answer, Bools, small_cut
from medseg_monai.clicks.box import fit_to_box
from medseg_monai.clicks.click import Box, Click, Index, class_number, said_of_classes
from medseg_monai.clicks.evidence import UNDECIDED, evidence, object_radius
from medseg_monai.clicks.least_change import least_change
from medseg_monai.clicks.refusals import Refusals, squared_distances
from medseg_monai.clicks.seen import SeenVolume
from medseg_monai.clicks.slivers import slivers
from medseg_monai.clicks.window import Floats, Window
from medseg_monai.dataset.spec import Task

REACH = 6.0
"""How far a click has any effect, in radii of the clicked object."""
REACH_OF_DEPTH = 24.0
"""The same in distances from the clicked pixel to the outline, of several wrong pixels the deepest: a click near it is about a detail."""
LEAST_REACH = 4.0
"""In pixels of the coarser grid."""
NEGLIGIBLE = 0.05
"""Changes of log-odds below this are none."""
SMOOTHING = 1.5
"""Standard deviation, in the coarser grid's smallest steps, of the blur of a change: outlines follow the image, not its noise."""
EXPONENT = np.uint16(0x7C00)
"""Bits of a float16 that are all set in infinite numbers and NaN, and only in these."""
BRUSH = 1.5
"""Radius of what a click changes at least, in pixels of the coarser grid."""


@dataclass(frozen=True)
class Corrected:
    """A mask and its probabilities after a correction.

    Attributes:
        mask: as it was given, with every click right.
        probabilities: as they were given; where the mask has changed, they favour the new class.
    """

    mask: NDArray[np.uint8]
    probabilities: NDArray[np.floating[Any]]


def correct(
    mask: NDArray[np.uint8],
    probabilities: NDArray[np.floating[Any]],
    clicks: Sequence[Click],
    *,
    classes: Sequence[str],
    task: Task,
    image: NDArray[Any] | SeenVolume | None = None,
    spacing: Sequence[float] | None = None,
    box: Box | None = None,
) -> Corrected:
    """Correct a mask by what a person says about some of its pixels.

    Each clicked pixel is right afterwards, in every case. What resembles it in place, colour and probability changes with it, as
    little as makes the clicks right (`medseg_monai.clicks.least_change`); beyond 6 radii of the clicked object nothing does. A click that
    agrees with the mask changes little or nothing, but holds its place against the others. The order of clicks does not
    matter, and the same arguments give the same result. Undo by leaving clicks out.

    Args:
        mask: uint8, of one class (*S) of {0, 1}; of exclusive classes (*S) of class numbers; of overlapping ones (classes, *S). *S is
            (H, W), in volumes (I, J, K).
        probabilities: (classes, *S), of the foreground classes.
        clicks: what was clicked, all of it: the mask is the network's.
        classes: names of the classes.
        task: how classes relate, as in dataset.json.
        image: (C, *S), of any kind of numbers, or a volume as the network saw it; without it pixels are compared by place and
            probability alone.
        spacing: sides of a pixel along the axes of S; default 1.
        box: what the class just fits into. Applied before the clicks.

    Raises:
        ValueError: shapes differ, or a click or the box is outside the image, of an unknown class, or contradicts another.
    """
    shape = _checked_shape(mask, probabilities, classes, task, image)
    exclusive = task == "multiclass"
    said = said_of_classes(clicks, shape, classes, exclusive=exclusive)
    maps = mask if task != "binary" else mask[None]
    answer = Answer(maps, probabilities, exclusive=exclusive)
    sides = tuple(spacing or (1.0,) * len(shape))
    if box is not None:
        fit_to_box(answer, class_number(box.class_name, classes, "box"), box.corners(shape))
    before = {number: answer.has(number) for number in said}
    changes = {
        number: _change(before[number], answer.probabilities[number], points, image, sides)
        for number, points in said.items()
    }
    refusals = Refusals(said, len(classes), sides) if exclusive and len(classes) > 1 else None
    _apply(answer, changes, before, refusals)
    for number, points in said.items():
        _hold(answer, number, points, before[number], changes[number].window, sides, refusals)
    return Corrected(answer.mask if task != "binary" else answer.mask[0], answer.probabilities)


def _checked_shape(
    mask: NDArray[np.uint8],
    probabilities: NDArray[np.floating[Any]],
    classes: Sequence[str],
    task: Task,
    image: NDArray[Any] | SeenVolume | None,
) -> tuple[int, ...]:
    """*S.

    Raises:
        ValueError: the arrays do not fit together, or the probabilities are not finite.
    """
    shape = probabilities.shape[1:]
    wanted = (len(classes), *shape) if task == "multilabel" else shape
    if len(probabilities) != len(classes) or len(shape) not in (2, 3):
        raise ValueError(
            f"probabilities: expected {len(classes)} maps of a photograph or volume, got {probabilities.shape}"
        )
    if mask.shape != wanted:
        raise ValueError(f"mask: expected {wanted} as the probabilities have, got {mask.shape}")
    if image is not None and image.shape[1:] != shape:
        raise ValueError(f"image: expected (channels, {', '.join(map(str, shape))}), got {image.shape}")
    if not all(map(_is_finite, probabilities)):
        raise ValueError("probabilities: contain numbers that are not finite")
    return shape


def _is_finite(values: NDArray[np.floating[Any]]) -> bool:
    """Whether all values are; of float16 by their bits, because NumPy computes with them slowly."""
    if values.dtype == np.float16:
        return not values.size or int((values.view(np.uint16) & EXPONENT).max()) < EXPONENT
    return bool(np.isfinite(values.sum(dtype=np.float64)))


@dataclass(frozen=True)
class _Change:
    """Of one class, on a window's coarser grid: what is added to the log-odds, and what they are afterwards."""

    window: Window
    added: Floats
    after: Floats


def _change(
    mask: Bools,
    probability: NDArray[np.floating[Any]],
    points: Mapping[Index, bool],
    image: NDArray[Any] | SeenVolume | None,
    spacing: Sequence[float],
) -> _Change:
    """What clicks change of one class."""
    if not any(points.values()) and not mask.any():
        return _no_change(points, spacing)  # what is nowhere cannot be taken away
    radius = object_radius(mask, list(points), spacing)
    reach = REACH * radius
    window = Window.around(np.array(list(points)), reach, mask.shape, spacing)
    has, share = window.reduced([mask, probability])
    field = evidence(has, share, radius=radius, steps=window.steps)
    places = _coarse_places(window, points)
    if not places:
        return _Change(window, np.zeros_like(field), field)
    added = least_change(
        field,
        _colours(image, window),
        list(places),
        list(places.values()),
        steps=window.steps,
        reach=min(reach, _reach_of_depth(field > 0, places, window.steps)),
    )
    blur = [SMOOTHING * min(window.steps) / step for step in window.steps]
    added = np.where(added == 0, 0, gaussian_filter(added, blur, mode="nearest"))
    added[np.abs(added) < NEGLIGIBLE] = 0
    after = field + added
    for inside, sign in ((True, 1), (False, -1)):
        small = slivers(field > 0, after > 0, places, inside=inside)
        after[small] = sign * UNDECIDED
        added[small] = (after - field)[small]
    return _Change(window, added, after)


def _no_change(points: Mapping[Index, bool], spacing: Sequence[float]) -> _Change:
    """None, in a window of the clicked pixels."""
    places = np.array(list(points))
    window = Window.around(places, 0.0, places.max(axis=0) + 1, spacing)
    nothing = np.zeros(window.shape, np.float32)
    return _Change(window, nothing, nothing)


def _reach_of_depth(has: Bools, places: Mapping[Index, bool], steps: Sequence[float]) -> float:
    """How far clicks reach by the distance of those that are wrong from the outline; no limit if none is, or if there is no outline."""
    wrong = [place for place, inside in places.items() if has[place] != inside]
    if not wrong or has.all() or not has.any():
        return math.inf
    depth = distance_transform_edt(has, sampling=steps) + distance_transform_edt(~has, sampling=steps)
    return max(LEAST_REACH * min(steps), REACH_OF_DEPTH * max(float(depth[place]) for place in wrong))


def _coarse_places(window: Window, points: Mapping[Index, bool]) -> dict[Index, bool]:
    """The clicks on the coarser grid, without pixels of it in which clicks differ: `_hold` obeys those on the image's own grid."""
    places: dict[Index, set[bool]] = {}
    for point, inside in points.items():
        places.setdefault(window.coarse(point), set()).add(inside)
    return {place: inside.pop() for place, inside in places.items() if len(inside) == 1}


def _colours(image: NDArray[Any] | SeenVolume | None, window: Window) -> Floats:
    """The image on the window's coarser grid, slightly blurred, in standard deviations of each channel."""
    if image is None:
        return np.zeros((0, *window.shape), np.float32)
    colours = np.nan_to_num(image.reduced(window) if isinstance(image, SeenVolume) else window.reduced(image))
    blurred = np.stack([gaussian_filter(channel, 1, mode="nearest") for channel in colours])
    spread = blurred.std(axis=tuple(range(1, blurred.ndim)), keepdims=True)
    scaled: Floats = blurred / np.maximum(spread, 1e-6)
    return scaled


def _apply(
    answer: Answer, changes: Mapping[int, _Change], before: Mapping[int, Bools], refusals: Refusals | None
) -> None:
    """Change mask and probabilities. A pixel that several exclusive classes gain goes to the one of the highest log-odds."""
    rivals = sum(bool((change.added > 0).any()) for change in changes.values()) > 1
    claimed = np.full(answer.mask.shape, -np.inf, np.float32) if refusals and rivals else None
    for number, change in changes.items():
        if not change.added.any():
            continue
        cut = change.window.around_change(change.added)
        added, after = (change.window.enlarged(field, cut) for field in (change.added, change.after))
        has = before[number][cut]
        answer.odds_change(number, cut, added)
        gained = (added > 0) & (after > 0) & ~has
        if claimed is not None:
            gained &= after > claimed[cut]
            claimed[cut][gained] = after[gained]
        lost = (added < 0) & (after <= 0) & has & answer.has(number, cut)
        answer.remove(number, cut, lost, refusals.near(number, cut) if refusals and lost.any() else None)
        answer.add(number, cut, gained)


def _hold(
    answer: Answer,
    number: int,
    points: Mapping[Index, bool],
    before: Bools,
    window: Window,
    spacing: Sequence[float],
    refusals: Refusals | None,
) -> None:
    """Make every clicked pixel right, and of those that were wrong also the pixels around that are not nearer to another click."""
    radius = BRUSH * float(np.mean(window.steps))
    for point, inside in points.items():
        cut = small_cut(point, [int(radius / side) for side in spacing], before.shape)
        near = squared_distances(cut, point, spacing)
        around = (near <= radius**2) & (answer.has(number, cut) != inside)
        for other in points:
            if other != point:
                around &= near <= squared_distances(cut, other, spacing)
        if before[point] == inside:
            around &= near == 0
        if inside:
            answer.add(number, cut, around)
        else:
            answer.remove(number, cut, around, refusals.at(point, cut) if refusals else None)
