"""GlaS: glands in microscopic pictures, each with its own number in the mask.

``train_1.bmp`` with ``train_1_anno.bmp``, ``testA_1.bmp`` … Sirinukunwattana et al., Medical Image Analysis 35, 489-502 (2017). The names
state the splits. All numbers become one class.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from medseg_monai.dataset.cases import stem
from medseg_monai.images.photos import opened
from medseg_monai.prepare.layouts.contents import Drawing, FolderContents, Layout, Listing
from medseg_monai.prepare.layouts.drawn import Outlined, Shape, draw
from medseg_monai.prepare.pairs import LeftOut

NAMED = re.compile(r"(train|testA|testB|test)_(\d+)(_anno)?", re.IGNORECASE)


def read_glas(listing: Listing, drawing: Drawing) -> FolderContents | None:
    """Every picture with its mask, made binary."""
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for path in listing.files:
        if match := NAMED.fullmatch(stem(path)):
            (masks if match[3] else images)[f"{match[1]}_{match[2]}".lower()] = path
    if not masks.keys() & images.keys():
        return None
    cases: list[Outlined] = []
    gone: list[LeftOut] = [(path, "no image of the same name") for name, path in masks.items() if name not in images]
    for name, path in images.items():
        try:
            with opened(masks[name]) as picture:
                size = picture.size
        except KeyError:
            gone.append((path, "no mask (_anno)"))
        except (ValueError, OSError) as error:
            gone.append((path, str(error)))
        else:
            split = "training" if name.startswith("train") else "test"
            cases.append(Outlined(path, stem(path), split, size, partial(_glands, masks[name])))
    used = {*images.values(), *masks.values()}
    gone += [
        (path, "named neither like an image nor like a mask of GlaS") for path in listing.files if path not in used
    ]
    return draw(cases, drawing, left_out=gone)


GLAS = Layout("glas", "GlaS (train_1.bmp with train_1_anno.bmp)", read_glas)


def _glands(mask: Path) -> list[Shape]:
    with opened(mask) as picture:
        numbers = np.asarray(picture)
    if numbers.ndim != 2:
        raise ValueError(f"{mask}: is in colour; expected grey levels, a number for each gland")
    return [("gland", numbers > 0)]
