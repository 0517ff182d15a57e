"""Which mask belongs to which image, by their names, and whether the two can be used together."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg_monai.cases import stem
from medseg_monai.images.photos import SUFFIXES, PhotoHeader, opened, orientation_of
from medseg_monai.images.volumes import VOLUME_SUFFIXES
from medseg_monai.leaks import listed

LeftOut = tuple[Path, str]
Progress = Callable[[Iterable[Any]], Iterable[Any]]
"""Wraps an iterable to show how far it is, as ``tqdm.tqdm`` does."""

_MASK_WORDS = "masks?|segmentations?|segm?|labels?|gt|ground[_ -]?truth|annotations?|lesion|contour"
_IMAGE_WORDS = "images?|img|original|photo"


@dataclass(frozen=True)
class FileKind:
    """What a folder is searched for: one word for it, and the endings of its files' names."""

    noun: str
    suffixes: tuple[str, ...]

    def fits(self, path: Path) -> bool:
        """Whether the file's name ends so."""
        return path.name.lower().endswith(self.suffixes)


PICTURES = FileKind("picture", SUFFIXES)
VOLUMES = FileKind("volume", VOLUME_SUFFIXES)


@dataclass(frozen=True)
class Pair:
    """An image with its mask, or its masks in the order of the classes.

    Args:
        id: the case's name; "" for the image's file name without suffix.
        split: the official one, or "" where there is none.
        group: what must not be divided between splits; "" for the case alone.
        stack: all files of the case's image, where `image` is but the slice in the middle (2.5D).
        present: the classes that the masks have pixels of; None where nobody looked.
        fold: for cross-validation.
    """

    image: Path
    masks: tuple[Path, ...]
    id: str = ""
    split: str = ""
    group: str = ""
    stack: tuple[Path, ...] = ()
    present: tuple[str, ...] | None = None
    fold: int | None = None


def core(stem: str, words: str = _MASK_WORDS) -> str:
    """A file's stem without the word that says what it is, in small letters.

    >>> core("ISIC_0000001_segmentation"), core("scan-07 GT"), core("mask_12"), core("demask")
    ('isic_0000001', 'scan-07', '12', 'demask')
    """
    name = stem.casefold()
    shorter = re.sub(rf"[\s_.-]+(?:{words})$", "", name)
    return shorter if shorter != name else re.sub(rf"^(?:{words})[\s_.-]+", "", name)


def find_files(folder: Path, kind: FileKind = PICTURES) -> tuple[list[Path], list[Path]]:
    """Pictures (or what `kind` says) below `folder`, and the other files there, sorted by path; hidden ones are passed over.

    Raises:
        FileNotFoundError: there is no such folder, or it holds none.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    found: list[Path] = []
    others: list[Path] = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            if not name.startswith(".") and name != "Thumbs.db":
                path = Path(parent) / name
                (found if kind.fits(path) else others).append(path)
    if not found:
        endings = ", ".join(kind.suffixes)
        what = f"no {kind.noun} ({endings}) among its {len(others)} files" if others else "the folder is empty"
        raise FileNotFoundError(f"{folder}: {what}")
    return sorted(found), sorted(others)


def match_masks(
    images: Sequence[Path], masks: Sequence[Path], *, image_root: Path, mask_root: Path
) -> tuple[dict[Path, Path], list[Path]]:
    """Each image's mask, and the masks that belong to no image.

    A mask belongs to the image of the same name, or else to the one whose name differs by a word such as ``_mask`` or
    ``_segmentation`` (``image_`` in the image's name). Subfolders must agree too, unless one side has none at all.

    Raises:
        ValueError: a mask fits two images, or an image two masks.
    """
    flat = all(p.parent == image_root for p in images) or all(p.parent == mask_root for p in masks)
    by_stem, by_core = defaultdict(list), defaultdict(list)
    for image in images:
        folder = "" if flat else image.parent.relative_to(image_root).as_posix()
        by_stem[folder, stem(image).casefold()].append(image)
        by_core[folder, core(stem(image), _IMAGE_WORDS)].append(image)
    owners: dict[Path, list[Path]] = defaultdict(list)
    orphans, doubts = [], []
    for mask in masks:
        folder = "" if flat else mask.parent.relative_to(mask_root).as_posix()
        whole, short = (folder, stem(mask).casefold()), (folder, core(stem(mask)))
        fitting = by_stem.get(whole) or by_stem.get(short) or by_core.get(short) or []
        if not fitting:
            orphans.append(mask)
        elif len(fitting) > 1:
            doubts.append(f"{mask} fits {' and '.join(path.name for path in fitting)}")
        else:
            owners[fitting[0]].append(mask)
    doubts += [f"{image} has {_names(found)}" for image, found in owners.items() if len(found) > 1]
    if doubts:
        raise ValueError(f"{len(doubts)} names match in more than one way; rename or move: {listed(doubts)}")
    return {image: found[0] for image, found in owners.items()}, orphans


def _names(paths: Iterable[Path]) -> str:
    return " and ".join(path.name for path in paths)


@dataclass(frozen=True)
class Looks:
    """What the headers of an image and its masks say: whether the image is grey, and whether it has 16 bits."""

    grey: bool
    deep: bool


def look_at(pair: Pair) -> Looks:
    """Open the headers of a pair's files, decoding nothing.

    Raises:
        ValueError: a file is no usable picture, or the sizes differ.
    """
    with opened(pair.image) as image:
        photo = PhotoHeader(pair.image, image.size, orientation_of(image))
        deep = image.mode == "I" or image.mode.startswith("I;16")
        looks = Looks(grey=deep or image.mode in ("1", "L", "LA", "La", "F"), deep=deep)
    for file in pair.masks:
        with opened(file) as mask:
            own = PhotoHeader(file, mask.size, orientation_of(mask))
        drawn_on_stored = own.orientation == 1 and own.size == photo.stored_size
        if own.size != photo.size and not drawn_on_stored:
            sizes = [f"{width}x{height}" for width, height in (own.size, photo.size)]
            raise ValueError(f"mask {file} is {sizes[0]} but image {photo.path} is {sizes[1]}; they must be the same")
    return looks


def usable(pairs: Iterable[Pair], *, progress: Progress = iter) -> tuple[dict[Pair, Looks], list[LeftOut]]:
    """The pairs whose files open, with what they look like; and the others with the reason."""
    good: dict[Pair, Looks] = {}
    gone: list[LeftOut] = []
    for pair in progress(list(pairs)):
        try:
            good[pair] = look_at(pair)
        except (ValueError, FileNotFoundError) as error:
            gone.append((pair.image, str(error).removeprefix(f"{pair.image}: ")))
    return good, gone
