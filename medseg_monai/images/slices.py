"""Stacks of slices as single picture files whose names give their geometry, and a slice with its neighbours (2.5D).

``…/case123_day20/scans/slice_0001_266_276_1.50_1.63.png``: number, width, height, pixel width and height in mm. (The
UW-Madison competition's description says height first; files that are not square say width.)
"""

from __future__ import annotations

import logging
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg_monai.files.state import FileState, state_of
from medseg_monai.images.photos import SUFFIXES, PathLike
from medseg_monai.program.messages import listed

logger = logging.getLogger(__name__)

SLICE_DISTANCE_MM = 3.0
"""Distance between the slices of a stack of UW-Madison, which the file names do not give."""
_NAME = re.compile(r"slice_(\d+)_(\d+)_(\d+)_(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)", re.ASCII)


@dataclass(frozen=True)
class SliceFile:
    """Facts from the path of a slice.

    Args:
        path: the file.
        stack: the stack's name: that of the folder, or of its parent if the folder is ``scans``.
        number: from the file's name; consecutive in a complete stack.
        size: (width, height).
        spacing_mm: of pixels, along (x, y).
    """

    path: Path
    stack: str
    number: int
    size: tuple[int, int]
    spacing_mm: tuple[float, float]

    @property
    def id(self) -> str:
        """The competition's name for a slice: ``case123_day20_slice_0001``."""
        return f"{self.stack}_slice_{self.number:04d}"


def slice_file(path: PathLike) -> SliceFile | None:
    """The slice that a path names, or None if it does not name one.

    >>> slice = slice_file("train/case85/case85_day0/scans/slice_0088_360_310_1.50_1.50.png")
    >>> slice.id, slice.size, slice.spacing_mm
    ('case85_day0_slice_0088', (360, 310), (1.5, 1.5))
    """
    file = Path(path)
    found = _NAME.fullmatch(file.stem)
    if not found or file.suffix.lower() not in SUFFIXES:
        return None
    folder = file.absolute().parent
    stack = folder.parent.name if folder.name == "scans" else folder.name
    number, width, height = (int(text) for text in found.groups()[:3])
    return SliceFile(file, stack, number, (width, height), (float(found[4]), float(found[5])))


def check_size(slice: SliceFile, size: tuple[int, int]) -> None:
    """Raise ValueError if a slice's picture does not have the size that its name says."""
    if size != slice.size:
        (width, height), (said_width, said_height) = size, slice.size
        raise ValueError(
            f"{slice.path}: is {width}x{height} but its name says {said_width}x{said_height} (width, height); "
            "masks and millimetres would be wrong: correct the name or copy the file again from its source"
        )


@dataclass(frozen=True)
class Stack:
    """The slices in one folder, by number.

    Args:
        name: the stack's.
        slices: in ascending order of their numbers.
    """

    name: str
    slices: tuple[SliceFile, ...]

    @property
    def missing(self) -> list[int]:
        """Numbers between the first and the last slice without a file."""
        present = {slice.number for slice in self.slices}
        return [n for n in range(self.slices[0].number, self.slices[-1].number) if n not in present]

    def neighbours(self, number: int, *, count: int, stride: int = 1) -> list[Path]:
        """The files of `count` slices, `stride` apart, with slice `number` in the middle.

        A missing one is replaced by the nearest existing one; of two equally near, by the one nearer to the middle. So the
        first and the last slice of a stack are repeated.

        >>> def slice(number): return SliceFile(Path(str(number)), "s", number, (9, 9), (1, 1))
        >>> stack = Stack("s", tuple(slice(number) for number in (1, 2, 3, 6)))
        >>> [int(path.name) for path in stack.neighbours(2, count=5)]
        [1, 1, 2, 3, 3]
        """
        reach = count // 2 * stride
        return [self._nearest(wanted, number).path for wanted in range(number - reach, number + reach + 1, stride)]

    def _nearest(self, wanted: int, middle: int) -> SliceFile:
        if wanted in self._by_number:
            return self._by_number[wanted]
        return min(self.slices, key=lambda slice: (abs(slice.number - wanted), abs(slice.number - middle)))

    @cached_property
    def _by_number(self) -> dict[int, SliceFile]:
        return {slice.number: slice for slice in self.slices}


def stack_of(slices: Iterable[SliceFile]) -> Stack:
    """Slices of one folder as a stack.

    Raises:
        ValueError: two have the same number, or there is none.
    """
    ordered = sorted(slices, key=lambda slice: (slice.number, slice.path))
    if not ordered:
        raise ValueError("a stack must have at least one slice")
    for first, second in pairwise(ordered):
        if first.number == second.number:
            raise ValueError(f"{first.path} and {second.path} have the same number; remove one of them")
    return Stack(ordered[0].stack, tuple(ordered))


def neighbour_files(path: PathLike, *, count: int, stride: int, without: Container[Path] = ()) -> list[Path]:
    """The files of a slice and its neighbours, for a slice in a folder with the others of its stack.

    Args:
        path: the slice's.
        count, stride: see `Stack.neighbours`.
        without: files that cannot be used; they count as missing, and so do slices of another size.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the name is not that of a slice, so its neighbours cannot be found.
    """
    middle = slice_file(path)
    if middle is None:
        raise ValueError(
            f"{path}: needs {count} neighbouring slices, which are found by names such as slice_0001_266_266_1.50_1.50.png"
        )
    if not middle.path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    stack = stack_in(middle.path.parent)
    fitting = (slice for slice in stack.slices if slice.size == middle.size and slice.path not in without)
    return Stack(stack.name, tuple(fitting)).neighbours(middle.number, count=count, stride=stride)


def stack_in(folder: Path) -> Stack:
    """The stack in a folder, listed once; missing slices are named in the log.

    Raises:
        ValueError: two files have the same number, or there is none.
    """
    return _listed(folder, state_of(folder))


@lru_cache(maxsize=256)
def _listed(folder: Path, state: FileState) -> Stack:
    found = (slice_file(path) for path in folder.iterdir())
    stack = stack_of(slice for slice in found if slice is not None)
    if stack.missing:
        logger.warning("%s: slices %s are missing; the nearest take their place", folder, number_ranges(stack.missing))
    return stack


def number_ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers, consecutive ones as a range.

    >>> number_ranges([3, 5, 6, 7])
    '3, 5-7'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return listed((str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs), limit=20)


def stack_affine(spacing_mm: tuple[float, float], distance_mm: float = SLICE_DISTANCE_MM) -> NDArray[np.float64]:
    """(4, 4), from (column, row, slice) to RAS+ millimetres, the first slice at 0.

    Picture files do not say how the patient lay; the anatomy does. In UW-Madison's slices the liver is on the left of the
    picture and the spine at the bottom, as in radiological display, and the stomach has lower slice numbers than the small bowel
    (in 16 of 16 inspected scans): columns run to the patient's left, rows to the back, numbers to the feet.
    """
    return np.diag([-spacing_mm[0], -spacing_mm[1], -distance_mm, 1.0])
