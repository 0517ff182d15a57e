"""Several processes write into one folder: what they leave is what one process leaves, whatever the order and whoever is killed."""

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.writing import FolderInUseError, lock_folder, lock_shard
from medseg_monai.inference.cases import CaseStream
from medseg_monai.inference.shards import Shard
from medseg_monai.outputs.joining import join_shards, recorded_cases
from medseg_monai.outputs.predictions import WritePredictions

SPEC = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(8, 8))
SETTINGS = {"threshold": 0.5}
FORMATS = ("png", "rle", "coco")


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Seven pictures; the name of one is not UTF-8, and must not be in a log that pytest's processes send each other."""
    monkeypatch.setattr(logging.getLogger("medseg_monai.inference.cases"), "disabled", True)
    (tmp_path / "in").mkdir()
    names = ["a", "b", "c", "d", "e", "f", os.fsdecode(b"caf\xe9")]
    for number, name in enumerate(names):
        Image.fromarray(np.full((6, 5), number, np.uint8)).save(tmp_path / "in" / f"{name}.png")
    return [{"id": name, "image": str(tmp_path / "in" / f"{name}.png")} for name in names]


class Process:
    """One that has its share of the cases to do."""

    def __init__(
        self, cases: Sequence[dict[str, str]], out: Path, shard: Shard, settings: dict[str, float] | None = None
    ):
        self.cases = cases
        self.writer = WritePredictions(out, spec=SPEC, formats=FORMATS, made_with=settings or SETTINGS, shard=shard)
        left = self.writer.unfinished(shard.select(cases), overwrite=False)
        self.stream = CaseStream(left, dict, shard=shard)

    def work(self, *, broken: Sequence[str] = (), level: int = 1, stop_after: int = 99) -> list[str]:
        """Write what is to be done; the ids."""
        for case in self.stream.data[:stop_after]:
            if case["id"] in broken:
                self.stream.set_aside(case, ValueError("broken"))
                continue
            mask = torch.zeros(1, 5, 6, dtype=torch.uint8)
            mask[0, : 1 + len(case["id"])] = level
            self.writer.write({"id": case["id"], "image_meta_dict": {"filename_or_obj": case["image"]}}, {"pred": mask})
        return [case["id"] for case in self.stream.data[:stop_after]]

    def end(self) -> bool:
        self.writer.finish()
        join_shards(self.writer, self.stream, self.cases)
        return self.writer.is_complete

    def die(self) -> None:
        """The operating system releases the locks; nothing else happens."""
        self.writer.finished.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def alone(cases: Sequence[dict[str, str]], out: Path, broken: Sequence[str] = ()) -> dict[str, bytes]:
    process = Process(cases, out, Shard())
    process.work(broken=broken)
    assert process.end()
    return contents(out)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_the_last_one_leaves_what_one_process_leaves(
    cases: list[dict[str, str]], tmp_path: Path, order: tuple[int, ...]
) -> None:
    broken = ("b", cases[-1]["id"])
    expected = alone(cases, tmp_path / "alone", broken)
    assert {"predictions.csv", "masks_rle.csv", "masks.coco.json", "failures.csv", "a_mask.png"} <= expected.keys()
    out = tmp_path / "out"
    processes = [Process(cases, out, Shard(number, 3)) for number in (1, 2, 3)]
    for process in processes:
        process.work(broken=broken)
    ended = [processes[number].end() for number in order]
    assert ended == [False, False, True]
    assert contents(out) == expected
    again = Process(cases, out, Shard())
    assert [case["id"] for case in again.stream.data] == list(broken)  # the others are known to be done
    again.die()


def test_one_after_the_other_each_leaves_what_there_is(cases: list[dict[str, str]], tmp_path: Path) -> None:
    expected = alone(cases, tmp_path / "alone", ("b",))
    for number in (1, 2):
        process = Process(cases, tmp_path / "out", Shard(number, 2))
        process.work(broken=("b",))
        assert process.end() is (number == 2)
        assert (tmp_path / "out" / "predictions.csv").read_text().count("lesion") == (4, 6)[number - 1]
    assert contents(tmp_path / "out") == expected


def test_a_killed_one_is_continued_by_its_own_command_or_by_a_run_of_all(
    cases: list[dict[str, str]], tmp_path: Path
) -> None:
    expected = alone(cases, tmp_path / "alone")
    for name, again in (("own", Shard(1, 2)), ("all", Shard())):
        killed, other = Process(cases, tmp_path / name, Shard(1, 2)), Process(cases, tmp_path / name, Shard(2, 2))
        assert killed.work(stop_after=2) == ["a", "c"]
        killed.die()
        other.work()
        assert not other.end()
        following = Process(cases, tmp_path / name, again)
        assert following.work() == ["e", cases[-1]["id"]]
        assert following.end()
        assert contents(tmp_path / name) == expected


def test_another_number_of_shares_knows_what_was_done(cases: list[dict[str, str]], tmp_path: Path) -> None:
    first = Process(cases, tmp_path, Shard(1, 2))
    first.work()
    first.die()
    following = [Process(cases, tmp_path, Shard(number, 3)) for number in (1, 2, 3)]
    assert [process.work() for process in following] == [["d"], ["b"], ["f"]]
    assert [process.end() for process in following] == [False, False, True]


def test_what_a_share_makes_again_replaces_the_old_rows(cases: list[dict[str, str]], tmp_path: Path) -> None:
    alone(cases[:2], tmp_path / "out")
    changed = {"threshold": 0.6}
    process = Process(cases[:2], tmp_path / "out", Shard(1, 2), changed)
    process.writer.wanted = type(process.writer.wanted)(("png",))
    assert process.work(level=0) == ["a"]
    process.end()
    rows = (tmp_path / "out" / "predictions.csv").read_text().splitlines()[1:]
    assert [row.split(",")[:3] for row in rows] == [["a", "lesion", "0"], ["b", "lesion", "12"]]


def test_the_cases_of_a_share_are_known_before_the_tables_are(cases: list[dict[str, str]], tmp_path: Path) -> None:
    waiting, other = Process(cases, tmp_path, Shard(1, 2)), Process(cases, tmp_path, Shard(2, 2))
    waiting.work()
    assert not waiting.end()
    assert not (tmp_path / "predictions.csv").exists()
    found = {case.case: case.pixels["lesion"] for case in recorded_cases(tmp_path, "1-of-2")}
    assert found == {"a": 12, "c": 12, "e": 12, cases[-1]["id"]: 30}
    other.die()


def test_a_failure_that_a_later_run_mends_is_no_failure(cases: list[dict[str, str]], tmp_path: Path) -> None:
    for number in (1, 2):
        process = Process(cases, tmp_path, Shard(number, 2))
        process.work(broken=("a", "b"))
        process.end()
    assert (tmp_path / "failures.csv").read_text().count("broken") == 2
    process = Process(cases, tmp_path, Shard(1, 2))
    assert process.work() == ["a"]
    assert process.end()
    assert [line.split(",")[0] for line in (tmp_path / "failures.csv").read_text().splitlines()[1:]] == [
        cases[1]["image"]
    ]


def elsewhere(code: str, folder: Path) -> str:
    """What another process says."""
    ended = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True, timeout=300
    )
    return ended.stdout.strip()


TRY = """
import sys
from pathlib import Path
from medseg_monai.files import writing
writing.SECONDS_FOR_OTHERS = 0.2
for lock in (lambda: writing.lock_folder(Path(sys.argv[1])), lambda: writing.lock_shard(Path(sys.argv[1]), "1-of-2"),
             lambda: writing.lock_shard(Path(sys.argv[1]), "2-of-2")):
    try:
        lock().release()
        print("free", end=" ")
    except writing.FolderInUseError as error:
        print("(1-of-2)" if "(1-of-2)" in str(error) else "taken", end=" ")
"""


def test_a_share_locks_itself_and_keeps_all_of_the_folder_from_others(tmp_path: Path) -> None:
    assert elsewhere(TRY, tmp_path) == "free free free"
    share = lock_shard(tmp_path, "1-of-2")
    assert elsewhere(TRY, tmp_path) == "(1-of-2) (1-of-2) free"
    share.release()
    whole = lock_folder(tmp_path)
    assert elsewhere(TRY, tmp_path) == "taken taken taken"
    whole.release()
    assert elsewhere(TRY, tmp_path) == "free free free"
    assert issubclass(FolderInUseError, OSError)
