"""Searching folders for images: every folder once, and every skipped file is reported."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
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
        names: their names, below the folder.
        kinds: their kinds, with numbers.
    """

    folder: Path
    names: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, path: Path, kind: str = "") -> None:
        """Record a file; its kind defaults to its suffix."""
        if not kind and path.is_symlink() and not path.exists():
            kind = "broken link"
        self.names.append(str(path.relative_to(self.folder)))
        self.kinds[kind or path.suffix.lower() or "without a suffix"] += 1

    def __str__(self) -> str:
        """One line: how many, of which kinds, and their names."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.most_common())
        shown = ", ".join(" ".join(name.split()) for name in self.names[:NAMED])
        more = f" and {len(self.names) - NAMED} more" if len(self.names) > NAMED else ""
        files = "1 file" if len(self.names) == 1 else f"{len(self.names)} files"
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
    if skipped is not None and skipped == folder.resolve():
        raise ValueError(f"{folder} is both input and output: name another output folder")
    seen: set[str] = set()

    def unreadable(error: OSError) -> None:
        passed.add(Path(error.filename), "folder without read permission")

    for parent, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        here = Path(parent)
        seen.add(os.path.realpath(parent))
        visible = sorted(name for name in folders if not name.startswith("."))
        folders[:] = []
        for name in visible:
            real = os.path.realpath(here / name)
            if real not in seen and (skipped is None or real != str(skipped)):
                seen.add(real)
                folders.append(name)
        yield here, sorted(name for name in names if not name.startswith("."))
