"""What an output folder holds, case by case: of which picture, with which weights and settings, and its rows in the tables.

A line is added when the files of a case are whole. A process may be killed at any moment: what has a line is finished, and its rows are
not lost; what has none is done again. A million cases cost a line each, where rewriting a table for each would cost a million tables.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.cases import absolute_path
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.writing import (
    HIDDEN_FOLDER,
    refuse_full_disk,
    sha256_of,
    write_whole,
)
from medseg_monai.images.dicom_files import split_path
from medseg_monai.images.paired import all_files
from medseg_monai.images.slices import neighbour_files, slice_file
from medseg_monai.transforms.cleaning import Cleaning

JOURNAL_FILE = "predictions.jsonl"
LEARNT = ("review", "familiarity", "quality")
"""What `medseg review` has learnt of the weights."""
SUPERSEDED = 1000
"""So many lines that later ones replaced are kept before the file is written anew."""

_CASE = b'{"case": '
_DECODER = json.JSONDecoder()

Settings = Mapping[str, Any]
"""All that decides a case's mask besides the picture, as JSON holds it."""


@dataclass(frozen=True)
class Fingerprint:
    """Which picture it was, whatever lies under its name now.

    Args:
        path: of the picture.
        stamp: of its files' sizes, times and numbers: if none has changed, the contents need not be read.
        sha256: of its files' contents.
    """

    path: str
    stamp: str
    sha256: str

    @classmethod
    def of(cls, image: str | Path, spec: DatasetSpec) -> Fingerprint:
        """Of a picture or volume as it lies there now; OSError if it does not."""
        files = picture_files(image, spec)
        return cls(str(absolute_path(image)), _stamp(files), sha256_of(files))

    def is_of(self, image: str | Path, spec: DatasetSpec) -> bool:
        """Whether this is still the picture: the same file, unchanged, or one with the same content."""
        try:
            files = picture_files(image, spec)
            unchanged = str(absolute_path(image)) == self.path and _stamp(files) == self.stamp
            return unchanged or sha256_of(files) == self.sha256
        except OSError:
            return False


def picture_files(image: str | Path, spec: DatasetSpec) -> list[Path]:
    """The files whose contents decide what a network sees: of a DICOM folder all, of a slice in a stack its neighbours' too."""
    path, _ = split_path(image)
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file())
    if spec.slice_stride and slice_file(path):
        return list(neighbour_files(path, count=spec.in_channels, stride=spec.slice_stride))
    return all_files(path)


def _stamp(files: Sequence[Path]) -> str:
    states = [(str(file), file.stat()) for file in files]
    facts = [(name, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for name, s in states]
    return hashlib.sha256(repr(facts).encode("utf-8", "backslashreplace")).hexdigest()[:24]


def made_with(
    trained: Trained,
    network: nn.Module,
    *,
    cleaning: Cleaning,
    network_options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Settings:
    """The settings of a run, by which a later one tells whether a case would come out the same.

    Args:
        trained: what the weights are for.
        network: with its weights; of an ensemble all of them.
        cleaning: thresholds and what is removed.
        network_options: arguments of the network for inference.
        settings: more that decides masks: engine, precision, test-time augmentation.
    """
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        if isinstance(tensor, Tensor):
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    spec = trained.dataset.to_dict()
    found = {
        "weights": digest.hexdigest(),
        "network": {**trained.architecture, **(network_options or {})},
        "cleaning": cleaning.to_dict(),
        **{key: spec.get(key) for key in ("task", "classes", "channels", "size", "spacing_mm", "aspect", "intensity")},
        **settings,
    }
    learnt = {key: part.to_dict() for key in LEARNT if (part := getattr(trained, key)) is not None}
    if learnt:  # it decides what stands in the tables, and the probabilities
        found["review"] = hashlib.sha256(json.dumps(learnt, sort_keys=True).encode()).hexdigest()[:12]
    decoded: Settings = json.loads(json.dumps(found, sort_keys=True, default=str))
    return decoded


def difference(before: Settings, now: Settings) -> str:
    """What differs first, in words; "" if nothing does."""
    for key in dict.fromkeys([*now, *before]):
        if before.get(key) != now.get(key):
            shown = f" ({before.get(key)}, now {now.get(key)})" if key != "weights" else ""
            return f"they were made with {'another' if key != 'weights' else 'other'} {key}{shown}"
    return ""


@dataclass(frozen=True)
class Record:
    """A finished case.

    Attributes:
        settings: what it was made with.
        picture: of which picture.
        files: its own, as paths below the folder.
        tables: its entry in each of the run's tables, by the table's name.
    """

    settings: Settings
    picture: Fingerprint | None
    files: tuple[str, ...] = ()
    tables: Mapping[str, Any] = field(default_factory=dict)


class Journal:
    """The finished cases of an output folder, read, and added to by the one process that holds its lock.

    In memory a case is its line, a few hundred bytes: there may be a million.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / HIDDEN_FOLDER / JOURNAL_FILE
        self._cases: dict[str, bytes] = {}
        self._settings: dict[str, Settings] = {}
        self._lines = 0
        self._stream: FileIO | None = None
        self._alone = threading.Lock()
        if self.file.is_file():
            self._read()

    def _read(self) -> None:
        with self.file.open("rb") as lines:
            for line in lines:
                try:
                    if line.startswith(_CASE):
                        case_id, _ = _DECODER.raw_decode(line.decode(), len(_CASE))
                        self._cases[case_id] = line
                        self._lines += 1
                    elif line.strip():
                        content = json.loads(line)
                        self._settings[content["key"]] = content["settings"]
                except (ValueError, KeyError, TypeError):
                    continue  # truncated when the process was killed: the case is done again

    def get(self, case_id: str) -> Record | None:
        """What is known of a case; None if nothing is, or its line was truncated."""
        try:
            content = json.loads(self._cases[case_id])
            picture = Fingerprint(**content["picture"]) if content["picture"] else None
            settings = self._settings[content["settings"]]
            return Record(settings, picture, tuple(content["files"]), dict(content["tables"]))
        except (ValueError, KeyError, TypeError):
            return None

    def items(self) -> Iterator[tuple[str, Record]]:
        """Every finished case."""
        for case_id in self._cases:
            if record := self.get(case_id):
                yield case_id, record

    def add(self, case_id: str, record: Record) -> None:
        """Note that a case is finished.

        Raises:
            DiskFullError, OSError: the line cannot be written; nothing of it stays.
        """
        with self._alone:
            text = self._text_of(case_id, record)
            self._write(text)
            self._cases[case_id] = text.splitlines()[-1]

    def _text_of(self, case_id: str, record: Record) -> bytes:
        key = hashlib.sha256(json.dumps(record.settings, sort_keys=True).encode()).hexdigest()[:16]
        lines: list[Mapping[str, Any]] = []
        if key not in self._settings:
            self._settings[key] = record.settings
            lines.append({"key": key, "settings": record.settings})
        picture = None if record.picture is None else asdict(record.picture)
        content = {"case": case_id, "settings": key, "picture": picture}
        lines.append({**content, "files": record.files, "tables": record.tables})
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    def _write(self, text: bytes) -> None:
        stream = self._stream or self._opened()
        end = stream.tell()
        try:
            written = stream.write(text) or 0
            if written < len(text):  # the disk took a part
                written += stream.write(text[written:]) or 0
            if written < len(text):
                raise OSError(28, "No space left on device")
        except OSError as error:
            stream.truncate(end)
            self._settings.clear()  # they may have been in it
            refuse_full_disk(error, self.file)
            raise

    def _opened(self) -> FileIO:
        """The file, to be added to; written anew first if most of its lines were replaced."""
        if self._lines > 2 * len(self._cases) + SUPERSEDED:
            kept = list(self.items())
            self._settings.clear()
            write_whole(self.file, b"".join(self._text_of(case, record) for case, record in kept))
        self.file.parent.mkdir(parents=True, exist_ok=True)
        stream = self.file.open("ab", buffering=0)
        self._stream = stream
        if stream.tell():  # whatever a killed process left of its last line ends here
            stream.write(b"\n")
        return stream

    def close(self) -> None:
        """Until something is added again."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
