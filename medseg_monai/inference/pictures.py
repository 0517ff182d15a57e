"""Photographs to segment, by files and folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from medseg_monai.images.photos import SUFFIXES
from medseg_monai.inference.folders import FoundImage, PassedOver, files_below
from medseg_monai.inference.volumes import volumes_in


def find_pictures(source: Path, *, skipped: Path | None = None, series: str = "one") -> Iterator[FoundImage]:
    """The pictures in a file or folder, sorted; folders are searched recursively.

    Args:
        source: a file, whatever its suffix, or a folder.
        skipped: a folder that is not searched.
        series: not used: pictures have no series.

    Raises:
        FileNotFoundError: the file or folder does not exist.
        ValueError: the folder contains no picture, or is itself the one to skip.
    """
    if source.is_dir():
        yield from _images_below(source, skipped)
    elif source.exists():
        yield _found(str(source.absolute()), source.name)
    else:
        raise FileNotFoundError(f"no such file or folder: {source}")


def _found(path: str, below: str) -> FoundImage:
    name = PurePath(below)
    return FoundImage(path, name.with_suffix(""), name.suffix)


def _images_below(folder: Path, skipped: Path | None) -> Iterator[FoundImage]:
    """Image files in a folder and its subfolders, sorted; at the end the log names the others.

    Raises:
        ValueError: there are none, or the folder is the one to skip.
    """
    passed, root = PassedOver(folder), str(folder.absolute()).rstrip(os.sep) + os.sep
    count = 0
    for below, is_there in files_below(folder, skipped, passed):
        if is_there and PurePath(below).suffix.lower() in SUFFIXES:
            count += 1
            yield _found(root + below, below)
        else:
            passed.add(folder / below)
    if not count:
        volumes = volumes_in(folder)
        other = f"; the {volumes} volumes there are for a 3D network" if volumes else ""
        looked = f"looked for {', '.join(sorted(SUFFIXES))}, also in subfolders"
        raise ValueError(f"no images in {folder} ({looked}){other}{f'; {passed}' if passed.names else ''}")
    passed.say()
