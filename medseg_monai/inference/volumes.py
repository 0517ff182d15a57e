"""Volumes to segment, by files and folders: NIfTI, NRRD and MHA files, and folders of DICOM files."""

from __future__ import annotations

from pathlib import Path, PurePath

from medseg_monai.images import dicom, dicom_files
from medseg_monai.images.paired import header_of
from medseg_monai.images.photos import SUFFIXES
from medseg_monai.images.volumes import VOLUME_SUFFIXES, volume_suffix
from medseg_monai.inference.folders import FoundImage, PassedOver, walk


def find_volumes(source: Path, *, skipped: Path | None = None, series: str = "one") -> list[FoundImage]:
    """The volumes in a file or folder, sorted; folders are searched recursively.

    Args:
        source: a volume file, a DICOM folder, ``FOLDER#SERIES_UID``, or a folder of these.
        skipped: a folder that is not searched.
        series: which of several series in a DICOM folder, see `dicom.series_paths`.

    Raises:
        FileNotFoundError: the file or folder does not exist.
        ValueError: the folder contains no volume, or is itself the one to skip.
    """
    folder, uid = dicom_files.split_path(source)
    if not folder.exists():
        raise FileNotFoundError(f"no such file or folder: {source}")
    if folder.is_file():
        suffix = volume_suffix(source) or source.suffix
        return [FoundImage(str(source.absolute()), PurePath(source.name[: len(source.name) - len(suffix)]), suffix)]
    if uid:
        return _series(folder, PurePath(folder.absolute().name), uid)
    found: list[FoundImage] = []
    passed = PassedOver(folder)
    for here, names in walk(folder, skipped, passed):
        below = here.relative_to(folder)
        is_series = dicom_files.is_dicom_folder(here)
        for name in names:
            file, suffix = here / name, volume_suffix(name)
            if suffix and file.is_file():
                stem = name[: len(name) - len(suffix)]
                found.append(FoundImage(str(file.absolute()), below / stem if stem else below / name, suffix))
            elif not (is_series and _may_be_slice(file)) and header_of(file) is None:
                passed.add(file)
        if is_series:
            found += _series(here, below if here != folder else PurePath(here.absolute().name), series)
    if not found:
        kinds = f"looked for {', '.join(VOLUME_SUFFIXES)} and DICOM folders"
        pictures = sum(count for kind, count in passed.kinds.items() if kind in SUFFIXES)
        other = f"; the {pictures} pictures there are for a network of 2D images" if pictures else ""
        raise ValueError(f"no volumes in {folder} ({kinds}){other}{f'; {passed}' if passed.names else ''}")
    passed.say()
    return found


def _may_be_slice(file: Path) -> bool:
    """Whether a file in a DICOM folder is examined when its series are read."""
    return file.suffix.lower() not in dicom_files.OTHER_SUFFIXES and file.is_file()


def _series(folder: Path, name: PurePath, rule: str) -> list[FoundImage]:
    """A DICOM folder's series by the rule; the folder itself if the rule fails: reading it then reports why."""
    try:
        paths = dicom.series_paths(folder.absolute(), rule)
    except ValueError:
        paths = [str(folder.absolute())]
    if len(paths) == 1:
        return [FoundImage(paths[0], name, "")]
    return [FoundImage(path, name.with_name(f"{name.name}_{number}"), "") for number, path in enumerate(paths, 1)]


def volumes_in(folder: Path) -> int:
    """Number of volume files in a folder and its subfolders, for a message."""
    return sum(1 for path in folder.rglob("*") if volume_suffix(path))
