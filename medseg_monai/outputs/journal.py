"""The record of an output folder, case by case: the picture, the weights and settings, and the rows in the tables.

A line is added when the files of a case are complete. A process may be killed at any moment: a case with a line is finished, and its rows
are not lost; a case without one is done again. A million cases cost a line each; rewriting a table for each would cost a million tables.

Processes that share the work have a file each, which the one that joins them takes in.
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
from medseg_monai.files.state import state_of
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
"""Number of outdated lines to keep before the file is rewritten."""

_CASE = b'{"case": '
_DECODER = json.JSONDecoder()

Settings = Mapping[str, Any]
"""Everything that affects a case's mask besides the picture, as values for JSON."""


@dataclass(frozen=True)
class Fingerprint:
    """The identity of a picture, whatever is under its name now.

    Args:
        path: path of the picture.
        stamp: its files' sizes, times and inode numbers: if none has changed, the contents need not be read.
        sha256: checksum of its files' contents.
    """

    path: str
    stamp: str
    sha256: str

    @classmethod
    def of(cls, image: str | Path, spec: DatasetSpec) -> Fingerprint:
        """The identity of a picture or volume as it is now; OSError if it does not exist."""
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
    """The files whose contents affect the network's input: all of a DICOM folder, and for a slice in a stack its neighbours' too."""
    path, _ = split_path(image)
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file())
    if spec.slice_stride and slice_file(path):
        return list(neighbour_files(path, count=spec.in_channels, stride=spec.slice_stride))
    return all_files(path)


def _stamp(files: Sequence[Path]) -> str:
    facts = [(str(file), *state_of(file)) for file in files]
    return hashlib.sha256(repr(facts).encode("utf-8", "backslashreplace")).hexdigest()[:24]


def made_with(
    trained: Trained,
    network: nn.Module,
    *,
    cleaning: Cleaning,
    network_options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Settings:
    """The settings of a run, from which a later run can tell whether a case would give the same result.

    Args:
        trained: what the weights are for.
        network: with its weights; for an ensemble those of all members.
        cleaning: thresholds and cleaning.
        network_options: arguments of the network for inference.
        settings: other settings that affect masks: engine, precision, test-time augmentation.
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
    """The first difference, in words; "" if there is none."""
    for key in dict.fromkeys([*now, *before]):
        if before.get(key) != now.get(key):
            shown = f" ({before.get(key)}, now {now.get(key)})" if key != "weights" else ""
            return f"they were made with {'another' if key != 'weights' else 'other'} {key}{shown}"
    return ""


@dataclass(frozen=True)
class Record:
    """A finished case.

    Attributes:
        settings: settings that it was made with.
        picture: picture that it was made from.
        files: its files, as paths below the folder.
        tables: its entry in each of the run's tables, by the table's name.
    """

    settings: Settings
    picture: Fingerprint | None
    files: tuple[str, ...] = ()
    tables: Mapping[str, Any] = field(default_factory=dict)


class Journal:
    """The finished cases of an output folder, extended only by the process that holds its lock.

    In memory a case is its line, a few hundred bytes, because there may be a million.

    Args:
        folder: the output folder.
        shard: name of the shard of the cases that this process does, if these are not all: its lines then go to a file of their own.
            All files are read.
    """

    def __init__(self, folder: Path, *, shard: str = "") -> None:
        whole = folder / HIDDEN_FOLDER / JOURNAL_FILE
        self.file = whole.with_name(_shard_file(shard)) if shard else whole
        self._cases: dict[str, bytes] = {}
        self._settings: dict[str, Settings] = {}
        self._noted: set[str] = set()  # the settings that this process's file has
        self._lines = 0
        self._stream: FileIO | None = None
        self._alone = threading.Lock()
        shards = sorted(whole.parent.glob(_shard_file("*")), key=lambda file: (file.stat().st_mtime_ns, file.name))
        self._shards = [file for file in shards if file != self.file]
        self._taken: dict[str, None] = {}  # cases that these are about
        for file in dict.fromkeys([whole, *shards, self.file]):  # the later one knows better
            if file.is_file():
                self._read(file)

    def _read(self, file: Path) -> None:
        with file.open("rb") as lines:
            for line in lines:
                try:
                    if line.startswith(_CASE):
                        case_id, _ = _DECODER.raw_decode(line.decode(), len(_CASE))
                        self._cases[case_id] = line
                        self._lines += file == self.file
                        if file in self._shards:
                            self._taken[case_id] = None
                    elif line.strip():
                        content = json.loads(line)
                        self._settings[content["key"]] = content["settings"]
                        if file == self.file:
                            self._noted.add(content["key"])
                except (ValueError, KeyError, TypeError):
                    continue  # truncated when the process was killed: the case is done again

    def take_in(self) -> list[str]:
        """Move what the files of all shards say to this one, and remove them; returns the cases that they are about.

        Only for the process that has locked all of the folder. A kill in between loses nothing.
        """
        taken, self._taken = self._taken, {}
        for case_id in taken:
            if record := self.get(case_id):
                self.add(case_id, record)
        for file in self._shards:
            file.unlink(missing_ok=True)
        self._shards = []
        return list(taken)

    def __len__(self) -> int:
        return len(self._cases)

    def __contains__(self, case_id: object) -> bool:
        return case_id in self._cases

    def get(self, case_id: str) -> Record | None:
        """The record of a case; None if there is none, or its line was truncated."""
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
        """Record that a case is finished.

        Raises:
            DiskFullError, OSError: the line cannot be written; no part of it stays.
        """
        with self._alone:
            text = self._text_of(case_id, record)
            self._write(text)
            self._cases[case_id] = text.splitlines()[-1]

    def _text_of(self, case_id: str, record: Record) -> bytes:
        key = hashlib.sha256(json.dumps(record.settings, sort_keys=True).encode()).hexdigest()[:16]
        self._settings[key] = record.settings
        lines: list[Mapping[str, Any]] = []
        if key not in self._noted:
            self._noted.add(key)
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
            if written < len(text):  # only a part was written
                written += stream.write(text[written:]) or 0
            if written < len(text):
                raise OSError(28, "No space left on device")
        except OSError as error:
            stream.truncate(end)
            self._noted.clear()  # they may have been in it
            refuse_full_disk(error, self.file)
            raise

    def _opened(self) -> FileIO:
        """The file, opened for appending; rewritten first if most of its lines are outdated."""
        if self._lines > 2 * len(self._cases) + SUPERSEDED:
            kept = list(self.items())
            self._noted.clear()
            write_whole(self.file, b"".join(self._text_of(case, record) for case, record in kept))
        self.file.parent.mkdir(parents=True, exist_ok=True)
        stream = self.file.open("ab", buffering=0)
        self._stream = stream
        if stream.tell():  # ends a partial last line of a killed process
            stream.write(b"\n")
        return stream

    def close(self) -> None:
        """Close the file until something is added again."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _shard_file(shard: str) -> str:
    """The file of a shard, or the pattern of all of them."""
    return f"predictions-{shard}.jsonl"
