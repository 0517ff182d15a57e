"""Very many cases in little memory: an image's name is kept once, and its case is made when it is asked for.

A case as a dictionary with its two texts takes about a kilobyte together with what is needed to tell names apart; here it takes its file
name and some 20 bytes. Names are compared by 8-byte checksums, the same in every process.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from medseg_monai.inference.folders import FoundImage

Case = Mapping[str, Any]
Checksums = NDArray[np.uint64]
_ELSEWHERE = 2**16 - 1
"""Instead of the length of a name that is not the beginning of its file's."""


class Texts:
    """Texts, one after the other in one buffer."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._ends = array("Q", [0])

    def append(self, text: str) -> None:
        self._buffer += text.encode("utf-8", "surrogatepass")  # names that are not UTF-8 hold surrogates
        self._ends.append(len(self._buffer))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> str:
        return self._buffer[self._ends[number] : self._ends[number + 1]].decode("utf-8", "surrogatepass")


class FoundImages(Sequence[FoundImage]):
    """Images, in the order in which they were found.

    What stands in the same folder shares the folder's text; of a name that is its file's without the suffix only the length is kept.
    """

    def __init__(self, images: Iterable[FoundImage] = ()) -> None:
        self._folders, self._above = Texts(), Texts()  # of paths, and of names
        self._files = Texts()
        self._folder_of = array("L")
        self._lengths = array("H")
        self._others: dict[int, FoundImage] = {}
        self._last: tuple[str, str] | None = None
        for image in images:
            self.append(image)

    def append(self, image: FoundImage) -> None:
        """Add one at the end."""
        folder, slash, file = image.path.rpartition(os.sep)
        above = image.name.parent.as_posix()
        if self._last != (folder + slash, above):
            self._last = (folder + slash, above)
            self._folders.append(folder + slash)
            self._above.append("" if above == "." else f"{above}/")
        own = image.name.name
        is_plain = f"{own}{image.ending}" == file and len(own) < _ELSEWHERE
        if not is_plain:
            self._others[len(self)] = image
        self._folder_of.append(len(self._folders) - 1)
        self._lengths.append(len(own) if is_plain else _ELSEWHERE)
        self._files.append(file)

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, number: int) -> FoundImage: ...
    @overload
    def __getitem__(self, number: slice) -> list[FoundImage]: ...
    def __getitem__(self, number: int | slice) -> FoundImage | list[FoundImage]:
        """An image, or several."""
        if isinstance(number, slice):
            return [self[place] for place in range(len(self))[number]]
        number = range(len(self))[number]
        if number in self._others:
            return self._others[number]
        file, length = self._files[number], self._lengths[number]
        return FoundImage(self.path(number), PurePath(self.name(number)), file[length:])

    def path(self, number: int) -> str:
        """Its path."""
        if number in self._others:
            return self._others[number].path
        return self._folders[self._folder_of[number]] + self._files[number]

    def name(self, number: int) -> str:
        """Its name below the source, with ``/``, without suffix."""
        if number in self._others:
            return self._others[number].name.as_posix()
        return self._above[self._folder_of[number]] + self._files[number][: self._lengths[number]]


class CaseList(Sequence[Case]):
    """Cases with ``image`` and ``id``, each made when it is asked for; no two have the same image.

    Args:
        found: the images.
        other_ids: ids that are not the image's name, by number.
        places: numbers of the images that these cases are about; default: all.
    """

    def __init__(self, found: FoundImages, other_ids: Mapping[int, str], places: Sequence[int] | None = None) -> None:
        self._found = found
        self._other_ids = other_ids
        self._places: Sequence[int] = range(len(found)) if places is None else places

    def at(self, places: Sequence[int]) -> CaseList:
        """Some of the cases, by their places in this list."""
        return CaseList(self._found, self._other_ids, array("L", (self._places[place] for place in places)))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Case: ...
    @overload
    def __getitem__(self, place: slice) -> list[Case]: ...
    def __getitem__(self, place: int | slice) -> Case | list[Case]:
        """A case, or several."""
        if isinstance(place, slice):
            return [self._case(number) for number in self._places[place]]
        return self._case(self._places[place])

    def __iter__(self) -> Iterator[Case]:
        return map(self._case, self._places)

    def _case(self, number: int) -> Case:
        case_id = self._other_ids.get(number)
        return {"image": self._found.path(number), "id": self._found.name(number) if case_id is None else case_id}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as lists

    def __repr__(self) -> str:
        return f"<{len(self)} cases>"


def chosen(cases: Sequence[Case], places: Sequence[int]) -> Sequence[Case]:
    """Some of the cases, by their places."""
    return cases.at(places) if isinstance(cases, CaseList) else [cases[place] for place in places]


def checksums(texts: Iterable[str], count: int) -> Checksums:
    """Of so many texts an 8-byte checksum each: two that differ have the same one with a chance of 1 in 10^19."""
    return np.fromiter(map(checksum, texts), np.uint64, count)


def checksum(text: str) -> int:
    """As `checksums` has it."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def repeated(numbers: Checksums) -> Checksums:
    """Those that occur more than once, sorted."""
    values, counts = np.unique(numbers, return_counts=True)
    return values[counts > 1]
