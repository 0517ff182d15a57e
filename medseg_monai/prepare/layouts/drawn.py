"""Masks drawn from outlines (COCO, LabelMe): one file for each image, or for each class if classes overlap."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset.spec import Task
from medseg_monai.images.masks import class_file, write_png
from medseg_monai.prepare.layouts.contents import Drawing, FolderContents, Listing, stated
from medseg_monai.prepare.pairs import LeftOut, Pair

Shape = tuple[str, NDArray[np.bool_]]
"""A class, and the (H, W) pixels inside an outline."""
FOLDER = "masks"


@dataclass(frozen=True)
class Outlined:
    """An image whose mask is drawn.

    Args:
        size: (width, height) that the outlines are drawn on.
        shapes: makes the shapes, in the order in which they cover each other; ValueError if one cannot be drawn.
    """

    image: Path
    id: str
    split: str
    size: tuple[int, int]
    shapes: Callable[[], list[Shape]]


@dataclass
class _Seen:
    """The result of the first pass over the outlines."""

    classes: set[str] = field(default_factory=set)
    overlap: bool = False


def json_files(listing: Listing) -> dict[Path, Mapping[str, Any]]:
    """The content of every JSON file with a mapping, as programs for annotation write."""
    found: dict[Path, Mapping[str, Any]] = {}
    for file in listing.others:
        if file.suffix.lower() == ".json":
            with suppress(ValueError):
                content = json.loads(file.read_text(encoding="utf-8-sig"))
                found |= {file: content} if isinstance(content, Mapping) else {}
    return found


def draw(
    cases: Sequence[Outlined], drawing: Drawing, *, order: Sequence[str] = (), left_out: Sequence[LeftOut] = ()
) -> FolderContents:
    """Draw every image's mask, in two passes: the first finds the classes, and whether they overlap, over all images.

    Args:
        cases: the images.
        drawing: where the masks go, and of which task they are.
        order: of the classes; default: by name.
        left_out: files that were left out before.
    """
    seen = _Seen()
    good: list[Outlined] = []
    gone = list(left_out)
    for case in drawing.progress(list(cases)):
        try:
            _look(case.shapes(), seen)
            good.append(case)
        except ValueError as error:
            gone.append((case.image, str(error)))
    classes = tuple(name for name in order or sorted(seen.classes) if name in seen.classes)
    task = drawing.task or ("binary" if len(classes) == 1 else "multilabel" if seen.overlap else "multiclass")
    pairs = []
    for case in good:
        masks = _write(case, classes, task, drawing.out / FOLDER / f"{case.id}.png")
        pairs.append(Pair(case.image, masks, id=case.id, split=case.split))
    return FolderContents(stated(pairs), tuple(gone), classes=classes, class_files=task == "multilabel")


def _look(shapes: Sequence[Shape], seen: _Seen) -> None:
    by_class: dict[str, NDArray[np.bool_]] = {}
    for name, pixels in shapes:
        by_class[name] = by_class[name] | pixels if name in by_class else pixels
    seen.classes |= by_class.keys()
    covered: NDArray[np.bool_] | bool = False
    for pixels in by_class.values():
        seen.overlap = seen.overlap or bool(np.any(covered & pixels))
        covered = covered | pixels


def _write(case: Outlined, classes: Sequence[str], task: Task, file: Path) -> tuple[Path, ...]:
    """One file of class numbers (0 and 255 for one class), or one of 0 and 255 for each class."""
    width, height = case.size
    planes = np.zeros((len(classes) if task == "multilabel" else 1, height, width), np.uint8)
    for name, pixels in case.shapes():
        number = classes.index(name)
        if task == "multilabel":
            planes[number][pixels] = 255
        else:
            planes[0][pixels] = 255 if task == "binary" else number + 1
    files = [class_file(file, name) for name in classes] if task == "multilabel" else [file]
    return tuple(write_png(plane.T, target, even=True) for plane, target in zip(planes, files, strict=True))
