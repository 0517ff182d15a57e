"""Searching folders for images: every folder once, and every skipped file is reported."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path, PurePath
from typing import NamedTuple

logger = logging.getLogger(__name__)

NAMED = 50
"""Number of skipped files that are named; the others are counted."""


class FoundImage(NamedTuple):
    """A picture or volume among the sources.

    Args:
        path: a file, a DICOM folder, or ``FOLDER#SERIES_UID``.
        name: the path below the source, without suffix.
        ending: the file's suffix; "" for a folder.
    """

    path: str
    name: PurePath
    ending: str


@dataclass
class PassedOver:
    """Files in a folder that are not segmented.

    Args:
        folder: the searched folder.

    Attributes:
        names: the names of the first ones, below the folder.
        kinds: their kinds, with numbers.
    """

    folder: Path
    names: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, path: Path, kind: str = "") -> None:
        """Record a file; its kind defaults to its suffix."""
        if not kind and path.is_symlink() and not path.exists():
            kind = "broken link"
        if len(self.names) < NAMED:
            self.names.append(str(path.relative_to(self.folder)))
        self.kinds[kind or path.suffix.lower() or "without a suffix"] += 1

    def __str__(self) -> str:
        """One line: how many, of which kinds, and their names."""
        count = self.kinds.total()
        kinds = ", ".join(
            f"{number} {kind}" for kind, number in sorted(self.kinds.items(), key=lambda one: (-one[1], one[0]))
        )
        shown = ", ".join(" ".join(name.split()) for name in self.names)
        more = f" and {count - NAMED} more" if count > NAMED else ""
        files = "1 file" if count == 1 else f"{count} files"
        return f"skipped in {self.folder}: {files} ({kinds}): {shown}{more}"

    def say(self) -> None:
        """One line in the log, if there are any."""
        if self.names:
            logger.warning("%s", self)


def walk(folder: Path, skipped: Path | None, passed: PassedOver) -> Iterator[tuple[Path, list[str]]]:
    """The folder and its subfolders, each with the names of its files, sorted; links are followed, but no folder is visited twice.

    Hidden files and folders are not searched, nor is `skipped`. A folder without read permission is recorded as skipped.

    Raises:
        ValueError: `folder` is the one to skip.
    """
    search = _Search(folder, skipped, passed)
    waiting = [str(folder)]
    while waiting:
        here = waiting.pop()
        if (listed := search.list(here)) is not None:
            yield Path(here), listed.files
            waiting += [str(Path(here, name)) for name in reversed(listed.folders)]


def files_below(folder: Path, skipped: Path | None, passed: PassedOver) -> Iterator[tuple[str, bool]]:
    """The files that `walk` finds, as paths below the folder in the order of sorted paths, and whether each is there: a broken link is not.

    A file costs no request to the disk besides that for the folder's list, a link costs one.

    Raises:
        ValueError: `folder` is the one to skip.
    """
    yield from _files_below(_Search(folder, skipped, passed), str(folder), "")


def _files_below(search: _Search, here: str, below: str) -> Iterator[tuple[str, bool]]:
    listed = search.list(here)
    if listed is None:
        return
    # a folder's files stand among its neighbours, where its name does
    folders = set(listed.folders)
    for name in merge(listed.files, listed.folders):
        if name in folders:
            yield from _files_below(search, str(Path(here, name)), f"{below}{name}{os.sep}")
        else:
            yield below + name, name not in listed.absent


class _Listed(NamedTuple):
    """What is in one folder, sorted; `absent`: names of files that cannot be there (broken links)."""

    files: list[str]
    folders: list[str]
    absent: set[str]


class _Search:
    """Folders are listed, each once.

    Raises:
        ValueError: `folder` is the one to skip.
    """

    def __init__(self, folder: Path, skipped: Path | None, passed: PassedOver) -> None:
        if skipped is not None and skipped == folder.resolve():
            raise ValueError(f"{folder} is both input and output: name another output folder")
        self._passed = passed
        self._seen: set[str] = set() if skipped is None else {str(skipped)}

    def list(self, here: str) -> _Listed | None:
        """What is in a folder, without hidden names and folders that were listed before; None if it may not be read."""
        found = _Listed([], [], set())
        self._seen.add(os.path.realpath(here))
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        _sort_in(entry, found)
        except OSError as error:
            self._passed.add(Path(error.filename or here), "folder without read permission")
            return None
        found.files.sort()
        found.folders[:] = [name for name in sorted(found.folders) if self._is_new(Path(here, name))]
        return found

    def _is_new(self, folder: Path) -> bool:
        real = os.path.realpath(folder)
        if real in self._seen:
            return False
        self._seen.add(real)
        return True


def _sort_in(entry: os.DirEntry[str], found: _Listed) -> None:
    """Put a folder's entry where it belongs; what cannot be looked at counts as a file that is not there."""
    try:
        if entry.is_dir():
            found.folders.append(entry.name)
            return
        is_there = entry.is_file()
    except OSError:
        is_there = False
    found.files.append(entry.name)
    if not is_there:
        found.absent.add(entry.name)
