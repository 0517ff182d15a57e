"""Which layout a folder has: the specific ones are tried before the general one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medseg_monai.prepare.layouts.brats import BRATS
from medseg_monai.prepare.layouts.coco import COCO
from medseg_monai.prepare.layouts.contents import Drawing, FolderContents, Layout, Listing, listing_of
from medseg_monai.prepare.layouts.glas import GLAS
from medseg_monai.prepare.layouts.labelme import LABELME
from medseg_monai.prepare.layouts.names import NAMES
from medseg_monai.prepare.layouts.nnunet import NNUNET
from medseg_monai.prepare.layouts.pattern import EXAMPLE, read_pattern
from medseg_monai.prepare.layouts.totalsegmentator import TOTALSEGMENTATOR
from medseg_monai.prepare.layouts.vessels import VESSELS
from medseg_monai.prepare.layouts.voc import VOC
from medseg_monai.prepare.pairs import PICTURES, VOLUMES, FileKind, nearest_names
from medseg_monai.program.messages import did_you_mean

PICTURE_LAYOUTS = (NNUNET, VOC, VESSELS, GLAS, COCO, LABELME, NAMES)
VOLUME_LAYOUTS = (NNUNET, TOTALSEGMENTATOR, BRATS, NAMES)
AUTO = "auto"
EXAMPLES = {PICTURES: "'images/{case}.jpg -> truth/{case}_*.png'", VOLUMES: EXAMPLE}


def read_layout(
    raw: Path, kind: FileKind, drawing: Drawing, *, layout: str = AUTO, pattern: str = ""
) -> tuple[str, FolderContents]:
    """The layout's name, and what it finds in a folder.

    Args:
        raw: the folder.
        kind: pictures or volumes.
        drawing: how and where to draw masks.
        layout: a layout's name, or ``auto`` for the first that fits.
        pattern: where images and masks are, instead of a layout; see `medseg_monai.prepare.layouts.pattern`.

    Raises:
        FileNotFoundError: the folder does not exist, or contains no picture (or volume).
        ValueError: no layout fits; the message says what was looked for.
    """
    listing = listing_of(raw, kind)
    if pattern:
        return "pattern", read_pattern(listing, pattern)
    known = layouts_of(kind)
    if layout != AUTO and layout not in {one.name for one in known}:
        raise ValueError(
            f"layout: unknown layout {layout!r} for {kind.noun}s{did_you_mean(layout, [AUTO, *(one.name for one in known)])}"
        )
    tried = [one for one in known if layout in (AUTO, one.name)]
    for one in tried:
        found = one.read(listing, drawing)
        if found is not None:
            return one.name, found
    raise ValueError(_unknown(listing, tried))


def layouts_of(kind: FileKind) -> tuple[Layout, ...]:
    """The layouts of pictures or of volumes, in the order in which they are tried."""
    return {PICTURES: PICTURE_LAYOUTS, VOLUMES: VOLUME_LAYOUTS}[kind]


def _unknown(listing: Listing, tried: Sequence[Layout]) -> str:
    """An error that says what was looked for, which two names come closest to a match, and what to do."""
    looks = "; ".join(one.looks for one in tried)
    first, *others = [path.relative_to(listing.root) for path in listing.files]
    other_folder = [path for path in others if path.parent != first.parent] or others
    nearest = nearest_names([first], other_folder)
    masks = "--masks" if listing.kind is PICTURES else "--labels"
    return (
        f"{listing.root}: {len(listing.files)} {listing.kind.noun}s, but nothing says which are masks. Looked for: {looks}. "
        f"{nearest[:1].upper()}{nearest[1:] or 'There is only one file'}. Say where they are: "
        f"--images and {masks} name two folders in which names are alike, --pattern describes any others, "
        f"e.g. --pattern {EXAMPLES[listing.kind]} (docs/datasets.md)"
    )
