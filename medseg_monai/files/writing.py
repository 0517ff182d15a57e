"""Files that appear whole or not at all, and folders that only one process at a time writes to."""

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
"""Subfolder of an output folder for the program's own records, which people do not need."""
LOCK_FILE = "lock"
SECONDS_FOR_OTHERS = 120.0
"""Time for a process that joins the shards to finish."""
_PART, _PART_ENDING = ".medseg-", ".part"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class DiskFullError(OSError):
    """There is no space left for a file, on the disk or in the user's quota. ``filename`` names it."""

    def __str__(self) -> str:
        return (
            f"{readable(str(self.filename))} could not be written: {self.strerror}. Free some space and run the same command again: "
            "what was finished is kept"
        )


class FolderInUseError(OSError):
    """Another process is writing to the folder."""


def write_whole(path: Path, content: bytes | str, *, sync: bool = True) -> None:
    r"""Write a file so that a reader never sees, and a crash never leaves, half of it; its folder is created.

    Args:
        path: the file. Any name that the file system accepts: the temporary file's own name is short.
        content: its bytes, or text, which is written as UTF-8. Bytes of a file name that are not UTF-8 are written as ``\xNN``.
        sync: flush to disk, so that a power cut too leaves either the old file or the new one. Off for what can be made again.

    Raises:
        DiskFullError: there is no space left.
        OSError: it cannot be written (no permission, a name that is too long); an older file of that name is unchanged.
    """
    data = readable(content).encode() if isinstance(content, str) else content
    with replacing(path, sync=sync) as part:
        part.write_bytes(data)


@contextmanager
def replacing(path: Path, *, ending: str = "", sync: bool = True) -> Iterator[Path]:
    """A temporary file beside `path`, to be written; it replaces the file when the block ends, or is removed if the block fails.

    Args:
        path: the file; its folder is created.
        ending: suffix of the temporary file, for libraries that choose the format by it.
        sync: as in `write_whole`.

    Raises:
        DiskFullError, OSError: as in `write_whole`.
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
        with suppress(OSError):  # it has replaced the file, or an earlier error is being reported
            part.unlink()


def _sync(file: Path) -> None:
    with file.open("r+b") as stream:
        os.fsync(stream.fileno())


def remove_parts(folders: Iterable[Path]) -> int:
    """Remove temporary files that a killed process left in these folders; return their number.

    Only for the holder of the folder's lock (`lock_folder`): files of a running process would be removed too.
    """
    removed = 0
    for folder in folders:
        for part in folder.glob(f"{_PART}*{_PART_ENDING}*") if folder.is_dir() else ():
            with suppress(OSError):
                part.unlink()
                removed += 1
    return removed


def lock_folder(folder: Path, *, wait: float = 0.0) -> FileLock:
    """Lock the folder for this process; created if missing. The lock is the operating system's and ends with the process.

    A process may lock a folder several times: it is free after as many calls of `release`.

    Args:
        folder: the folder.
        wait: seconds to wait for a process that has locked all of it.

    Raises:
        FolderInUseError: another process has locked it, or its shard of it (`lock_shard`).
        OSError: the folder cannot be written to.
    """
    lock = _locked(folder, LOCK_FILE, wait)
    try:
        for file in folder.glob(f"{HIDDEN_FOLDER}/{LOCK_FILE}-*"):
            _locked(folder, file.name, again=False).release()
    except BaseException:
        lock.release()
        raise
    return lock


def lock_shard(folder: Path, name: str) -> FileLock:
    """Lock one shard of the folder: other processes may lock other shards, but none all of it.

    Args:
        folder: created if missing.
        name: of the shard, as part of a file's name.

    Raises:
        FolderInUseError: another process has locked this shard, or all of the folder.
        OSError: the folder cannot be written to.
    """
    whole = _locked(folder, LOCK_FILE, SECONDS_FOR_OTHERS)  # so that nobody locks all of it at this moment
    try:
        return _locked(folder, f"{LOCK_FILE}-{name}")
    finally:
        whole.release()


def _locked(folder: Path, name: str, wait: float = 0.0, *, again: bool = True) -> FileLock:
    """Lock by that name; `again`, if this process has it already."""
    file = folder / HIDDEN_FOLDER / name
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file.resolve(), thread_local=False, is_singleton=again)
        lock.acquire(timeout=wait, poll_interval=0.1)
    except Timeout:
        shard = name.removeprefix(LOCK_FILE).removeprefix("-")
        raise FolderInUseError(
            f"{folder} is being written to by another medseg process{f' ({shard})' if shard else ''}: wait until it has finished, "
            "or name another folder"
        ) from None
    except OSError as error:
        refuse_full_disk(error, file)
        raise
    return lock


def refuse_full_disk(error: OSError, file: Path) -> None:
    """Raise a DiskFullError that names the file and says what to do, if the error says that no space is left."""
    if error.errno in _NO_ROOM and not isinstance(error, DiskFullError):
        raise DiskFullError(error.errno, error.strerror, str(file)) from error


def sha256_of(files: Iterable[Path]) -> str:
    """The SHA-256 of the files' concatenated contents, in hexadecimal digits."""
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
