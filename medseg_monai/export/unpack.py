"""Unpacking somebody else's zip: limited in size, inside its folder, plain files only."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

MOST_BYTES = 4 * 2**30
"""Unpacked: several networks with their exports."""
MOST_ENTRIES = 10_000
MOST_RATIO = 100
"""Unpacked to packed, of an entry of more than `RATIO_FROM` bytes; weights shrink by a tenth, text by a factor of ten."""
RATIO_FROM = 2**20
CHUNK = 2**20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# RuntimeError: a password is required
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError)


def unpack(file: Path, folder: Path) -> None:
    """Unpack a zip into a folder.

    Sizes are counted during writing, so false declarations have no effect.

    Raises:
        ValueError: it is not a zip, is damaged or encrypted, leads outside the folder, contains something other than files and folders, or
            unpacks to more than `MOST_BYTES`, `MOST_ENTRIES` or `MOST_RATIO` allow.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check(file, entries)
            left = MOST_BYTES
            for entry in entries:
                left -= _extract(file, archive, entry, folder, left)
    except DAMAGED as error:
        raise ValueError(f"{file} cannot be unpacked: it is damaged, encrypted or not a zip file ({error})") from error


def _check(file: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Refuse faults that the list of entries shows, before anything is written."""
    if len(entries) > MOST_ENTRIES:
        raise ValueError(f"{file} is refused: it contains {len(entries)} entries, more than {MOST_ENTRIES}")
    names = set()
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0]:
            raise ValueError(f"{file} is refused: its entry {entry.filename!r} leads outside the folder")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ValueError(f"{file} is refused: its entry {entry.filename!r} is neither a file nor a folder")
        if entry.compress_type not in METHODS:
            raise ValueError(
                f"{file} is refused: its entry {entry.filename!r} is not compressed by deflate, the usual method of zip files"
            )
        if str(path) in names:
            raise ValueError(f"{file} is refused: it contains {entry.filename!r} twice")
        names.add(str(path))
    declared = sum(entry.file_size for entry in entries)
    if declared > MOST_BYTES:
        raise ValueError(_too_large(file))


def _extract(file: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, left: int) -> int:
    """Write one entry, of at most `left` bytes, and return its size."""
    target = folder / entry.filename.replace("\\", "/")
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with archive.open(entry) as packed, target.open("wb") as plain:
        while chunk := packed.read(CHUNK):
            size += len(chunk)
            if size > left:
                raise ValueError(_too_large(file))
            if size > RATIO_FROM and size > MOST_RATIO * max(1, entry.compress_size):
                raise ValueError(
                    f"{file} is refused: its entry {entry.filename!r} unpacks to more than {MOST_RATIO} times its size"
                )
            plain.write(chunk)
    return size


def _too_large(file: Path) -> str:
    return f"{file} is refused: it unpacks to more than {MOST_BYTES / 2**30:.0f} GiB"
