"""LabelMe: outlines drawn by hand, in a JSON file beside each picture.

Russell et al., IJCV 77, 157-173 (2008); https://github.com/wkentaro/labelme. Polygons, rectangles, circles and drawn masks are areas
and are filled as in LabelMe itself, by Pillow. Points and lines are not.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from medseg_monai.dataset.cases import absolute_path, case_names, stem
from medseg_monai.images.photos import MAX_PIXELS, read_header
from medseg_monai.prepare.layouts.contents import Drawing, FolderContents, Layout, Listing
from medseg_monai.prepare.layouts.drawn import Outlined, Shape, draw, json_files
from medseg_monai.prepare.layouts.names import spot_of
from medseg_monai.prepare.pairs import LeftOut, name_key


def read_labelme(listing: Listing, drawing: Drawing) -> FolderContents | None:
    """The pictures that have a JSON file of outlines, their masks drawn."""
    notes = {file: content for file, content in json_files(listing).items() if _is_labelme(content)}
    if not notes:
        return None
    found: dict[Path, Mapping[str, Any]] = {}
    gone: list[LeftOut] = []
    for file, content in notes.items():
        path = _picture(listing, file, str(content.get("imagePath") or ""))
        if path is None:
            gone.append((file, f"its picture {content.get('imagePath')!r} does not exist"))
        elif path in found:
            gone.append((file, f"a second file of outlines for {path.name}"))
        else:
            found[path] = content
    cases = []
    for (path, content), name in zip(found.items(), case_names([absolute_path(path) for path in found]), strict=True):
        try:
            size = _size(path, content)
        except (ValueError, OSError) as error:
            gone.append((path, str(error).removeprefix(f"{path}: ")))
            continue
        split = spot_of(listing.parts(path)).split
        cases.append(Outlined(path, name, split, size, partial(_shapes, content["shapes"], size)))
    gone += [(path, "no file of outlines (.json)") for path in listing.files if path not in found]
    return draw(cases, drawing, left_out=gone)


LABELME = Layout("labelme", "LabelMe (a .json file with shapes and imagePath beside each picture)", read_labelme)


def _is_labelme(content: Mapping[str, Any]) -> bool:
    """Whether a JSON file has the keys of LabelMe."""
    return isinstance(content.get("shapes"), list) and "imagePath" in content


def _picture(listing: Listing, file: Path, name: str) -> Path | None:
    """The picture by the path in the file, by its name, or by the file's own name."""
    if (path := absolute_path(file.parent / name.replace("\\", "/"))) in listing.absolute:
        return listing.absolute[path]
    same = listing.by_name.get(name_key(PureWindowsPath(name).name), ())
    beside = [path for path in listing.by_folder.get(file.parent, ()) if name_key(stem(path)) == name_key(stem(file))]
    return same[0] if len(same) == 1 else beside[0] if len(beside) == 1 else None


def _size(path: Path, content: Mapping[str, Any]) -> tuple[int, int]:
    """(width, height) that the outlines were drawn on: the picture's own, upright, if the file does not say."""
    width, height = content.get("imageWidth"), content.get("imageHeight")
    return (int(width), int(height)) if width and height else read_header(path).size


def _shapes(outlines: list[Any], size: tuple[int, int]) -> list[Shape]:
    """The outlines' pixels.

    Raises:
        ValueError: a shape is not an area, or is invalid.
    """
    if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"has another size than in its file of outlines, {size[0]}x{size[1]} pixels")
    shapes = []
    for number, outline in enumerate(outlines, 1):
        try:
            name = str(outline["label"])
            shapes.append((name, _filled(outline, size)))
        except (KeyError, TypeError, AttributeError, OSError, Image.DecompressionBombError) as error:
            raise ValueError(f"shape {number}: cannot be read ({type(error).__name__}: {error})") from None
        except ValueError as error:
            raise ValueError(f"shape {number} ({name}): {error}") from None
    return shapes


def _filled(outline: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W): the pixels inside one shape."""
    kind = outline.get("shape_type") or "polygon"
    points = [(float(x), float(y)) for x, y in outline["points"]]
    canvas = Image.new("1", size)
    pen = ImageDraw.Draw(canvas)
    if kind == "polygon" and len(points) > 2:
        pen.polygon(points, fill=1, outline=1)
    elif kind == "rectangle" and len(points) in (2, 4):
        (left, right), (top, bottom) = ((min(side), max(side)) for side in zip(*points, strict=True))
        pen.rectangle((left, top, right, bottom), fill=1, outline=1)
    elif kind == "circle" and len(points) == 2:
        (x, y), edge = points
        radius = math.dist(points[0], edge)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1, outline=1)
    elif kind == "mask" and len(points) == 2:
        with Image.open(io.BytesIO(base64.b64decode(outline["mask"])), formats=["PNG"]) as drawn:
            if drawn.width > size[0] or drawn.height > size[1]:
                raise ValueError(f"its mask is {drawn.width}x{drawn.height}, larger than the picture")
            canvas.paste(
                1, (round(points[0][0]), round(points[0][1])), drawn.convert("L").point(lambda v: 255 * (v > 0))
            )
    else:
        raise ValueError(f"a {kind} of {len(points)} points is not an area")
    return np.asarray(canvas)
