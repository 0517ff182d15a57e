"""Commands as processes: what they say, how they end, turns, stopping."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from medseg_monai.app import jobs
from medseg_monai.app.jobs import KEPT_LINES, LONGEST_LINE, Job

PROGRAM = """
import os, signal, sys, time
match sys.argv[1:]:
    case ["say", *words]:
        print(*words)
    case ["bars"]:
        sys.stderr.write("10 %\\r20 %\\r\\x1b[31mred\\x1b[0m\\n")
    case ["fail"]:
        sys.exit("medseg: error: no such file\\n")
    case ["code", number]:
        sys.exit(int(number))
    case ["much"]:
        print("x" * 100_000)
        for number in range(1000): print(number)
    case ["sleep", file]:
        signal.signal(signal.SIGINT, lambda *_: (print("kept", flush=True), sys.exit(130)))
        open(file, "w").write(str(os.getpid()))
        time.sleep(1000)
    case ["deaf", file]:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(file, "w").write(str(os.getpid()))
        time.sleep(1000)
"""


@pytest.fixture(autouse=True)
def _program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for `python -m medseg_monai`."""
    (tmp_path / "medseg_monai.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def job(folder: Path, *commands: list[str], turn: threading.Lock | None = None, most_s: float = 300) -> Job:
    return Job(commands, turn=turn or threading.Lock(), most_s=most_s, folder=folder).start()


def wait_for(file: Path) -> int:
    """The process that has written its number there."""
    end = time.monotonic() + 300
    while not (file.is_file() and file.read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return int(file.read_text())


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_after_the_other(tmp_path: Path) -> None:
    one = job(tmp_path, ["say", "a b"], ["say", "c"])
    assert one.wait(300)
    assert (one.state, list(one.lines), one.ended) == ("done", ["a b", "c"], True)


def test_a_failure_ends_it_with_its_reason(tmp_path: Path) -> None:
    one = job(tmp_path, ["fail"], ["say", "never"])
    assert one.wait(300)
    assert (one.state, one.error, "never" in one.lines) == ("failed", "no such file", False)


def test_only_the_last_command_may_end_with_other_codes(tmp_path: Path) -> None:
    for commands, state in (([["code", "0"], ["code", "1"]], "done"), ([["code", "1"], ["code", "0"]], "failed")):
        one = Job(commands, turn=threading.Lock(), most_s=300, folder=tmp_path, passing=(0, 1)).start()
        assert one.wait(300)
        assert one.state == state


def test_what_is_kept_of_what_it_says_is_bounded(tmp_path: Path) -> None:
    one = job(tmp_path, ["bars"], ["much"])
    assert one.wait(300)
    assert len(one.lines) == KEPT_LINES
    assert max(map(len, one.lines)) <= LONGEST_LINE
    two = job(tmp_path, ["bars"])
    assert two.wait(300)
    assert list(two.lines) == ["10 %", "20 %", "red"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_stopping_is_a_request_first(tmp_path: Path) -> None:
    one = job(tmp_path, ["sleep", str(tmp_path / "pid")], ["say", "never"])
    process = wait_for(tmp_path / "pid")
    one.stop()
    assert one.wait(300)
    assert (one.state, list(one.lines), is_alive(process)) == ("stopped", ["kept"], False)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_who_does_not_listen_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PATIENCE_S", 0.2)
    one = job(tmp_path, ["deaf", str(tmp_path / "pid")])
    process = wait_for(tmp_path / "pid")
    one.stop()
    assert one.wait(300)
    assert (one.state, is_alive(process)) == ("stopped", False)


def test_it_has_a_time_limit(tmp_path: Path) -> None:
    one = job(tmp_path, ["sleep", str(tmp_path / "pid")], most_s=1.5)
    assert one.wait(300)
    assert one.state == "failed"
    assert "stopped after" in one.error


def test_jobs_of_one_turn_wait_and_can_be_stopped_while_they_do(tmp_path: Path) -> None:
    turn = threading.Lock()
    with turn:
        first = job(tmp_path, ["say", "a"], turn=turn)
        second = job(tmp_path, ["say", "b"], turn=turn)
        second.stop()
        assert second.wait(300)
        assert (first.state, second.state, list(second.lines)) == ("waiting", "stopped", [])
    assert first.wait(300)
    assert first.state == "done"


def test_a_program_that_cannot_be_started_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    one = job(tmp_path, ["say", "a"])
    assert one.wait(300)
    assert one.state == "failed"
    assert "nowhere" in one.error
