"""Volumes in several files: a header, by which they are named, and the voxels beside it."""

from __future__ import annotations

import re
from glob import escape, glob
from pathlib import Path

PAIRS = {".hdr": (".img",), ".hdr.gz": (".img.gz",), ".mhd": (".raw", ".zraw"), ".nhdr": (".raw", ".raw.gz")}
"""Suffixes of headers -> the usual suffixes of their voxel files."""
_NAMED = re.compile(rb"^(?:ElementDataFile *=|data ?file:) *([^\r\n]+)", re.MULTILINE | re.IGNORECASE)
_NUMBER = re.compile(r"%\d*d")
_HEADER_BYTES = 2**16


def header_suffix(path: str | Path) -> str:
    """The suffix of a header's name, in lower case, or "" for any other file."""
    name = Path(path).name.lower()
    return next((suffix for suffix in PAIRS if name.endswith(suffix)), "")


def all_files(path: str | Path) -> list[Path]:
    """A file and, if it is a header, its voxel files: all files whose change would change the volume.

    Unknown ones (the header is missing or names no file) are left out: reading the volume reports the fault.
    """
    file = Path(path)
    suffix = header_suffix(file)
    if not suffix:
        return [file]
    if suffix.startswith(".hdr"):
        return [file, *_beside(file, PAIRS[suffix])]
    return [file, *(part for part in _named_by(file) if part.is_file())]


def missing_voxels(header: Path) -> str:
    """The first file that a MetaImage or NRRD header names but that does not exist, or ""."""
    return next((part.name for part in _named_by(header) if not part.is_file()), "")


def header_of(path: str | Path) -> Path | None:
    """The header of a voxel file: one of the same name beside it, or None."""
    file = Path(path)
    for suffix, endings in PAIRS.items():
        for ending in endings:
            if file.name.lower().endswith(ending):
                header = _beside(file.with_name(file.name[: -len(ending)] + suffix), (suffix,))
                if header:
                    return header[0]
    return None


def _beside(file: Path, endings: tuple[str, ...]) -> list[Path]:
    """The first existing file of the same stem with one of the suffixes, in lower or upper case."""
    stem = file.name[: -len(header_suffix(file))]
    names = (stem + written for ending in endings for written in (ending, ending.upper()))
    return [file.with_name(name) for name in names if file.with_name(name).is_file()][:1]


def _named_by(header: Path) -> list[Path]:
    """The files that a MetaImage or NRRD header names: one, numbered ones (``s%03d.raw 1 20 1``), or a list below it."""
    if header_suffix(header) not in (".mhd", ".nhdr"):
        return []
    try:
        with header.open("rb") as stream:
            content = stream.read(_HEADER_BYTES)
    except OSError:
        return []
    found = _NAMED.search(content)
    if not found:
        return []
    value = found[1].decode(errors="surrogateescape").strip()
    first = value.split()[0] if value else "LOCAL"
    if first.upper() == "LOCAL":
        return []
    if first.upper() == "LIST":
        lines = content[found.end() :].decode(errors="surrogateescape").splitlines()
        return [header.parent / line.strip() for line in lines if line.strip()]
    if _NUMBER.search(first):
        try:
            found_files = glob(_NUMBER.sub("*", escape(first)), root_dir=header.parent)  # noqa: PTH207  Path.glob refuses absolute ones
        except ValueError:  # a name that no file can have
            return []
        return sorted(header.parent / name for name in found_files)
    return [header.parent / value]
