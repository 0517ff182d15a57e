"""Scans to segment: found in files and folders, read ahead, broken ones put aside."""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import IterableDataset

from medseg_monai.csv_files import csv_text
from medseg_monai.files import write_whole
from medseg_monai.images.photos import SUFFIXES
from medseg_monai.inference.volume_scans import Found, find_volumes, volumes_in
from medseg_monai.spec import DatasetSpec

logger = logging.getLogger(__name__)


FAILURES_FILE = "failures.csv"
# What a broken or unusable scan raises while it is read; anything else is a defect of ours and is not hidden.
UNUSABLE = (OSError, ValueError, SyntaxError)


@dataclass(frozen=True)
class Failure:
    """A scan that could not be used, and why."""

    path: str
    reason: str


def find_scans(
    sources: str | Path | Sequence[str | Path],
    *,
    leave_out: str | Path | None = None,
    spec: DatasetSpec | None = None,
    series: str = "one",
) -> list[dict[str, Any]]:
    """The scans named by files and folders (searched recursively), as cases.

    Args:
        sources: files or folders. A named file is taken whatever its suffix; in a folder only image files are.
        leave_out: a folder inside the sources not to look into, the output's.
        spec: what the network was trained on: of 3D, volumes are looked for, else (or if None) pictures.
        series: which series of a DICOM folder that holds several: ``one`` (none: such a folder is a failure that lists them),
            ``all``, ``largest``, or a SeriesInstanceUID.

    Returns:
        Cases with ``image`` (absolute path) and ``id`` (path below the source, without suffix; with it where two would be equal).

    Raises:
        FileNotFoundError: a source does not exist.
        ValueError: nothing to do: a folder holds no image.
    """
    sources = [sources] if isinstance(sources, (str, Path)) else list(sources)
    if not any(map(str, sources)):
        raise ValueError("name the images to segment, files or folders (dataset_dir in inference.json)")
    skipped = Path(leave_out).resolve() if leave_out else None
    found: dict[str, Found] = {}
    for source in map(Path, sources):
        if spec is not None and spec.spatial_dims == 3:
            here = find_volumes(source, skipped=skipped, series=series)
        else:
            here = _find_pictures(source, skipped)
        found.update((scan.path, scan) for scan in here)
    ids = _case_ids(list(found.values()))
    return [{"image": path, "id": case_id} for path, case_id in zip(found, ids, strict=True)]


def _find_pictures(source: Path, skipped: Path | None) -> list[Found]:
    """A picture file, or those in a folder and its folders."""
    if not source.exists():
        raise FileNotFoundError(f"no such file or folder: {source}")
    images = _images_below(source, skipped) if source.is_dir() else [source]
    if not images:
        volumes = volumes_in(source)
        other = f"; the {volumes} volumes there are for a 3D network" if volumes else ""
        raise ValueError(
            f"no images in {source} (looked for {', '.join(sorted(SUFFIXES))}, also in its folders){other}"
        )
    names = [path.relative_to(source) if source.is_dir() else Path(path.name) for path in images]
    return [
        Found(str(path.absolute()), name.with_suffix(""), name.suffix) for path, name in zip(images, names, strict=True)
    ]


def _case_ids(found: Sequence[Found]) -> list[str]:
    """An id for each scan: the shortest form in which no two are equal.

    ``a/b`` for ``a/b.jpg``; ``a/b_jpg`` where ``a/b.png`` is there too; with the folder above where two sources hold the same name.

    Raises:
        ValueError: two files would still write the same mask.
    """
    names = [scan.name for scan in found]
    if len({(scan.name, scan.ending) for scan in found}) < len(found):
        parents = [Path(scan.path).parent for scan in found]
        common = os.path.commonpath(parents)
        names = [parent.relative_to(common) / scan.name.name for parent, scan in zip(parents, found, strict=True)]
    stems = Counter(name.as_posix() for name in names)
    ids = []
    for name, scan in zip(names, found, strict=True):
        stem = name.as_posix()
        ids.append(stem if stems[stem] == 1 else f"{stem}_{scan.ending[1:].replace('.', '_') or 'dicom'}")
    if twice := [case_id for case_id, count in Counter(ids).items() if count > 1]:
        raise ValueError(f"several images would write the mask {twice[0]}: rename one, or segment them apart")
    return ids


def _images_below(folder: Path, skipped: Path | None) -> list[Path]:
    """Image files in a folder and its folders, sorted; hidden ones and those below ``skipped`` are not looked at."""
    if skipped is not None and skipped == folder.resolve():
        raise ValueError(f"{folder} is both input and output: name another output folder")
    files = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    visible = (path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return sorted(path for path in visible if skipped is None or skipped not in path.resolve().parents)


class Scans(IterableDataset[dict[str, Any]]):
    """Cases read ahead by threads, in order; one that cannot be read is put aside and the rest go on.

    Args:
        data: cases.
        transform: from a case to what the network takes.
        workers: threads that decode while the network computes.
        progress: wraps the iteration to show how far it is (``tqdm``), or None.

    Attributes:
        failures: the cases put aside so far.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[[Mapping[str, Any]], dict[str, Any]],
        *,
        workers: int = 2,
        progress: Callable[..., Iterable[Any]] | None = None,
    ) -> None:
        self.data = list(data)
        self.transform = transform
        self.workers = max(1, workers)
        self.progress = progress
        self.failures: list[Failure] = []

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield transformed cases in the order of ``data``, holding at most ``2 * workers`` decoded ones."""
        self.failures.clear()
        pending: deque[tuple[Mapping[str, Any], Future[dict[str, Any]]]] = deque()
        cases = iter(self.data)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="read-scan") as pool:
            for _ in self.progress(self.data) if self.progress else self.data:
                for case in cases:
                    pending.append((case, pool.submit(self.transform, case)))
                    if len(pending) >= 2 * self.workers:
                        break
                case, future = pending.popleft()
                try:
                    yield future.result()
                except UNUSABLE as error:
                    self.set_aside(case, error)
                except RuntimeError as error:  # MONAI's Compose wraps what a transform raises
                    if not isinstance(error.__cause__, UNUSABLE):
                        raise
                    self.set_aside(case, error.__cause__)

    def set_aside(self, case: Mapping[str, Any], error: BaseException) -> None:
        """Note that ``case`` could not be used."""
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        reason = reason.removeprefix(f"{case['image']}: ")
        self.failures.append(Failure(str(case["image"]), reason))
        logger.warning("left out: %s: %s", case["image"], reason)

    def finish(self, folder: str | Path) -> None:
        """Write ``failures.csv`` (or remove an old one) and end the program with a message when there were failures.

        Raises:
            SystemExit: some scans could not be used; all others are done.
        """
        path = self.write_failures(folder)
        if self.failures:
            raise SystemExit(
                f"{len(self.failures)} of {len(self.data)} scans could not be used, see {path}; all others are done"
            )

    def write_failures(self, folder: str | Path) -> Path:
        """Write ``failures.csv``, or remove an old one where nothing failed; return its path."""
        path = Path(folder) / FAILURES_FILE
        if not self.failures:
            path.unlink(missing_ok=True)
            return path
        rows = ((failure.path, failure.reason) for failure in self.failures)
        write_whole(path, csv_text([("path", "reason"), *rows]).encode())
        return path
