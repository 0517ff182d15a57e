"""Arrays on disk under a content key: small files with checksums that appear whole or not at all, limited in total size.

Any number of processes may read, fill and trim one folder at once: an entry is written to a temporary file and
renamed, and two processes that make the same entry write the same bytes.

Of a volume a training takes a patch at a time: an entry is read whole and checked once by each process, and afterwards only what a patch
needs is read (`StoredArray`).
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
import warnings
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from medseg_monai.files.state import state_of

if TYPE_CHECKING:  # readers.py imports MONAI, which takes seconds
    from medseg_monai.images.photos import Array, PathLike

MAGIC = b"MSEGC001"  # changes with the layout of an entry
_HEAD = struct.Struct("<8sII")  # magic, length of the JSON header, CRC-32 of all that follows
_ENTRIES = "??/*.entry"
_numbers = count()


class FileHashes:
    """Content hashes of files, remembered by path and state in one shared text file.

    A file is read once; afterwards its hash costs one ``stat``. Lines are appended, so processes share
    their work; a line truncated by a crash is skipped.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[tuple[str | int, ...], str] = {}
        self._read_to = 0

    def of(self, path: PathLike) -> str:
        """BLAKE2b of the file's bytes, 40 hexadecimal digits. OSError if the file cannot be read."""
        file = Path(path)
        key = (str(file.absolute()), *state_of(file))
        if key not in self._known:
            self._read_on()
        if key not in self._known:
            self._known[key] = hashlib.blake2b(file.read_bytes(), digest_size=20).hexdigest()
            self._append(json.dumps([*key, self._known[key]]))
        return self._known[key]

    def _read_on(self) -> None:
        """Read the lines appended since the last call."""
        try:
            with self._file.open("rb") as stream:
                stream.seek(self._read_to)
                complete, newline, _ = stream.read().rpartition(b"\n")
        except OSError:
            return
        self._read_to += len(complete) + len(newline)
        for line in complete.splitlines():
            try:
                *key, digest = json.loads(line)
                self._known[tuple(key)] = digest
            except (ValueError, TypeError):
                continue

    def _append(self, line: str) -> None:
        try:
            with self._file.open("ab", buffering=0) as stream:
                stream.write(line.encode() + b"\n")
        except OSError:
            return  # the hash is then computed again next time


@dataclass(frozen=True)
class StoredArray:
    """An array of an entry that is read in parts: ``stored[slices]`` is a copy of that part. At least two axes.

    Attributes:
        file: the entry.
        start: its first byte there.
        dtype: of the values.
        shape: of the whole.
        bits: whether a byte holds eight values, each 0 or 1.
    """

    file: Path
    start: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    bits: bool

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: tuple[slice, ...]) -> Array:
        """The part between the slices, one for each axis, all of step 1.

        Raises:
            OSError: the entry has gone or is cut off.
        """
        *outer, rows, columns = (range(*one.indices(length)) for one, length in zip(index, self.shape, strict=True))
        part: Array = np.empty([len(axis) for axis in (*outer, rows, columns)], self.dtype)
        with self.file.open("rb") as stream:
            for to, at in zip(np.ndindex(part.shape[:-2]), product(*outer), strict=True):
                first = int(np.ravel_multi_index((*at, rows.start, 0), self.shape)) if part.size else 0
                found = self._read(stream, first, len(rows) * self.shape[-1]).reshape(len(rows), self.shape[-1])
                part[to] = found[:, columns.start : columns.stop]
        return part

    def values(self, stream: IO[bytes]) -> Array:
        """All of it, from the opened entry."""
        whole: Array = self._read(stream, 0, int(np.prod(self.shape))).reshape(self.shape).copy()
        return whole

    def _read(self, stream: IO[bytes], first: int, values: int) -> Array:
        """So many values from the number `first` on."""
        if not self.bits:
            return np.frombuffer(
                self._bytes(stream, first * self.dtype.itemsize, values * self.dtype.itemsize), self.dtype
            )
        skipped = first % 8
        packed = self._bytes(stream, first // 8, (skipped + values + 7) // 8)
        return np.unpackbits(np.frombuffer(packed, np.uint8), count=skipped + values)[skipped:]

    def _bytes(self, stream: IO[bytes], first: int, length: int) -> bytes:
        stream.seek(self.start + first)
        found = stream.read(length)
        if len(found) < length:
            raise OSError(f"{self.file} is cut off")
        return found


class DiskCache:
    """Named arrays under a key.

    Args:
        folder: folder of the entries, ``ab/abcdef….entry``; created.
        max_bytes: limit of the total size. The least recently used entries are deleted first; those that this object has
            read or written stay, and once they fill the cache, no more are written.

    If the folder cannot be created or written, there is one warning, and nothing is cached.
    """

    def __init__(self, folder: PathLike, *, max_bytes: int) -> None:
        self.folder = Path(folder).expanduser()
        self.max_bytes = max_bytes
        self.hashes = FileHashes(self.folder / "hashes.jsonl")
        self._used: set[str] = set()
        self._checked: dict[str, tuple[int, int]] = {}
        self._writable = True
        self._room = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._stop(f"cannot be created ({error})")
        self._remove_leftovers()

    def path(self, key: str) -> Path:
        """The file of an entry, whether it exists or not."""
        return self.folder / f"{key[:2]}/{key}.entry"

    def get(self, key: str) -> dict[str, Array] | None:
        """The arrays of an entry (writable, the caller's own); None if there is none. A damaged one is removed with a warning."""
        path = self.path(key)
        try:
            with path.open("rb") as stream:
                identity = _identity(os.fstat(stream.fileno()))
                content = bytearray(stream.read())
        except OSError:
            return None
        try:
            arrays = _unpack(content)
        except (ValueError, KeyError, struct.error) as error:
            warnings.warn(f"cache entry {path} is damaged ({error}); it is being rebuilt", stacklevel=2)
            path.unlink(missing_ok=True)
            return None
        if key not in self._used:
            self._mark_used(key, path)
        self._checked[key] = identity
        return arrays

    def get_in_parts(self, key: str, names: Collection[str]) -> Mapping[str, Array | StoredArray] | None:
        """The arrays of an entry, those with these names to be read in parts. The first time all of it is read and checked, as by `get`."""
        path = self.path(key)
        try:
            if self._checked.get(key) != _identity(path.stat()):
                return self.get(key)
            with path.open("rb") as stream:
                return _described(path, stream, names)
        except OSError:
            return None

    def put(self, key: str, arrays: Mapping[str, Array]) -> None:
        """Store an entry. A full disk or a folder without write permission ends the caching with a warning, not the program."""
        if not self._writable:
            return
        content = _pack(arrays)
        try:
            if self._room < len(content):
                self._make_room(len(content))
            if self._room < len(content):
                self._stop(f"is full ({self.max_bytes / 2**30:.3g} GiB)")
                return
            path = self.path(key)
            path.parent.mkdir(exist_ok=True)
            part = path.with_name(f"{key}.{os.getpid()}.{next(_numbers)}.part")
            try:
                part.write_bytes(content)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            self._stop(f"cannot be written ({error})")
            return
        self._room -= len(content)
        self._used.add(key)

    def size_bytes(self) -> int:
        """Total size of all entries."""
        return sum(size for _, size, _ in self._entries())

    def _stop(self, reason: str) -> None:
        self._writable = False
        warnings.warn(f"cache {self.folder} {reason}; continuing without adding to it", stacklevel=3)

    def _mark_used(self, key: str, path: Path) -> None:
        self._used.add(key)
        try:
            os.utime(path)
        except OSError:
            return  # a read-only cache

    def _entries(self) -> list[tuple[float, int, Path]]:
        """(last use, size, file) of each entry."""
        found = []
        for path in self.folder.glob(_ENTRIES):
            try:
                state = path.stat()
            except OSError:
                continue  # another process has just removed it
            found.append((state.st_mtime, state.st_size, path))
        return found

    def _make_room(self, wanted: int) -> None:
        """List the entries (other processes write too), and delete the least recently used above nine tenths of the limit."""
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        if total + wanted > self.max_bytes:
            goal = min(self.max_bytes * 9 // 10, self.max_bytes - wanted)
            for _, size, path in entries:
                if total <= goal:
                    break
                if path.stem not in self._used:
                    path.unlink(missing_ok=True)
                    total -= size
        # the next check comes after 1/32 of the limit: many processes together then exceed it only slightly
        self._room = min(self.max_bytes - total, max(wanted, self.max_bytes // 32))

    def _remove_leftovers(self) -> None:
        """Remove the leftovers of writers that were killed more than an hour ago."""
        for path in self.folder.glob("??/*.part"):
            try:
                if time.time() - path.stat().st_mtime > 3600:
                    path.unlink()
            except OSError:
                continue


def _pack(arrays: Mapping[str, Array]) -> bytes:
    """Header and arrays as bytes; arrays of {0, 1} take one bit per value."""
    described, payload = [], []
    for name, array in arrays.items():
        bits = array.dtype == np.uint8 and array.size > 0 and array.max() <= 1
        data = np.packbits(array) if bits else np.ascontiguousarray(array)
        described.append([name, array.dtype.str, list(array.shape), bool(bits)])
        payload.append(data.tobytes())
    header = json.dumps(described).encode()
    body = header + b"".join(payload)
    return _HEAD.pack(MAGIC, len(header), zlib.crc32(body)) + body


def _identity(state: os.stat_result) -> tuple[int, int]:
    """What differs if another file has taken a file's place; it is not the time, which every process changes that uses an entry."""
    return state.st_ino, state.st_size


def _unpack(content: bytearray) -> dict[str, Array]:
    """The arrays in an entry; ValueError, KeyError or struct.error if it is incomplete."""
    magic, header_length, checksum = _HEAD.unpack_from(content)
    body = memoryview(content)[_HEAD.size :]
    if magic != MAGIC or zlib.crc32(body) != checksum:
        raise ValueError("wrong checksum")
    position, arrays = header_length, {}
    for name, dtype, shape, bits in json.loads(bytes(body[:header_length])):
        size = int(np.prod(shape))
        stored = np.frombuffer(body, np.uint8 if bits else dtype, (size + 7) // 8 if bits else size, position)
        values = np.unpackbits(stored, count=size) if bits else stored
        arrays[name] = (values if values.flags.aligned else values.copy()).reshape(shape)
        position += stored.nbytes
    return arrays


def _described(path: Path, stream: IO[bytes], names: Collection[str]) -> dict[str, Array | StoredArray]:
    """The arrays of an entry that has been checked, those with these names unread."""
    _, header_length, _ = _HEAD.unpack(stream.read(_HEAD.size))
    described, position = json.loads(stream.read(header_length)), _HEAD.size + header_length
    arrays: dict[str, Array | StoredArray] = {}
    for name, dtype, shape, bits in described:
        size = int(np.prod(shape))
        stored = StoredArray(path, position, np.dtype(dtype), tuple(shape), bits)
        arrays[name] = stored if name in names else stored.values(stream)
        position += (size + 7) // 8 if bits else size * stored.dtype.itemsize
    return arrays
