"""Any folders whose names, or whose files' names, distinguish images from masks.

``images/`` and ``masks/``, ``Original/`` and ``Ground Truth/``, ``train/`` and ``train_masks/``, the same below or above ``train``,
``val`` and ``test``; or in one folder ``a.jpg`` and ``a_mask.png``. The remaining folders (a patient, a hospital) must agree.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg_monai.dataset.cases import absolute_path, case_names, stem
from medseg_monai.prepare.layouts.contents import Drawing, FolderContents, Layout, Listing, stated
from medseg_monai.prepare.pairs import LeftOut, Pair, core, match_places, name_key
from medseg_monai.prepare.splits import split_named

MASKS = re.compile(
    r"masks?\w*|segm?s?|segment\w*|labels?\w*|gts?|groundtruth\w*|truths?|annot?\w*|lesions?|contours?|manual|mattes?|targets?"
)
IMAGES = re.compile(
    r"images?|imgs?|imaging|imagery|originals?|photos?|pictures?|inputs?|scans?|volumes?|jpegimages|sat"
)
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+|[^\W\d_]+")
GLUED = re.compile(r"(train|val|valid|test)([a-z]{3,})")
"""``trainannot``, ``testimages``"""
SHORT_SPLITS = {"tr": "training", "va": "validation", "ts": "test"}
"""As in ``imagesTr``."""


@dataclass(frozen=True)
class Spot:
    """What the names of the folders above a file say.

    Args:
        role: ``image``, ``mask`` or "".
        split: training, validation, test or "".
        place: the other folders.
    """

    role: str = ""
    split: str = ""
    place: str = ""


def spot_of(folders: Sequence[str]) -> Spot:
    """The last meaningful word decides: ``image_masks`` are masks, ``lesion_images`` are images.

    >>> spot_of(["Train", "p1", "image_masks"])
    Spot(role='mask', split='training', place='p1')
    """
    role = split = ""
    place = []
    for folder in folders:
        roles, splits = [], []
        for word in _words(folder):
            roles += ["mask"] if MASKS.fullmatch(word) else ["image"] if IMAGES.fullmatch(word) else []
            splits += [found] if (found := split_named(word) or SHORT_SPLITS.get(word, "")) else []
        role, split = (roles or [role])[-1], (splits or [split])[-1]
        place += [] if roles or splits else [folder]
    return Spot(role, split, "/".join(place))


def _words(name: str) -> list[str]:
    words: list[str] = []
    for word in WORDS.findall(name):
        glued = GLUED.fullmatch(word.lower())
        known = glued and (MASKS.fullmatch(glued[2]) or IMAGES.fullmatch(glued[2]))
        words += glued.groups() if glued and known else [word.lower()]
    return words


def read_names(listing: Listing, drawing: Drawing) -> FolderContents | None:
    """Images and masks by the words in the names of their folders, or else of the files."""
    spots = {path: spot_of(listing.parts(path)) for path in listing.files}
    images, masks, gone = _by_folders(spots) or _by_files(spots) or ([], [], [])
    if not images or not masks:
        return None
    by_class = _class_folders(spots, images, masks)
    pairs, unpaired = _class_pairs(spots, images, by_class) if by_class else _pairs(spots, images, masks)
    if not pairs:
        return None
    return FolderContents(stated(pairs), (*gone, *unpaired), classes=tuple(by_class), class_files=bool(by_class))


NAMES = Layout(
    "names",
    "folders named after images and masks (images/ with masks/ …), or files A.* with A_mask.* in one folder",
    read_names,
)

Parts = tuple[list[Path], list[Path], list[LeftOut]]


def _by_folders(spots: Mapping[Path, Spot]) -> Parts | None:
    """Images, masks and other files, if the folders' names distinguish them."""
    masks = [path for path, spot in spots.items() if spot.role == "mask"]
    images = [path for path, spot in spots.items() if spot.role == "image"]
    if not masks or len(masks) == len(spots):
        return None
    if not images:
        return [path for path in spots if path not in set(masks)], masks, []
    return (
        images,
        masks,
        [(path, "neither among the images nor among the masks") for path, s in spots.items() if not s.role],
    )


def _by_files(spots: Mapping[Path, Spot]) -> Parts | None:
    """Images and masks, if the files' own names distinguish them."""
    masks = [path for path in spots if _is_mask(stem(path))]
    return ([path for path in spots if path not in set(masks)], masks, []) if masks else None


def _is_mask(name: str) -> bool:
    whole = name_key(name)
    return (
        core(name) != whole
        or core(re.sub(r"[\s_.-]*\d+$", "", whole)) != re.sub(r"[\s_.-]*\d+$", "", whole)
        or (MASKS.fullmatch(whole) is not None)
    )


def _pairs(spots: Mapping[Path, Spot], images: list[Path], masks: list[Path]) -> tuple[list[Pair], list[LeftOut]]:
    """Pair by name and place; the rest by place alone, if that is the case's own folder."""
    splits = bool({spots[path].split for path in images} - {""}) and bool({spots[path].split for path in masks} - {""})

    def place(path: Path) -> str:
        spot = spots[path]
        return f"{spot.split}:{spot.place}" if splits else spot.place

    flat = "" if not splits else "-"
    owned, orphans = match_places({p: place(p) for p in images}, {p: place(p) for p in masks}, flat=flat)
    alone: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        alone[place(image)].append(image)
    bare = {paths[0] for paths in alone.values() if len(paths) == 1 and paths[0] not in owned}
    for mask in list(orphans):
        image = alone[place(mask)][0] if alone[place(mask)] else mask
        if image in bare and _is_the_only(spots[image], image, mask):
            owned[image] = (*owned.get(image, ()), mask)
            orphans.remove(mask)
    ids = _ids(spots, images)
    pairs = [
        Pair(path, tuple(sorted(owned[path])), id=ids[path], split=spots[path].split)
        for path in images
        if path in owned
    ]
    gone = [(path, "no mask of the same name") for path in images if path not in owned]
    return pairs, gone + [(path, "no image of the same name") for path in orphans]


def _is_the_only(spot: Spot, image: Path, mask: Path) -> bool:
    """Whether the place is the case: ``case_1/imaging`` with ``case_1/segmentation``; ``n1/images/n1`` with ``n1/masks/…``."""
    said = IMAGES.fullmatch(name_key(stem(image))) and MASKS.fullmatch(name_key(stem(mask)))
    return bool(spot.place) and bool(said or name_key(spot.place.split("/")[-1]) == name_key(stem(image)))


def _ids(spots: Mapping[Path, Spot], images: Sequence[Path]) -> dict[Path, str]:
    """The files' names; their places, if all files have the same few names (``case_1/imaging``)."""
    places = [spots[path].place for path in images]
    same = all(IMAGES.fullmatch(name_key(stem(path))) for path in images) and len(set(places)) == len(places)
    return dict(zip(images, places if same else case_names([absolute_path(path) for path in images]), strict=True))


def _class_folders(spots: Mapping[Path, Spot], images: list[Path], masks: list[Path]) -> list[str]:
    """The names of the folders of masks, if each contains masks of the same images: one folder for each class."""
    names: dict[str, set[str]] = defaultdict(set)
    for mask in masks:
        names[spots[mask].place].add(f"{spots[mask].split}:{core(stem(mask))}")
    if (
        "" in names
        or len(names) < 2
        or any(spots[image].place for image in images)
        or any("/" in name for name in names)
    ):
        return []
    return sorted(names) if len(set().union(*names.values())) < sum(len(found) for found in names.values()) else []


def _class_pairs(
    spots: Mapping[Path, Spot], images: list[Path], classes: list[str]
) -> tuple[list[Pair], list[LeftOut]]:
    """Images with a mask of every class."""
    owned: dict[str, dict[Path, Path]] = {}
    gone: list[LeftOut] = []
    for name in classes:
        masks = {path: spots[path].split for path, spot in spots.items() if spot.place == name and spot.role == "mask"}
        found, orphans = match_places({path: spots[path].split for path in images}, masks)
        owned[name] = {image: files[0] for image, files in found.items()}
        gone += [(path, "no image of the same name") for path in orphans]
    ids = _ids(spots, images)
    pairs = []
    for image in images:
        lacking = [name for name in classes if image not in owned[name]]
        if lacking:
            gone.append((image, f"no mask of {', '.join(lacking)}; an empty mask says that a class is absent"))
        else:
            masks_of = tuple(owned[name][image] for name in classes)
            pairs.append(Pair(image, masks_of, id=ids[image], split=spots[image].split))
    return pairs, gone
