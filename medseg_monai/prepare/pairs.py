"""Which mask belongs to which image, by their names, and whether the two can be used together."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg_monai.dataset.cases import stem
from medseg_monai.images.photos import SUFFIXES, PhotoHeader, opened, orientation_of
from medseg_monai.images.volumes import VOLUME_SUFFIXES
from medseg_monai.program.messages import listed

LeftOut = tuple[Path, str]
Progress = Callable[[Iterable[Any]], Iterable[Any]]
"""Wraps an iterable to show its progress, as ``tqdm.tqdm`` does."""

_MASK_WORDS = "masks?|segmentations?|segm?|segs|labels?|gt|ground[_ -]?truth|annotations?|annot?|lesion|contours?|manual|matte|target"
_IMAGE_WORDS = "images?|imaging|img|original|photo|sat|input"


@dataclass(frozen=True)
class FileKind:
    """What a folder is searched for: one word for it, and the suffixes of its files."""

    noun: str
    suffixes: tuple[str, ...]

    def fits(self, path: Path) -> bool:
        """Whether the file's name has one of the suffixes."""
        return path.name.lower().endswith(self.suffixes)


PICTURES = FileKind("picture", tuple(dict.fromkeys((*SUFFIXES, ".gif", ".pbm", ".pgm", ".ppm", ".pnm"))))
"""Photographs, and the formats of masks (Carvana, DRIVE) and older sets (STARE, MIAS)."""
VOLUMES = FileKind("volume", VOLUME_SUFFIXES)
FILE_KINDS = {2: PICTURES, 3: VOLUMES}
"""By number of spatial axes, as `medseg_monai.grids.kinds.KINDS`."""


@dataclass(frozen=True)
class Pair:
    """An image with its mask, or its masks in the order of the classes.

    Args:
        image: the file, or the one that represents several (`stack`).
        masks: one for each class, or one for all; if the data set has one class, several are its parts.
        id: the case's name; "" for the image's file name without suffix.
        split: the official one, or "" if there is none.
        group: the patient or lesion, not to be divided between splits; "" for the case alone.
        stack: all files of the case's image, if it has several: one for each channel, or neighbouring slices (2.5D).
        present: the classes that the masks have pixels of; None if the masks were not read.
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


def name_key(name: str) -> str:
    """A name in the form in which names are compared: lower case, with composed accents (macOS decomposes them).

    >>> name_key("Röntgen") == name_key("ro\u0308ntgen")
    True
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def core(stem: str, words: str = _MASK_WORDS) -> str:
    """A file's stem in lower case, without the word that says what it is.

    >>> core("ISIC_0000001_segmentation"), core("scan-07 GT"), core("mask_12"), core("demask")
    ('isic_0000001', 'scan-07', '12', 'demask')
    """
    name = name_key(stem)
    shorter = re.sub(rf"[\s_.-]+(?:{words})$", "", name)
    return shorter if shorter != name else re.sub(rf"^(?:{words})[\s_.-]+", "", name)


def find_files(folder: Path, kind: FileKind = PICTURES) -> tuple[list[Path], list[Path]]:
    """Pictures (or files of `kind`) below `folder`, and the other files there, sorted by path; hidden ones are skipped.

    Raises:
        FileNotFoundError: there is no such folder, or it contains none.
        NotADirectoryError: it is a file: an archive, a table.
    """
    if folder.is_file():
        raise NotADirectoryError(f"{folder}: a file; expected the folder with images and masks, an archive unpacked")
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


def unnumbered(stem: str) -> str:
    """A mask's stem without the number that distinguishes the masks of one image; "" if the rest is not a mask's name.

    >>> unnumbered("benign (1)_mask_2"), unnumbered("scan_12"), unnumbered("mask_12")
    ('benign (1)_mask', '', '')
    """
    name = name_key(stem)
    shorter = re.sub(r"[\s_.-]*\(?\d+\)?$", "", name)
    return shorter if shorter != name and core(shorter) != shorter else ""


def match_masks(
    images: Sequence[Path], masks: Sequence[Path], *, image_root: Path, mask_root: Path
) -> tuple[dict[Path, tuple[Path, ...]], list[Path]]:
    """`match_places` for images and masks below two folders: subfolders must agree, unless one side has none at all."""

    def places(paths: Sequence[Path], root: Path) -> dict[Path, str]:
        return {path: path.parent.relative_to(root).as_posix() for path in paths}

    return match_places(places(images, image_root), places(masks, mask_root), flat=".")


def match_places(
    images: Mapping[Path, str], masks: Mapping[Path, str], *, flat: str = ""
) -> tuple[dict[Path, tuple[Path, ...]], list[Path]]:
    """Each image's masks, and the masks that belong to no image.

    A mask belongs to the image of the same name, or else to the one whose name differs by a word such as ``_mask`` or
    ``_segmentation`` (``image_`` in the image's name). Several masks belong to one image only if a number distinguishes them:
    ``_mask``, ``_mask_1``, ``_mask_2``. Places must agree too, unless one side has none.

    Args:
        images, masks: each file with its place, e.g. the patient's folder.
        flat: the place of files without one.

    Raises:
        ValueError: a mask fits two images, or an image two masks.
    """
    anywhere = set(images.values()) <= {flat} or set(masks.values()) <= {flat}
    by_stem, by_core = defaultdict(list), defaultdict(list)
    for image, place in images.items():
        where = "" if anywhere else name_key(place)
        by_stem[where, name_key(stem(image))].append(image)
        by_core[where, core(stem(image), _IMAGE_WORDS)].append(image)
    owners: dict[Path, list[Path]] = defaultdict(list)
    orphans, doubts = [], []
    for mask, place in masks.items():
        where, name = "" if anywhere else name_key(place), stem(mask)
        whole, short, numbered = name_key(name), core(name), core(unnumbered(name))
        places = [by_stem[where, whole], by_stem[where, short], by_core[where, short], by_stem[where, numbered]]
        fitting = next((found for found in places if found), [])
        if not fitting:
            orphans.append(mask)
        elif len(fitting) > 1:
            doubts.append(f"{mask} fits {_names(fitting)}")
        else:
            owners[fitting[0]].append(mask)
    doubts += [f"{image} has {_names(found)}" for image, found in owners.items() if not _are_parts(found)]
    if doubts:
        raise ValueError(f"{len(doubts)} names match in more than one way; rename or move: {listed(doubts)}")
    return {image: tuple(found) for image, found in owners.items()}, orphans


def _are_parts(masks: Sequence[Path]) -> bool:
    """Whether an image has one mask, or several that differ only by a number."""
    return len(masks) == 1 or len({unnumbered(stem(mask)) or name_key(stem(mask)) for mask in masks}) == 1


def _names(paths: Iterable[Path]) -> str:
    return " and ".join(path.name for path in paths)


MOST_COMPARED = 200
"""Number of names of each side that are compared to find the two nearest: enough to see a pattern, and quick."""


def nearest_names(images: Iterable[Path], masks: Iterable[Path]) -> str:
    """The image and the mask with the most similar names, as the end of a sentence; "" if there are none.

    >>> nearest_names([Path("i/a1.png"), Path("i/b7.png")], [Path("m/q.png"), Path("m/truth-b7.png")])
    "the nearest two names are 'i/b7.png' and 'm/truth-b7.png'"
    """
    nearest = _nearest(images, masks)
    return f"the nearest two names are '{nearest[0]}' and '{nearest[1]}'" if nearest else ""


def likely_pattern(images: Iterable[Path], masks: Iterable[Path]) -> str:
    """A pattern for names of images and masks: what the nearest two share is the case; an example if they share nothing.

    >>> likely_pattern([Path("i/P07.jpg")], [Path("m/truth07.png")])
    'i/P{case}.jpg -> m/truth{case}.png'
    """
    nearest = _nearest(images, masks)
    if nearest is None:
        return "images/{case}.jpg -> masks/{case}.png"
    image, mask = nearest
    shared = difflib.SequenceMatcher(None, stem(image), stem(mask), autojunk=False).find_longest_match()

    def side(path: Path, start: int) -> str:
        name = path.name[:start] + "{case}" + path.name[start + shared.size :]
        return path.with_name(name).as_posix()

    return f"{side(image, shared.a)} -> {side(mask, shared.b)}"


def _nearest(images: Iterable[Path], masks: Iterable[Path]) -> tuple[Path, Path] | None:
    """The image and the mask with the most similar names; None if there are none."""
    pairs = [(image, mask) for image in list(images)[:MOST_COMPARED] for mask in list(masks)[:MOST_COMPARED]]
    if not pairs:
        return None
    return max(pairs, key=lambda pair: difflib.SequenceMatcher(None, stem(pair[0]), stem(pair[1])).ratio())


@dataclass(frozen=True)
class PictureKind:
    """Facts from the headers of an image and its masks: whether the image is grey, and whether it has 16 bits."""

    grey: bool
    deep: bool


def look_at(pair: Pair) -> PictureKind:
    """Open the headers of a pair's files, decoding nothing.

    Raises:
        ValueError: a file is not a usable picture, or the sizes differ.
    """
    photo, looks = _look_at_image(pair.image)
    for file in pair.stack:
        other, look = _look_at_image(file)
        if other.size != photo.size:
            raise ValueError(
                f"channel {file} is {_size(other)} but {photo.path} is {_size(photo)}; they must be the same"
            )
        if look.grey != looks.grey:
            raise ValueError(f"channel {file} is {'grey' if look.grey else 'in colour'}, unlike {photo.path}")
        looks = PictureKind(looks.grey, looks.deep or look.deep)
    for file in pair.masks:
        with opened(file) as mask:
            own = PhotoHeader(file, mask.size, orientation_of(mask))
        drawn_on_stored = own.orientation == 1 and own.size == photo.stored_size
        if own.size != photo.size and not drawn_on_stored:
            raise ValueError(
                f"mask {file} is {_size(own)} but image {photo.path} is {_size(photo)}; they must be the same"
            )
    return looks


def _look_at_image(path: Path) -> tuple[PhotoHeader, PictureKind]:
    with opened(path) as image:
        photo = PhotoHeader(path, image.size, orientation_of(image))
        deep = image.mode == "I" or image.mode.startswith("I;16")
        return photo, PictureKind(grey=deep or image.mode in ("1", "L", "LA", "La", "F"), deep=deep)


def _size(photo: PhotoHeader) -> str:
    return f"{photo.size[0]}x{photo.size[1]}"


def usable(pairs: Iterable[Pair], *, progress: Progress = iter) -> tuple[dict[Pair, PictureKind], list[LeftOut]]:
    """The pairs whose files can be opened, with facts about them; and the others with the reason."""
    good: dict[Pair, PictureKind] = {}
    gone: list[LeftOut] = []
    for pair in progress(list(pairs)):
        try:
            good[pair] = look_at(pair)
        except (ValueError, FileNotFoundError) as error:
            gone.append((pair.image, str(error).removeprefix(f"{pair.image}: ")))
    return good, gone
