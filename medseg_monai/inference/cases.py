"""Cases to segment: found in files and folders, read ahead, with failures recorded."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.csv_tables import csv_text, read_records
from medseg_monai.files.writing import HIDDEN_FOLDER, write_whole
from medseg_monai.inference.case_list import CaseList, Checksums, FoundImages, checksum, checksums, repeated
from medseg_monai.inference.pictures import find_pictures
from medseg_monai.inference.shards import Shard
from medseg_monai.inference.volumes import find_volumes
from medseg_monai.program.console import LEFT_OUT

logger = logging.getLogger(__name__)


FAILURES_FILE = "failures.csv"
# Errors raised by reading a broken or unusable image; any other error is a bug and is not hidden.
UNUSABLE = (OSError, ValueError, SyntaxError, EOFError, MemoryError)
FINDERS = {2: find_pictures, 3: find_volumes}
"""By number of spatial axes, as `medseg_monai.grids.kinds.KINDS`."""
RECENT = 1000
"""Number of cases that are remembered for what goes wrong after they were read."""


@dataclass(frozen=True)
class Failure:
    """An image that could not be used, and why."""

    path: str
    reason: str


def failures_text(failed: int, of: int, file: Path) -> str:
    """What ends a program that could not use some of its images."""
    return f"{failed} of {of} images could not be used, see {file}; all others are done"


def find_cases(
    sources: str | Path | Sequence[str | Path],
    *,
    leave_out: str | Path | None = None,
    spec: DatasetSpec | None = None,
    series: str = "one",
) -> CaseList:
    """The images named by files and folders (searched recursively), as cases.

    Args:
        sources: files or folders. A named file is used whatever its suffix; in a folder only image files are.
        leave_out: a folder inside the sources that is not searched: the output folder.
        spec: what the network was trained on: if 3D, volumes are searched, else (or if None) pictures.
        series: which series of a DICOM folder with several: ``one`` (none: such a folder is a failure that lists them),
            ``all``, ``largest``, or a SeriesInstanceUID.

    Returns:
        Cases with ``image`` (absolute path) and ``id`` (path below the source, without suffix unless two would be equal). They are
        made when they are asked for, since there may be a million.

    Raises:
        FileNotFoundError: a source does not exist.
        ValueError: there is nothing to do: a folder contains no image.
    """
    sources = [sources] if isinstance(sources, (str, Path)) else sources
    if not any(map(str, sources)):
        raise ValueError("name the images to segment, files or folders (dataset_dir in inference.json)")
    skipped = Path(leave_out).resolve() if leave_out else None
    find = FINDERS[2 if spec is None else spec.spatial_dims]
    found = FoundImages(
        image for source in map(Path, sources) for image in find(source, skipped=skipped, series=series)
    )
    if len(sources) > 1:
        found = _without_repetitions(found)
    return _with_ids(found)


def _without_repetitions(found: FoundImages) -> FoundImages:
    """Each path once, where it came first, with the name below the source that came last."""
    sums = checksums(map(found.path, range(len(found))), len(found))
    again = repeated(sums)
    if not len(again):
        return found
    places = np.flatnonzero(np.isin(sums, again)).tolist()
    first = {int(sums[place]): place for place in reversed(places)}
    last = {int(sums[place]): place for place in places}
    kept = {place: last[key] for key, place in first.items()}
    dropped = {place for place in places if place not in kept}
    return FoundImages(found[kept.get(place, place)] for place in range(len(found)) if place not in dropped)


def _with_ids(found: FoundImages) -> CaseList:
    """The cases, each with an id: the shortest form in which no two are equal.

    ``a/b`` for ``a/b.jpg``; ``a/b_jpg`` if ``a/b.png`` exists too; with the parent folder if two sources have the same name;
    with a number if that is not enough, which is logged. Names that differ only in case, or in how an accent is stored (NFC,
    NFD), count as equal: on some disks they are the same file.
    """
    count = len(found)
    if len(repeated(checksums((f"{_folded(i.name.as_posix())}\0{i.ending.lower()}" for i in found), count))):
        common = os.path.commonpath({str(PurePath(found.path(number)).parent) for number in range(count)})
        found = FoundImages(
            image._replace(name=PurePath(image.path).parent.relative_to(common) / image.name.name) for image in found
        )
    sums = checksums((_folded(found.name(number)) for number in range(count)), count)
    other_ids = {}
    for number in np.flatnonzero(np.isin(sums, repeated(sums))).tolist():
        ending = found[number].ending[1:].replace(".", "_") or "dicom"
        other_ids[number] = f"{found.name(number)}_{ending}"
        sums[number] = checksum(_folded(other_ids[number]))
    _number(found, other_ids, sums)
    return CaseList(found, other_ids)


def _number(found: FoundImages, ids: dict[int, str], sums: Checksums) -> None:
    """Append numbers to ids that are still equal.

    Args:
        found: the images.
        ids: those that are not an image's name, by number; changed.
        sums: of all ids, folded.
    """
    equal = repeated(sums)
    unique = np.setdiff1d(sums, equal)
    taken: set[int] = set()
    for number in np.flatnonzero(np.isin(sums, equal)).tolist():
        name = ids.get(number, found.name(number))
        candidate, suffix = name, 1
        while (key := checksum(_folded(candidate))) in taken or _contains(unique, key):
            suffix += 1
            candidate = f"{name}_{suffix}"
        if suffix > 1:
            path = found.path(number)
            logger.warning("%s: another file has that name too, so its mask is called %s", path, candidate)
            ids[number] = candidate
        taken.add(key)


def _contains(ordered: Checksums, key: int) -> bool:
    place = int(np.searchsorted(ordered, np.uint64(key)))
    return place < len(ordered) and int(ordered[place]) == key


def _folded(name: str) -> str:
    """A name as compared by disks that ignore case and the difference between NFC and NFD."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def was_set_aside(answer: Mapping[str, Any]) -> bool:
    """Whether a step after the network failed for a case, see `CaseStream.guarded`."""
    return answer.get("pred", ...) is None


class CaseStream(IterableDataset[dict[str, Any]]):
    """Cases read ahead by threads, in order; one that cannot be read is recorded as failed, and the rest go on.

    Args:
        data: cases.
        transform: from a case to the network's input.
        workers: number of threads that decode while the network computes.
        progress: wraps the iteration to show its progress (``tqdm``), or None.
        shard: the shard of a run's cases that these are.

    Attributes:
        failures: the failed cases so far.
    """

    def __init__(
        self,
        data: Iterable[Mapping[str, Any]],
        transform: Callable[[Mapping[str, Any]], dict[str, Any]],
        *,
        workers: int = 2,
        progress: Callable[..., Iterable[Any]] | None = None,
        shard: Shard | None = None,
    ) -> None:
        self.data = data if isinstance(data, Sequence) else list(data)
        self.shard = shard or Shard()
        self.transform = transform
        self.workers = max(1, workers)
        self.progress = progress
        self.failures: list[Failure] = []
        self._recent: deque[Mapping[str, Any]] = deque(maxlen=RECENT)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield transformed cases in the order of ``data``, with at most ``2 * workers`` decoded ones in memory."""
        self.failures.clear()
        pending: deque[tuple[Mapping[str, Any], Future[dict[str, Any]]]] = deque()
        cases = iter(self.data)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="read-case") as pool:
            numbers = range(len(self.data))
            for _ in self.progress(numbers) if self.progress else numbers:
                for case in cases:
                    pending.append((case, pool.submit(self.transform, case)))
                    if len(pending) >= 2 * self.workers:
                        break
                case, future = pending.popleft()
                self._recent.append(case)
                try:
                    yield future.result()
                except UNUSABLE as error:
                    self.set_aside(case, error)
                except RuntimeError as error:  # MONAI's Compose wraps the errors of transforms
                    if not isinstance(error.__cause__, UNUSABLE):
                        raise
                    self.set_aside(case, error.__cause__)

    def guarded(self, transform: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
        """The transform after the network, for the evaluator: if it fails, the case is recorded as failed and ``pred`` becomes None."""

        def run(case: Any) -> dict[str, Any]:
            try:
                return transform(case)
            except UNUSABLE as error:
                self.set_aside_by_id(case["id"], error)
                return {**case, "pred": None}

        return run

    def set_aside_by_id(self, case_id: str, error: BaseException) -> None:
        """`set_aside` the case of that id, which may be loaded already."""
        everywhere = chain(reversed(self._recent), self.data)
        self.set_aside(next(case for case in everywhere if str(case["id"]) == str(case_id)), error)

    def set_aside(self, case: Mapping[str, Any], error: BaseException) -> None:
        """Record that ``case`` could not be used."""
        known = isinstance(error, UNUSABLE) and str(error).strip()
        reason = str(error).strip().splitlines()[0] if known else f"{type(error).__name__}: {error}".splitlines()[0]
        reason = reason.removeprefix(f"{case['image']}: ")
        self.failures.append(Failure(str(case["image"]), reason))
        logger.warning("%s%s: %s", LEFT_OUT, case["image"], reason)

    def finish(self, folder: str | Path) -> None:
        """Write ``failures.csv``, and end the program with a message if there were failures.

        A process that ``torchrun`` started only logs it, since an error of one ends all.

        Raises:
            SystemExit: some images could not be used; all others are done.
        """
        if self.shard.is_whole:
            self.write_failures(folder)
        if not self.failures:
            return
        text = failures_text(len(self.failures), len(self.data), Path(folder) / FAILURES_FILE)
        if not self.shard.launched:
            raise SystemExit(text)
        logger.error("%s: %s", self.shard, text)

    def write_failures(self, folder: str | Path) -> Path:
        """Write ``failures.csv``, or remove an old one if nothing failed; return its path. A shard has a hidden file."""
        path = failures_file(Path(folder), self.shard.name)
        write_failures(path, self.failures)
        return path


def failures_file(folder: Path, shard: str = "") -> Path:
    """The list of cases of an output folder that could not be used; of a shard a file that is joined with others'."""
    return folder / HIDDEN_FOLDER / f"failures-{shard}.csv" if shard else folder / FAILURES_FILE


def write_failures(path: Path, failures: Iterable[Failure]) -> None:
    """Write the list, or remove an old one if there are none."""
    rows = [(failure.path, failure.reason) for failure in failures]
    if rows:
        write_whole(path, csv_text([("path", "reason"), *rows]).encode())
    else:
        path.unlink(missing_ok=True)


def read_failures(path: Path) -> list[Failure]:
    """What such a list says; nothing if there is none."""
    return [Failure(row["path"], row["reason"]) for row in read_records(path)] if path.is_file() else []
