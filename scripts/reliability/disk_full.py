"""Let the disk be full at every single write of `medseg predict`, `evaluate` and `explain`, and run each again with room.

    python scripts/reliability/disk_full.py

The n-th write of a run and all that follow fail with ENOSPC, for every n there is. Each such run must end with exit code 1 and one line
that names a file and says what to do, leave no file half written and no temporary one; the run after it must give what an undisturbed one
gives. Exit 1 if anything is not so.
"""

from __future__ import annotations

import argparse
import errno
import itertools
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kill_predict import contents, tiny_weights
from kill_training import ended, start

from medseg_monai.outputs.journal import Journal
from medseg_monai.prepare.demo import prepare_demo

Arguments = tuple[str, ...]


class FullDisk:
    """Writes of this process, of which the first `room` succeed."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._writes = itertools.count()
        write_bytes, opened = Path.write_bytes, Journal._opened

        def write(path: Path, content: bytes) -> int:
            if next(self._writes) >= self.room:
                write_bytes(path, content[: len(content) // 2])  # as a disk does: what fits is there
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write_bytes(path, content)

        Path.write_bytes = write  # type: ignore[method-assign,assignment]
        Journal._opened = lambda journal: Noted(opened(journal), self)  # type: ignore[method-assign,assignment,return-value]

    def take(self) -> bool:
        """Whether one more write succeeds."""
        return next(self._writes) < self.room


class Noted:
    """The journal's file, on a full disk."""

    def __init__(self, stream: Any, disk: FullDisk) -> None:
        self._stream, self._disk = stream, disk

    def write(self, text: bytes) -> int:
        """All of it, or a part on a full disk."""
        if self._disk.take():
            return int(self._stream.write(text))
        self._stream.write(text[: len(text) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def commands(scratch: Path) -> Iterator[tuple[Arguments, tuple[str, ...]]]:
    """Each command without its output folder, and the endings of the files that must come out the same."""
    images, weights = str(scratch / "few"), ("--weights", str(scratch / "weights"), "--device", "cpu")
    extras = ("--format", "png,rle,coco,geojson", "--probabilities", "--overlays", "--uncertainty")
    yield ("predict", "unetpp", images, *weights, *extras), ("",)
    yield (
        ("evaluate", "unetpp", "--dataset-dir", str(scratch / "data"), *weights, "--report"),
        ("cases.csv", ".png", ".jpg"),
    )
    yield ("explain", "unetpp", images, *weights), (".csv", ".png")


def run(log: Path, arguments: Arguments, room: int | None = None) -> int:
    """The command in a forked process with room for so many writes; its exit code."""
    if room is None:
        return ended(start(log, *arguments))
    write_bytes, opened = Path.write_bytes, Journal._opened
    FullDisk(room)
    try:
        return ended(start(log, *arguments))
    finally:
        Path.write_bytes, Journal._opened = write_bytes, opened  # type: ignore[method-assign]


def trial(arguments: Arguments, room: int, log: Path, out: Path, expected: dict[str, bytes]) -> str:
    """A run with room for so many writes, and one with room for all: "" if there was room, else what came of it."""
    code = run(log, (*arguments, "--out", str(out)), room)
    said = log.read_text()
    if code == 0:
        return ""
    lines = [line for line in said.splitlines() if line.startswith("medseg: error:")]
    if code != 1 or "Traceback" in said or len(lines) != 1 or "could not be written: No space left" not in lines[0]:
        return f"WRONG: {arguments[0]}, room for {room}: ended with {code}: {said}"
    if left := [str(path) for path in out.rglob(".medseg-*")]:
        return f"WRONG: {arguments[0]}, room for {room}: left {left}"
    torn = [
        name
        for name, content in contents(out).items()
        if name in expected and name.endswith((".png", ".geojson", ".jpg")) and content != expected[name]
    ]
    code = run(log, (*arguments, "--out", str(out)))
    there = contents(out)
    different = [name for name in expected if there.get(name) != expected[name]]
    if torn or code or different:
        return f"WRONG: {arguments[0]}, room for {room}: torn {torn}, then {code}, other {different}: {log.read_text()}"
    return f"{arguments[0]}: one line, nothing torn, then complete and the same"


def main() -> int:
    """Run the trials and print a table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        os.environ["MEDSEG_CACHE"] = f"{folder}/cache"
        prepare_demo(scratch / "data", n=12, size=(96, 80))
        (scratch / "few").mkdir()
        for image in sorted((scratch / "data" / "images").iterdir())[:3]:
            (scratch / "few" / image.name).symlink_to(image)
        tiny_weights(scratch / "weights")
        for arguments, compared in commands(scratch):
            for name in ("first", "undisturbed"):  # the first one also fills the cache
                whole = scratch / arguments[0] / name
                if code := run(scratch / "log.txt", (*arguments, "--out", str(whole))):
                    print(f"medseg {arguments[0]} ended with {code}: {(scratch / 'log.txt').read_text()}")
                    return 1
            expected = {name: content for name, content in contents(whole).items() if name.endswith(compared)}
            for room in itertools.count():
                out = scratch / arguments[0] / str(room)
                if not (outcome := trial(arguments, room, scratch / "log.txt", out, expected)):
                    break
                outcomes[outcome] += 1
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:4}  {outcome}")
    return int(any(outcome.startswith("WRONG") for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
