"""Volumes to segment, by files and folders: NIfTI, NRRD and MHA files, and folders of DICOM files."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import NamedTuple

from medseg_monai.images import dicom, dicom_files
from medseg_monai.images.photos import SUFFIXES
from medseg_monai.images.volumes import VOLUME_SUFFIXES, volume_suffix


class Found(NamedTuple):
    """A scan among the sources.

    Args:
        path: as `read_volume` takes it: a file, a DICOM folder, or ``FOLDER#SERIES_UID``.
        name: the path below the source, without ending.
        ending: of the file's name; "" for a folder.
    """

    path: str
    name: PurePath
    ending: str


def find_volumes(source: Path, *, skipped: Path | None = None, series: str = "one") -> list[Found]:
    """The volumes that a file or folder names, sorted; folders are searched with all below them.

    Args:
        source: a volume file, a DICOM folder, ``FOLDER#SERIES_UID``, or a folder of such.
        skipped: a folder not to look into.
        series: which of several series in a DICOM folder, see `dicom.series_paths`.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: the folder holds no volume, or is itself the one to skip.
    """
    folder, uid = dicom_files.split_path(source)
    if not folder.exists():
        raise FileNotFoundError(f"no such file or folder: {source}")
    if folder.is_file():
        suffix = volume_suffix(source) or source.suffix
        return [Found(str(source.absolute()), PurePath(source.name[: len(source.name) - len(suffix)]), suffix)]
    if uid:
        return _series(folder, PurePath(folder.absolute().name), uid)
    if skipped is not None and skipped == folder.resolve():
        raise ValueError(f"{folder} is both input and output: name another output folder")
    found: list[Found] = []
    pictures = 0
    for parent, folders, names in os.walk(folder, followlinks=True):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if name[0] != "." and (here / name).resolve() != skipped)
        for name in sorted(names):
            suffix = volume_suffix(name)
            if suffix and name[0] != ".":
                below = (here / name).relative_to(folder)
                found.append(
                    Found(str((here / name).absolute()), below.with_name(name[: len(name) - len(suffix)]), suffix)
                )
            pictures += Path(name).suffix.lower() in SUFFIXES
        if dicom_files.is_dicom_folder(here):
            found += _series(
                here, here.relative_to(folder) if here != folder else PurePath(here.absolute().name), series
            )
    if not found:
        other = f"; the {pictures} pictures there are for a network of 2D images" if pictures else ""
        raise ValueError(f"no volumes in {folder} (looked for {', '.join(VOLUME_SUFFIXES)} and DICOM folders){other}")
    return found


def _series(folder: Path, name: PurePath, rule: str) -> list[Found]:
    """A DICOM folder's series by the rule; the folder itself where the rule fails: reading it then says why."""
    try:
        paths = dicom.series_paths(folder.absolute(), rule)
    except ValueError:
        paths = [str(folder.absolute())]
    if len(paths) == 1:
        return [Found(paths[0], name, "")]
    return [Found(path, name.with_name(f"{name.name}_{number}"), "") for number, path in enumerate(paths, 1)]


def volumes_in(folder: Path) -> int:
    """How many volume files lie in a folder and its folders, for a message."""
    return sum(1 for path in folder.rglob("*") if volume_suffix(path))
