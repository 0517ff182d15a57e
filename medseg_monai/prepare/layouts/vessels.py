"""Fundus photographs with outlined vessels: DRIVE, CHASE_DB1, HRF, STARE and sets laid out like them.

Many of them were drawn by two people; the first one's drawing is the truth. The ``mask`` of DRIVE and HRF is the camera's field of view.

- DRIVE: ``training/images/21_training.tif``, ``training/1st_manual/21_manual1.gif``, ``training/mask/21_training_mask.gif``.
  Staal et al., IEEE TMI 23(4), 501-509 (2004).
- CHASE_DB1: ``Image_01L.jpg``, ``Image_01L_1stHO.png``, ``_2ndHO``. Fraz et al., IEEE TBME 59(9), 2538-2548 (2012).
- HRF: ``images/01_dr.JPG``, ``manual1/01_dr.tif``, ``mask/01_dr_mask.tif``. Budai et al., Int. J. Biomed. Imaging 2013, 154860.
- STARE: ``im0001.ppm``, ``im0001.ah.ppm``, ``im0001.vk.ppm``. Hoover et al., IEEE TMI 19(3), 203-210 (2000).
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from medseg_monai.dataset.cases import stem
from medseg_monai.prepare.layouts.contents import Drawing, FolderContents, Layout, Listing, stated
from medseg_monai.prepare.layouts.names import spot_of
from medseg_monai.prepare.pairs import LeftOut, Pair

FIRST = re.compile(r"1st_?manual|manual_?1|manual|labels-ah", re.IGNORECASE)
SECOND = re.compile(r"2nd_?manual|manual_?2|labels-vk", re.IGNORECASE)
FIELD = re.compile(r"masks?|fov", re.IGNORECASE)
FIRST_FILE = re.compile(r"(.+?)(?:_1stHO|_manual1|\.ah)", re.IGNORECASE)
SECOND_FILE = re.compile(r"(.+?)(?:_2ndHO|_manual2|\.vk)", re.IGNORECASE)
REASONS = {
    "second": "a second person's drawing; the first one's is used",
    "field": "the camera's field of view, not vessels",
}


def read_vessels(listing: Listing, drawing: Drawing) -> FolderContents | None:
    """Each photograph with the first person's drawing."""
    kinds: dict[str, dict[tuple[str, str], list[Path]]] = defaultdict(lambda: defaultdict(list))
    drawn = any(FIRST.fullmatch(folder.name) for folder in listing.by_folder)
    for path in listing.files:
        kind, name = _kind(path, drawn=drawn)
        kinds[kind][spot_of(listing.parts(path)).split, name].append(path)
    if not kinds["first"]:
        return None
    pairs: list[Pair] = []
    gone: list[LeftOut] = [
        (path, REASONS[kind]) for kind in REASONS for paths in kinds[kind].values() for path in paths
    ]
    for key, images in kinds["image"].items():
        masks = kinds["first"].pop(key, [])
        if len(images) == len(masks) == 1:
            pairs.append(Pair(images[0], (masks[0],), id=stem(images[0]), split=key[0]))
        else:
            gone += [
                (image, f"has {len(masks)} drawings of vessels" if masks else "no drawing of vessels")
                for image in images
            ]
    gone += [(path, "no image of the same name") for paths in kinds["first"].values() for path in paths]
    return FolderContents(stated(pairs), tuple(gone), classes=("vessel",)) if pairs else None


VESSELS = Layout(
    "vessels",
    "DRIVE, HRF (images/ with 1st_manual/ or manual1/), CHASE_DB1, STARE (A.* with A_1stHO.*, A.ah.*)",
    read_vessels,
)


def _kind(path: Path, *, drawn: bool) -> tuple[str, str]:
    """Whether a file is an ``image``, the ``first`` or ``second`` drawing or the ``field`` of view; and the name that they share."""
    name, folder = stem(path), path.parent.name
    shared = re.sub(r"_(training|test|manual\d?|training_mask|test_mask|mask)$", "", name, flags=re.IGNORECASE)
    if found := SECOND_FILE.fullmatch(name):
        return "second", found[1].lower()
    if SECOND.fullmatch(folder):
        return "second", shared.lower()
    if found := FIRST_FILE.fullmatch(name):
        return "first", found[1].lower()
    if FIRST.fullmatch(folder):
        return "first", shared.lower()
    return "field" if drawn and FIELD.fullmatch(folder) else "image", shared.lower()
