"""Photographs to segment, by files and folders."""

from __future__ import annotations

from pathlib import Path

from medseg_monai.images.photos import SUFFIXES
from medseg_monai.inference.folders import FoundImage, PassedOver, walk
from medseg_monai.inference.volumes import volumes_in


def find_pictures(source: Path, *, skipped: Path | None = None, series: str = "one") -> list[FoundImage]:
    """The pictures in a file or folder, sorted; folders are searched recursively.

    Args:
        source: a file, whatever its suffix, or a folder.
        skipped: a folder that is not searched.
        series: not used: pictures have no series.

    Raises:
        FileNotFoundError: the file or folder does not exist.
        ValueError: the folder contains no picture, or is itself the one to skip.
    """
    if not source.exists():
        raise FileNotFoundError(f"no such file or folder: {source}")
    images = _images_below(source, skipped) if source.is_dir() else [source]
    names = [path.relative_to(source) if source.is_dir() else Path(path.name) for path in images]
    return [
        FoundImage(str(path.absolute()), name.with_suffix(""), name.suffix)
        for path, name in zip(images, names, strict=True)
    ]


def _images_below(folder: Path, skipped: Path | None) -> list[Path]:
    """Image files in a folder and its subfolders, sorted; the log names the others.

    Raises:
        ValueError: there are none, or the folder is the one to skip.
    """
    passed = PassedOver(folder)
    images = []
    for here, names in walk(folder, skipped, passed):
        for name in names:
            file = here / name
            if file.suffix.lower() in SUFFIXES and file.is_file():
                images.append(file)
            else:
                passed.add(file)
    if not images:
        volumes = volumes_in(folder)
        other = f"; the {volumes} volumes there are for a 3D network" if volumes else ""
        looked = f"looked for {', '.join(sorted(SUFFIXES))}, also in subfolders"
        raise ValueError(f"no images in {folder} ({looked}){other}{f'; {passed}' if passed.names else ''}")
    passed.say()
    return sorted(images)
