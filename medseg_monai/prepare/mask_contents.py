"""Reading every mask: whether it fits the data set's classes, and which classes it has pixels of.

Faulty masks are found here, not at the first training step.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.masks import read_mask
from medseg_monai.prepare.pairs import LeftOut, Pair, Progress

SHOWN = 3
"""Number of different reasons that are named when a data set is refused."""
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Contents:
    """The result of reading all masks.

    Args:
        pairs: those whose masks can be read, with the classes that are ``present``.
        left_out: the others, with the reason.
        notes: what a person should know although no file is left out for it.
    """

    pairs: tuple[Pair, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


def look_into_masks(pairs: Sequence[Pair], spec: DatasetSpec, *, progress: Progress = iter) -> Contents:
    """Read every mask, several at once.

    Raises:
        ValueError: at least half of the masks cannot be used: then probably not the masks, but the options are wrong.
    """

    def look(pair: Pair) -> tuple[str, ...] | str:
        try:
            return classes_in(pair, spec)
        except (ValueError, OSError) as error:
            return str(error)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = side_by_side(look, pairs, progress=progress)
    wrong = [(pair, result) for pair, result in zip(pairs, results, strict=True) if isinstance(result, str)]
    refuse_if_most([(pair.masks[0], reason) for pair, reason in wrong], count=len(pairs))
    good = tuple(
        replace(pair, present=result)
        for pair, result in zip(pairs, results, strict=True)
        if not isinstance(result, str)
    )
    said = list(dict.fromkeys(str(warning.message) for warning in caught))
    notes = (
        (f"{said[0]}" + (f" (and {len(said) - 1} more masks of this kind)" if len(said) > 1 else ""),) if said else ()
    )
    return Contents(good, tuple((pair.image, reason) for pair, reason in wrong), notes)


def classes_in(pair: Pair, spec: DatasetSpec) -> tuple[str, ...]:
    """The classes that a pair's masks have pixels of. Raises as `read_mask` does."""
    label = read_mask(pair.masks, spec, image=pair.image)
    if spec.task != "multiclass":
        return tuple(name for name, plane in zip(spec.classes, label, strict=True) if (plane == 1).any())
    found = np.unique(label).tolist()
    return tuple(spec.classes[number - 1] for number in found if number not in (0, IGNORED))


def side_by_side(look: Callable[[Item], Result], items: Iterable[Item], *, progress: Progress = iter) -> list[Result]:
    """The results of a function for all items, in their order, as many at once as there are cores."""
    everything = list(items)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(max(1, min(cores, len(everything)))) as pool:
        # decoding releases Python's global lock; the bar moves as results arrive, in order
        return [result for _, result in zip(progress(everything), pool.map(look, everything), strict=True)]


def refuse_if_most(wrong: Sequence[LeftOut], *, count: int) -> None:
    """Raise ValueError if at least half of `count` masks are wrong: each reason once, with the first file and the number of others."""
    if not wrong or 2 * len(wrong) < count:
        return
    files: dict[str, list[Path]] = {}
    for path, reason in wrong:
        files.setdefault(reason.replace(str(path), "").removeprefix(": "), []).append(path)
    parts = [
        f"{paths[0]}{f' and {len(paths) - 1} others' if len(paths) > 1 else ''}: {reason}"
        for reason, paths in sorted(files.items(), key=lambda item: -len(item[1]))
    ]
    more = f"; and {len(parts) - SHOWN} other reasons" if len(parts) > SHOWN else ""
    raise ValueError(f"{len(wrong)} of {count} masks cannot be used: {'; '.join(parts[:SHOWN])}{more}")
