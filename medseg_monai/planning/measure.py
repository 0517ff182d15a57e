"""Measuring a data set's fingerprint: once, then it is kept in the cache folder; of a large data set a sample is read."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from medseg_monai.dataset import SPLITS, Dataset, DatasetSpec
from medseg_monai.dataset.cases import as_list
from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.files.state import state_of
from medseg_monai.files.writing import write_whole
from medseg_monai.images.paired import all_files
from medseg_monai.planning.fingerprint import ClassFacts, Fingerprint
from medseg_monai.planning.kinds import PLANNERS, planner_of
from medseg_monai.training.cache import CachedDataset

logger = logging.getLogger(__name__)

Progress = Callable[[Iterable[int]], Iterable[int]]

MOST_SECONDS = 60.0
"""Reading ends after so long, with the cases read until then (at least one)."""
FINEST = 1024
"""Pixels of a mask's longer side beyond which every n-th is looked at."""
SPECK = 4
"""Pixels; smaller pieces are slips of the pen, not structures."""
LAYOUT = 1
"""Changes with what is kept."""


def fingerprint(dataset: Dataset, *, cache_dir: str | Path | None = None, progress: Progress = iter) -> Fingerprint:
    """The fingerprint of a data set's training cases; kept in `cache_dir`, and made again when a file or dataset.json has changed.

    Args:
        dataset: checked, with training cases.
        cache_dir: the folder of decoded images; None keeps nothing.
        progress: wraps the pass over the cases that are read.

    Raises:
        ValueError: there are no training cases.
    """
    cases = dataset.cases("training")
    if not cases:
        raise ValueError(f"data set {dataset.spec.name} has no training cases to plan from")
    file = None if cache_dir is None else Path(cache_dir).expanduser() / "fingerprints" / f"{_key(dataset, cases)}.json"
    if file is not None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            return Fingerprint.from_dict(json.loads(file.read_text(encoding="utf-8")))
    made = _measure(dataset, cases, cache_dir, progress)
    if file is not None:
        try:
            write_whole(file, json.dumps(made.to_dict(), indent=1), sync=False)
        except OSError as error:  # it saves time and decides nothing
            logger.warning("the data set's fingerprint is not kept (%s)", error)
    return made


def _key(dataset: Dataset, cases: Sequence[Mapping[str, Any]]) -> str:
    """One key for the spec, the cases and the state of their files."""
    states = []
    for case in cases:
        for key in ("image", "label"):
            for path in as_list(case[key]):
                for part in all_files(path):
                    states.append([str(part), *state_of(part)])
    counts = {split: len(getattr(dataset, split)) for split in SPLITS}
    groups = [str(case["group"]) for case in cases]
    text = json.dumps(
        [
            LAYOUT,
            {dims: planner.sampled for dims, planner in PLANNERS.items()},
            dataset.spec.to_dict(),
            counts,
            groups,
            states,
        ]
    )
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _measure(
    dataset: Dataset, cases: Sequence[dict[str, Any]], cache_dir: str | Path | None, progress: Progress
) -> Fingerprint:
    spec = dataset.spec
    seen = list(_looked_at(spec, cases, cache_dir, progress))
    shown = [case.classes for case in seen]
    sizes = np.asarray([case.size for case in seen])
    intensity = np.median(np.asarray([case.intensity for case in seen]), axis=0)
    return Fingerprint(
        name=spec.name,
        spatial_dims=spec.spatial_dims,
        counts={split: len(getattr(dataset, split)) for split in SPLITS},
        groups=len({case["group"] for case in cases}),
        sampled=len(seen),
        sizes=tuple((int(axis.min()), int(np.median(axis)), int(axis.max())) for axis in sizes.T),
        spacing_mm=spec.spacing_mm,
        intensity=(float(intensity[0]), float(intensity[1]), float(intensity[2])),
        classes={name: _of_class([case.get(number) for case in shown]) for number, name in enumerate(spec.classes)},
        empty=_empty(cases, [not case for case in shown]),
        says_present=all(case.get("present") is not None for case in cases),
    )


def _empty(cases: Sequence[Mapping[str, Any]], empty: Sequence[bool]) -> float:
    """Share of the cases that show nothing: of all where they say so, else of those that were read."""
    if all(case.get("present") is not None for case in cases):
        return sum(not case["present"] for case in cases) / len(cases)
    return sum(empty) / len(empty)


@dataclass(frozen=True)
class _Case:
    """What is noted of one case; of each class that it shows: share, thickness, smallest thickness."""

    size: tuple[int, ...]
    intensity: tuple[float, ...]
    classes: Mapping[int, tuple[float, float, float]]


def _looked_at(
    spec: DatasetSpec, cases: Sequence[dict[str, Any]], cache_dir: str | Path | None, progress: Progress
) -> Iterator[_Case]:
    """A sample of the cases, in an order of chance that is the same each time."""
    planner = planner_of(spec)
    paths = [cast(Mapping[Hashable, Any], case) for case in cases]
    decoded = CachedDataset(paths, planner.reader(spec), cache_dir=cache_dir if planner.cached else None)
    order = np.random.default_rng(0).permutation(len(cases))[: planner.sampled]
    began = time.monotonic()
    for number, index in enumerate(progress([int(index) for index in order])):
        if number and time.monotonic() - began > MOST_SECONDS:
            return
        yield _look_at(decoded.loaded(index), spec)


def _look_at(case: Mapping[Any, Any], spec: DatasetSpec) -> _Case:
    label, window = case["label"].numpy(), case["image_meta_dict"]["window"]
    masks = {number: mask for number, mask in _masks(label, spec) if mask.any()}
    relative = planner_of(spec).relative
    found = {number: _structures(mask, relative=relative) for number, mask in masks.items()}
    return _Case(label.shape[1:], _percentiles(case["image"], window, spec), found)


def _masks(label: NDArray[np.uint8], spec: DatasetSpec) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Number of each class, from 0, and its mask (*S)."""
    for number in range(len(spec.classes)):
        if spec.task == "multilabel":
            yield number, (label[number] != 0) & (label[number] != IGNORED)
        else:
            yield number, label[0] == number + 1


def _percentiles(image: torch.Tensor, window: torch.Tensor, spec: DatasetSpec) -> tuple[float, ...]:
    """Percentiles 0.5, 50 and 99.5 of all channels, on the scale of 0 to 1."""
    values = image.numpy().reshape(len(image), -1)[:, :: max(1, image[0].numel() // 2**16)].astype(np.float32)
    low, high = (window[:, end : end + 1].numpy() for end in (0, 1))
    return tuple(float(value) for value in np.percentile((values - low) / (high - low), (0.5, 50, 99.5)))


def _structures(mask: NDArray[np.bool_], *, relative: bool) -> tuple[float, float, float]:
    """Share of the picture, and thickness of the thickest and of the thinnest structure."""
    share = float(mask.mean())
    stride = max(1, -(-max(mask.shape) // FINEST)) if relative else 1
    thin = mask[(slice(None, None, stride),) * mask.ndim]
    pieces, count = ndimage.label(thin, np.ones((3,) * thin.ndim))
    boxes, sizes = ndimage.find_objects(pieces), np.bincount(pieces.ravel())[1:]
    # the pieces that count: the largest few of those that are not specks, or else the largest
    order = [int(index) for index in np.argsort(-sizes)[:50] if sizes[index] >= SPECK] or [int(np.argmax(sizes))] * (
        count > 0
    )
    thickness = [_thickness(pieces[boxes[index]] == index + 1) for index in order]
    unit = max(thin.shape) if relative else 1
    return share, max(thickness, default=1.0) / unit, min(thickness, default=1.0) / unit


def _thickness(piece: NDArray[np.bool_]) -> float:
    """Diameter of the largest disc, or ball, inside a structure in its bounding box, in pixels.

    >>> _thickness(np.ones((3, 9), bool))
    3.0
    """
    inside = ndimage.distance_transform_edt(np.pad(piece, 1))
    return float(2 * inside.max() - 1)


def _of_class(found: Sequence[tuple[float, float, float] | None]) -> ClassFacts:
    """Of one class in all cases that were read; one that none shows is taken for something small."""
    there = np.asarray([facts for facts in found if facts is not None])
    if not len(there):
        return ClassFacts(0.0, 0.0, 0.0, 0.0)
    share, thickness, _ = np.median(there, axis=0)
    return ClassFacts(len(there) / len(found), float(share), float(thickness), float(np.percentile(there[:, 2], 10)))
