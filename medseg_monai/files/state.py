"""Whether a file is still the one that was read, without reading it again."""

from __future__ import annotations

import os
from pathlib import Path

FileState = tuple[int, int, int, int]
"""Size in bytes, times of the last change of the content and of the file's entry in nanoseconds, and the entry's number."""


def state_of(path: str | os.PathLike[str]) -> FileState:
    """A file's state, which changes whenever its content does.

    The time of the content alone does not say it: what copies and unpacks files sets it back (``cp -p``, ``rsync -a``, ``tar``).

    Raises:
        OSError: the file is not there.
    """
    state = Path(path).stat()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino
