"""COCO's instance annotations: outlines as polygons or run lengths in JSON files, one for each split.

Lin et al., Microsoft COCO, ECCV 2014; https://cocodataset.org/#format-data. Roboflow, CVAT and Label Studio export it. The instances of a
category, including crowds (``iscrowd``), become one class. pycocotools, COCO's own reader, draws them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from pycocotools import mask as coco_mask

from medseg_monai.dataset.cases import absolute_path, case_names
from medseg_monai.images.photos import MAX_PIXELS
from medseg_monai.prepare.layouts.contents import Drawing, FolderContents, Layout, Listing
from medseg_monai.prepare.layouts.drawn import Outlined, Shape, draw, json_files
from medseg_monai.prepare.layouts.names import spot_of
from medseg_monai.prepare.pairs import LeftOut, name_key

KEYS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class Entry:
    """An image of a COCO file, with its outlines; `names` are the file's categories by number."""

    path: Path
    split: str
    size: tuple[int, int]
    outlines: tuple[Mapping[str, Any], ...]
    names: Mapping[Any, str]


def read_coco(listing: Listing, drawing: Drawing) -> FolderContents | None:
    """The images of every JSON file with the keys of COCO, their masks drawn."""
    tables = {file: content for file, content in json_files(listing).items() if _is_coco(content)}
    if not tables:
        return None
    entries: dict[Path, Entry] = {}
    gone: list[LeftOut] = []
    for file, content in tables.items():
        try:
            found, missing = _entries(listing, file, content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{file}: cannot be read as COCO annotations ({type(error).__name__}: {error})") from None
        gone += missing
        for entry in found:
            if entries.setdefault(entry.path, entry) is not entry:
                gone.append((entry.path, f"listed twice, also in {file.name}; the first entry is used"))
    ids = case_names([absolute_path(path) for path in entries])
    cases = [
        Outlined(entry.path, name, entry.split, entry.size, partial(_shapes, entry))
        for entry, name in zip(entries.values(), ids, strict=True)
    ]
    gone += [(path, "not in any COCO file") for path in listing.files if path not in entries]
    order = dict.fromkeys(name for content in tables.values() for name in _categories(content).values())
    return draw(cases, drawing, order=tuple(order), left_out=gone)


COCO = Layout("coco", "COCO (a .json file with images, annotations and categories)", read_coco)


def _is_coco(content: Mapping[str, Any]) -> bool:
    """Whether a JSON file has the keys of COCO."""
    return all(isinstance(content.get(key), list) for key in KEYS)


def _categories(content: Mapping[str, Any]) -> dict[Any, str]:
    """{number: name}, in the order of the numbers."""
    return {one["id"]: str(one["name"]) for one in sorted(content["categories"], key=lambda one: int(one["id"]))}


def _entries(listing: Listing, file: Path, content: Mapping[str, Any]) -> tuple[list[Entry], list[LeftOut]]:
    split = spot_of([*listing.parts(file), file.stem]).split
    names = _categories(content)
    outlines: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for outline in content["annotations"]:
        outlines[outline["image_id"]].append(outline)
    found: list[Entry] = []
    gone: list[LeftOut] = []
    for image in content["images"]:
        path = _find(listing, file, str(image["file_name"]), split)
        if path is None:
            gone.append((file, f"lists {image['file_name']!r}, which does not exist"))
            continue
        size = int(image["width"]), int(image["height"])
        found.append(Entry(path, split, size, tuple(outlines[image["id"]]), names))
    return found, gone


def _find(listing: Listing, file: Path, name: str, split: str) -> Path | None:
    """The picture that a COCO file names: by its path beside the file or below the root; else the only one of that name (in that split)."""
    for folder in (file.parent, listing.root):
        if (path := absolute_path(folder / name)) in listing.absolute:
            return listing.absolute[path]
    same = listing.by_name.get(name_key(PurePosixPath(name.replace("\\", "/")).name), ())
    if len(same) > 1:
        same = tuple(path for path in same if spot_of(listing.parts(path)).split == split)
    return same[0] if len(same) == 1 else None


def _shapes(entry: Entry) -> list[Shape]:
    """The outlines' pixels.

    Raises:
        ValueError: an outline is invalid, or belongs to a picture of another size.
    """
    width, height = entry.size
    if min(entry.size) < 1 or width * height > MAX_PIXELS:
        raise ValueError(f"has another size than in its annotation, {width}x{height} pixels")
    shapes = []
    for outline in entry.outlines:
        what = f"annotation {outline.get('id')}"
        if outline.get("category_id") not in entry.names:
            raise ValueError(f"{what}: unknown category {outline.get('category_id')!r}")
        try:
            pixels = coco_mask.decode(_run_lengths(outline.get("segmentation"), height, width)).astype(bool)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{what}: {error}") from None
        shapes.append((entry.names[outline["category_id"]], pixels))
    return shapes


def _run_lengths(outline: Any, height: int, width: int) -> Any:
    """COCO's compressed form of polygons, or of run lengths, which may be compressed already."""
    if not outline:
        raise ValueError("has no outline (perhaps only a box)")
    if isinstance(outline, Mapping):
        counts = outline.get("counts")
        if list(outline.get("size", ())) != [height, width]:
            raise ValueError(f"run lengths of size {outline.get('size')}, but the image has [{height}, {width}]")
        if isinstance(counts, str):
            counts = _decompressed(counts)
        # pycocotools leaves pixels after the last run uninitialised
        if not isinstance(counts, list) or sum(counts) != height * width or min(counts) < 0:
            raise ValueError("run lengths that do not fill the image")
        return coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    if not all(isinstance(points, list) and len(points) >= 6 and len(points) % 2 == 0 for points in outline):
        raise ValueError("a polygon must be a list of at least three points, [x, y, x, y, x, y]")
    return coco_mask.merge(coco_mask.frPyObjects(outline, height, width))


def _decompressed(text: str) -> list[int]:
    """Run lengths from COCO's text: six bits per character, the lowest five a digit; from the third on, minus the one before last.

    >>> _decompressed("6<4")
    [6, 12, 4]
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            value -= (1 << shift) if bits & 0x10 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts
