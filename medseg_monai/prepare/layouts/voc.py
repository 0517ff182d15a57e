"""Pascal VOC: ``JPEGImages/``, ``SegmentationClass/``, and lists of names in ``ImageSets/Segmentation/``.

Everingham et al., IJCV 111, 98-136 (2015). Masks are palette pictures of class numbers; 255, a border, is ignored. CVAT adds
labelmap.txt with a colour for each class, LabelMe class_names.txt with a name on each line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from medseg_monai.dataset.cases import stem
from medseg_monai.images.photos import opened
from medseg_monai.prepare.layouts.contents import Drawing, FolderContents, Layout, Listing, plain_values, stated
from medseg_monai.prepare.pairs import LeftOut, Pair, name_key
from medseg_monai.prepare.splits import split_named

VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""1 to 20, in the challenge's own archives."""
BORDER = 255


def read_voc(listing: Listing, drawing: Drawing) -> FolderContents | None:
    """Images with a mask in SegmentationClass; the lists decide the splits."""
    roots = {folder.parent for folder in listing.folders_named("jpegimages")}
    if len(roots) != 1:
        return None
    root = roots.pop()
    masks = next((found for name in ("", "raw", "png", "aug") if (found := _masks(listing, root, name))), {})
    if not masks:
        return None
    images = {name_key(stem(path)): path for path in listing.below(root / "JPEGImages")}
    splits = _lists(root)
    pairs = [
        Pair(path, (masks[name],), id=stem(path), split=splits.get(name, ""))
        for name, path in images.items()
        if name in masks and (name in splits or not splits)
    ]
    classes, ignore = _classes(root, [masks[name_key(pair.id)] for pair in pairs], drawing)
    return FolderContents(
        stated(pairs),
        tuple(_left_out(root, images, masks, splits)),
        tuple(classes),
        plain_values(classes),
        ignore=ignore,
    )


VOC = Layout("voc", "Pascal VOC (JPEGImages/ with SegmentationClass/ and ImageSets/Segmentation/*.txt)", read_voc)


def _masks(listing: Listing, root: Path, ending: str) -> dict[str, Path]:
    folders = [
        folder
        for folder in listing.by_folder
        if folder.parent == root and folder.name.lower() == f"segmentationclass{ending}"
    ]
    return {name_key(stem(path)): path for folder in folders for path in listing.by_folder[folder]}


def _lists(root: Path) -> dict[str, str]:
    """{name: split} from train.txt, val.txt and test.txt; ``trainval`` is both and therefore not used."""
    found: dict[str, str] = {}
    for folder in (root / "ImageSets" / "Segmentation", root / "ImageSets"):
        for file in sorted(folder.glob("*.txt")):
            if (split := split_named(file.stem)) and not file.is_dir():
                text = file.read_text(encoding="utf-8-sig", errors="replace")
                found |= {name_key(line.split()[0]): split for line in text.splitlines() if line.strip()}
        if found:
            break
    return found


def _left_out(
    root: Path, images: Mapping[str, Path], masks: Mapping[str, Path], splits: Mapping[str, str]
) -> Iterable[LeftOut]:
    if bare := [name for name in images if name not in masks]:
        yield root / "JPEGImages", f"{len(bare)} images without a mask in SegmentationClass"
    for name, path in masks.items():
        if name not in images:
            yield path, "no image in JPEGImages"
    for name, path in images.items():
        if name in masks and splits and name not in splits:
            yield path, "not in any list of ImageSets/Segmentation"


Values = dict[str, tuple[int | str, ...]]


def _classes(root: Path, masks: Iterable[Path], drawing: Drawing) -> tuple[Values, tuple[int, ...]]:
    """{class: numbers or colours}, and the ignored values."""
    if (table := root / "labelmap.txt").is_file():
        colours = _label_map(table)
        if colours:
            return colours, ()
    numbers: set[int] = set()
    for mask in drawing.progress(list(masks)):
        numbers |= _numbers(mask)
    return {_name(root, number): (number,) for number in sorted(numbers - {0, BORDER})}, (BORDER,) * (BORDER in numbers)


def _numbers(mask: Path) -> set[int]:
    """The numbers in a mask, or none if it cannot be read: that is reported later, with the reason."""
    try:
        with opened(mask) as picture:
            return set(np.unique(np.asarray(picture)).tolist()) if picture.mode in ("1", "L", "P") else set()
    except (ValueError, OSError):
        return set()


def _name(root: Path, number: int) -> str:
    names: tuple[str, ...] = ()
    if (table := root / "class_names.txt").is_file():
        lines = table.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        names = tuple(line.strip() for line in lines if line.strip() and line.strip() != "__ignore__")[1:]
    elif re.match(r"VOC(20|dev|train)", root.name):
        names = VOC_CLASSES
    return names[number - 1] if number <= len(names) else f"class {number}"


def _label_map(table: Path) -> Values:
    """CVAT's ``label:color_rgb:parts:actions``; the background is not a class."""
    found: Values = {}
    for line in table.read_text(encoding="utf-8-sig", errors="replace").splitlines():
        match = re.match(r"([^#:][^:]*):(\d+),(\d+),(\d+)(:|$)", line.strip())
        if match and match[1].lower() not in ("background", "_background_"):
            found[match[1]] = ("#" + "".join(f"{int(level):02x}" for level in match.group(2, 3, 4)),)
    return found
