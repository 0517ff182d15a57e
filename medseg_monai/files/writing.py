"""Files that appear whole or not at all, and folders that one process at a time writes to."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

HIDDEN_FOLDER = ".medseg"
"""In a folder that is written to: what the program needs to know of it, and people do not."""
LOCK_FILE = "lock"
_PART, _PART_ENDING = ".medseg-", ".part"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class DiskFullError(OSError):
    """No room is left for a file, on the disk or in the user's quota. ``filename`` says which."""

    def __str__(self) -> str:
        return (
            f"{readable(str(self.filename))} could not be written: {self.strerror}. Make room and run the same command again: "
            "what was finished is kept"
        )


class FolderInUseError(OSError):
    """Another process writes to the folder."""


def write_whole(path: Path, content: bytes | str, *, sync: bool = True) -> None:
    r"""Write a file so that a reader, or a crash, never meets half of it; its folder is made.

    Args:
        path: the file. Any name that the file system takes will do: the temporary file's own is short.
        content: its bytes, or text, which is written as UTF-8. Bytes of a file's name that are not UTF-8 stand in it as ``\xNN``.
        sync: wait until the disk has it, so that a power cut leaves the old file or the new one too. Off for what can be made again.

    Raises:
        DiskFullError: there is no room.
        OSError: it cannot be written (no permission, a name that is too long); an older file of that name is left as it was.
    """
    data = readable(content).encode() if isinstance(content, str) else content
    with replacing(path, sync=sync) as part:
        part.write_bytes(data)


@contextmanager
def replacing(path: Path, *, ending: str = "", sync: bool = True) -> Iterator[Path]:
    """A temporary file beside `path`, to be written; it takes the file's place when the block ends, or is removed if that fails.

    Args:
        path: the file; its folder is made.
        ending: of the temporary file's name, for libraries that tell the format by it.
        sync: as `write_whole` takes it.

    Raises:
        DiskFullError, OSError: as `write_whole` does.
    """
    part = path.with_name(f"{_PART}{secrets.token_hex(8)}{_PART_ENDING}{ending}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if sync:
            _sync(part)
        part.replace(path)
    except OSError as error:
        refuse_full_disk(error, path)
        raise
    finally:
        with suppress(OSError):  # it took the file's place, or what went wrong before is what is to be said
            part.unlink()


def _sync(file: Path) -> None:
    with file.open("r+b") as stream:
        os.fsync(stream.fileno())


def remove_parts(folders: Iterable[Path]) -> int:
    """Remove temporary files that a killed process left in these folders; return their number.

    Only for who holds the folder's lock (`lock_folder`): a running process's would be removed too.
    """
    removed = 0
    for folder in folders:
        for part in folder.glob(f"{_PART}*{_PART_ENDING}*") if folder.is_dir() else ():
            with suppress(OSError):
                part.unlink()
                removed += 1
    return removed


def lock_folder(folder: Path) -> FileLock:
    """Take the folder for this process; created if missing. The lock is the operating system's and ends with the process.

    A process that has the folder already takes it once more: it is free when `release` was called as often.

    Raises:
        FolderInUseError: another process has it.
        OSError: the folder cannot be written to.
    """
    file = folder / HIDDEN_FOLDER / LOCK_FILE
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file.resolve(), thread_local=False, is_singleton=True)
        lock.acquire(blocking=False)
    except Timeout:
        raise FolderInUseError(
            f"{folder} is being written to by another medseg: wait until it has ended, or name another folder"
        ) from None
    except OSError as error:
        refuse_full_disk(error, file)
        raise
    return lock


def refuse_full_disk(error: OSError, file: Path) -> None:
    """Raise a DiskFullError that names the file and says what to do, if the error says that no room is left."""
    if error.errno in _NO_ROOM and not isinstance(error, DiskFullError):
        raise DiskFullError(error.errno, error.strerror, str(file)) from error


def sha256_of(files: Iterable[Path]) -> str:
    """The SHA-256 of the files' contents, one after the other, in hexadecimal digits."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def readable(text: str) -> str:
    r"""Text that can be written as UTF-8: bytes of a file's name that are not stand as ``\xNN``.

    >>> print(readable("caf\udce9.png"))
    caf\xe9.png
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a surrogate pair, which names on Windows may hold
        return text.encode("utf-8", "backslashreplace").decode()


def file_part(name: str) -> str:
    """A class's name as part of a file's: other characters than letters, digits, ``_``, ``.`` and ``-`` become ``_``.

    >>> file_part("large bowel")
    'large_bowel'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)
