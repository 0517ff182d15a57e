"""From probabilities to a clean mask: a threshold per class, small components removed, holes filled; in 2D and 3D.

A component is a set of pixels that touch, even if only at corners (8 neighbours in 2D, 26 in 3D): a thin oblique structure is one
piece. Correspondingly, a hole is background that is not connected to the outside through faces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, find_objects, generate_binary_structure, label

from medseg_monai.dataset.spec import Task
from medseg_monai.program.messages import refuse_unknown_keys

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]
Value = TypeVar("Value", float, bool)

SIGMOID_THRESHOLD = 0.5


@dataclass(frozen=True)
class Cleaning:
    """How probabilities become a mask. Each setting has one value for all classes, or one per class; a bare value is for all.

    Args:
        threshold: a pixel belongs to a class whose probability exceeds it. Default: 0.5, or 0 for multiclass, where the
            most probable class wins; a threshold there must be exceeded by the most probable class.
        min_size: smaller components are removed: in pixels of the image's own grid, or in mm³ if `clean` is given the
            voxels' volume. 0 keeps all.
        largest: keep only the largest component (the first of equally large ones).
        fill_holes: fill the holes in what is left.
        drop_isolated: for scans stored as slices: remove the class from slices whose neighbours both lack it, as
            `drop_isolated_slices` does. This needs the whole scan, so `clean` leaves it to the caller.

    Raises:
        ValueError: a threshold is outside [0, 1), or a size is negative.
    """

    threshold: tuple[float, ...] = ()
    min_size: tuple[float, ...] = (0,)
    largest: tuple[bool, ...] = (False,)
    fill_holes: tuple[bool, ...] = (False,)
    drop_isolated: tuple[bool, ...] = (False,)

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            values = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
            _check(setting.name, values)
            object.__setattr__(self, setting.name, values)

    @property
    def keeps_components(self) -> bool:
        """Whether the threshold alone decides: nothing is removed or filled."""
        return not (any(self.min_size) or any(self.largest) or any(self.fill_holes))

    def for_class(self, number: int, count: int) -> Cleaning:
        """The settings for one of `count` classes (0 is the first)."""
        chosen = {
            s.name: (_per_class(s.name, getattr(self, s.name), count)[number],)
            for s in fields(self)
            if getattr(self, s.name)
        }
        return Cleaning(**chosen)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Cleaning:
        """The inverse of `to_dict`; settings may be missing, or bare values.

        Raises:
            ValueError: a setting is unknown (the message names the nearest valid one) or its value is invalid.
        """
        if not isinstance(content, Mapping):
            raise ValueError(f"cleaning: expected a mapping of settings, got {content!r}")
        refuse_unknown_keys(content, [setting.name for setting in fields(cls)], "cleaning")
        return cls(**content)


def choose_cleaning(
    tuned: Cleaning | None,
    changes: Mapping[str, Any] | bool | str | None = None,
    *,
    threshold: float | Sequence[float] | None = None,
) -> Cleaning:
    """The cleaning to use: the settings tuned for the weights, unless the user overrides them.

    Args:
        tuned: the settings from ``spec.json``, if any.
        changes: settings that replace the tuned ones; ``False`` or ``"off"`` for no cleaning at all.
        threshold: replaces the thresholds, even if cleaning is off.

    >>> choose_cleaning(Cleaning(min_size=50), {"largest": True}).to_dict()["min_size"]
    [50]
    >>> choose_cleaning(Cleaning(min_size=50), False, threshold=0.3) == Cleaning(threshold=0.3)
    True
    """
    if changes is False or changes == "off":
        settings: dict[str, Any] = {}
    elif changes is None or isinstance(changes, Mapping):
        settings = {**(tuned.to_dict() if tuned else {}), **(changes or {})}
    else:
        raise ValueError(f"cleaning: expected settings (min_size, largest, fill_holes …) or off, got {changes!r}")
    return Cleaning.from_dict(settings if threshold is None else {**settings, "threshold": threshold})


def clean(
    probabilities: NDArray[np.floating[Any]], cleaning: Cleaning, task: Task, *, voxel_volume: float = 1.0
) -> Labels:
    """The mask for given probabilities.

    Binary and multilabel classes are cleaned one by one. In multiclass data a removed component goes to the next most probable class or
    background, pixel by pixel, until every component is large enough: a speck of one organ inside another belongs to the organ
    around it, and as background it would be a hole. Holes are filled only from background, never from another class.

    Args:
        probabilities: (K, *spatial), the network's channels: background first for multiclass.
        cleaning: the settings.
        task: the data set's.
        voxel_volume: volume of one pixel or voxel, in the unit of ``min_size``.

    Returns:
        uint8: (K, *spatial) of 0 and 1, or (1, *spatial) with the class's number, 0 for background, for multiclass.

    Raises:
        ValueError: the settings are for another number of classes.

    >>> clean(np.array([[[0.9, 0.1, 0.9, 0.9]]]), Cleaning(min_size=2), "binary").tolist()
    [[[0, 0, 1, 1]]]
    """
    values = np.asarray(probabilities)
    if task == "multiclass":
        return _clean_multiclass(values, cleaning, voxel_volume)
    settings = [cleaning.for_class(number, len(values)) for number in range(len(values))]
    limits = [setting.threshold[0] if setting.threshold else SIGMOID_THRESHOLD for setting in settings]
    masks = [
        _filled(_without_small(plane > limit, setting, voxel_volume), setting)
        for plane, limit, setting in zip(values, limits, settings, strict=True)
    ]
    return np.stack(masks).astype(np.uint8)


def clean_labels(
    labels: NDArray[Any], cleaning: Cleaning, task: Task, *, classes: int, voxel_volume: float = 1.0
) -> Labels:
    """A finished mask without its small components and holes; thresholds are not used.

    Like `clean`, but without probabilities (a whole CT of 15 classes): removed components of a multiclass mask become
    background.

    Args:
        labels: (classes, *spatial) of 0 and 1, or (1, *spatial) with class numbers for multiclass.
        cleaning: the settings.
        task: the data set's.
        classes: number of foreground classes.
        voxel_volume: volume of one voxel, in the unit of ``min_size``.
    """
    cleaned: Labels = labels.astype(np.uint8)
    if cleaning.keeps_components:
        return cleaned
    settings = [cleaning.for_class(number, classes) for number in range(classes)]
    if task != "multiclass":
        for plane, setting in zip(cleaned, settings, strict=True):
            for box in filter(None, find_objects(plane)):  # a class occupies a small part of a large volume
                plane[box] = _filled(_without_small(plane[box] > 0, setting, voxel_volume), setting)
        return cleaned
    boxes = find_objects(cleaned[0], max_label=classes)
    holders = [
        (number, box, setting) for number, (box, setting) in enumerate(zip(boxes, settings, strict=True), 1) if box
    ]
    for number, box, setting in holders:
        part = cleaned[0][box]
        mask: Mask = np.equal(part, number)
        part[mask & ~_without_small(mask, setting, voxel_volume)] = 0
    for number, box, setting in holders:
        part = cleaned[0][box]
        part[_filled(np.equal(part, number), setting) & (part == 0)] = number
    return cleaned


def drop_isolated_slices(masks: NDArray[Any], cleaning: Cleaning, numbers: Sequence[int] | None = None) -> Labels:
    """A scan's masks without classes in isolated slices: an organ does not appear and disappear within 3 mm.

    A slice at either end of the scan has one neighbour, and loses the class if that one lacks it.

    Args:
        masks: (slices, classes, W, H) of 0 and 1, in the scan's order, in either direction.
        cleaning: its ``drop_isolated`` says for which classes.
        numbers: the slices' numbers, ascending. A slice with a missing neighbour (a gap in the numbers) is left unchanged.

    >>> one = np.zeros((4, 1, 1, 1)); one[[0, 2, 3]] = 1
    >>> drop_isolated_slices(one, Cleaning(drop_isolated=True)).ravel().tolist()
    [0, 0, 1, 1]
    """
    scan: Labels = np.array(masks, dtype=np.uint8)
    count, classes = scan.shape[:2]
    wanted = np.array(_per_class("drop_isolated", cleaning.drop_isolated, classes))
    if count < 2 or not wanted.any():
        return scan
    places = np.arange(count) if numbers is None else np.asarray(numbers)
    present: Mask = np.asarray(scan.any(axis=(2, 3)))
    gap = np.array(np.diff(places) != 1)  # between slice i and i + 1
    unknown = np.zeros(count, dtype=bool)  # a neighbour is missing from the middle of the scan
    unknown[1:] |= gap
    unknown[:-1] |= gap
    beside = np.zeros(present.shape, dtype=bool)
    beside[1:] |= present[:-1]
    beside[:-1] |= present[1:]
    scan[present & ~beside & wanted & ~unknown[:, None]] = 0
    return scan


def component_sizes(mask: Mask) -> NDArray[np.int64]:
    """Pixels of each component of a mask, in raster order."""
    numbers, count = label(mask, generate_binary_structure(mask.ndim, mask.ndim))
    sizes: NDArray[np.int64] = np.bincount(numbers.ravel(), minlength=count + 1)[1:]
    return sizes


def _clean_multiclass(probabilities: NDArray[Any], cleaning: Cleaning, voxel_volume: float) -> Labels:
    """Class numbers; pixels removed from a class go to the next most probable one until no class loses any more."""
    count = len(probabilities) - 1
    settings = [cleaning.for_class(number, count) for number in range(count)]
    if cleaning.keeps_components and not any(cleaning.threshold):
        likeliest: Labels = probabilities.argmax(axis=0)[None].astype(np.uint8)
        return likeliest
    values = np.array(probabilities, dtype=np.float32)
    for plane, setting in zip(values[1:], settings, strict=True):
        plane[plane <= (setting.threshold[0] if setting.threshold else -np.inf)] = -np.inf
    while True:
        labels: Labels = values.argmax(axis=0).astype(np.uint8)
        lost = False
        for number, setting in enumerate(settings, start=1):
            mask: Mask = np.equal(labels, number)
            removed = mask & ~_without_small(mask, setting, voxel_volume)
            values[number][removed] = -np.inf
            lost |= bool(removed.any())
        if not lost:
            break
    filled: Labels = _filled_multiclass(labels, probabilities, settings)[None]
    return filled


def _filled_multiclass(labels: Labels, probabilities: NDArray[Any], settings: Sequence[Cleaning]) -> Labels:
    """Background inside a class becomes that class; inside several nested ones, the most probable of them."""
    best = np.full(labels.shape, -np.inf, dtype=np.float32)
    filled: Labels = labels.copy()
    for number, setting in enumerate(settings, start=1):
        inside = _filled(labels == number, setting) & (labels == 0) & (probabilities[number] > best)
        filled[inside] = number
        best[inside] = probabilities[number][inside]
    return filled


def _without_small(mask: Mask, setting: Cleaning, voxel_volume: float) -> Mask:
    """The mask without components below the minimum, or all but the largest one."""
    least = setting.min_size[0] / voxel_volume
    if not (least > 1 or setting.largest[0]) or not mask.any():
        return mask
    numbers, count = label(mask, generate_binary_structure(mask.ndim, mask.ndim))
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept = sizes >= max(least, 1)
    if setting.largest[0]:
        kept &= np.arange(count + 1) == sizes.argmax()
    large: Mask = kept[numbers]
    return large


def _filled(mask: Mask, setting: Cleaning) -> Mask:
    """The mask, with its holes filled if the settings say so."""
    if not setting.fill_holes[0] or not mask.any():
        return mask
    box = find_objects(mask.astype(np.uint8))[0]  # holes are inside: the rest of a large image need not be searched
    filled: Mask = mask.copy()
    filled[box] = binary_fill_holes(mask[box])
    return filled


def _per_class(name: str, values: tuple[Value, ...], count: int) -> tuple[Value, ...]:
    """One value per class."""
    if len(values) not in (1, count):
        raise ValueError(
            f"cleaning: {name} has {len(values)} values for {count} classes; give one value, or one per class"
        )
    return values * count if len(values) == 1 else values


def _check(name: str, values: tuple[Any, ...]) -> None:
    """Refuse invalid values of a setting."""
    if name == "threshold":
        good = all(_is_number(value) and 0 <= value < 1 for value in values)
        wanted = "numbers in [0, 1)"
    elif name == "min_size":
        good = bool(values) and all(_is_number(value) and value >= 0 for value in values)
        wanted = "numbers of pixels (mm³ in volumes), 0 or more"
    else:
        good = bool(values) and all(isinstance(value, bool) for value in values)
        wanted = "true or false"
    if not good:
        raise ValueError(f"cleaning: {name} is {list(values)}; expected {wanted}, one for all classes or one each")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


PLAIN = Cleaning()
"""Thresholds alone, the task's own."""
