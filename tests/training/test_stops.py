"""What asks a training to stop: signals are noted, the second one raises; a file and the time count until they are obeyed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY

from medseg_monai.program.signals import StoppedBySignal
from medseg_monai.training import stops
from medseg_monai.training.stops import BY_FILE, BY_SIGNAL, BY_TIME, NOTHING, StopRequests, agreed


@pytest.fixture
def requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StopRequests]:
    monkeypatch.setattr(stops, "SECONDS_BETWEEN_LOOKS", 0.0)
    requests = StopRequests(tmp_path)
    requests.listen()
    yield requests
    requests.end()


def test_a_signal_is_noted_and_the_second_raises(requests: StopRequests) -> None:
    assert requests.cause() == NOTHING
    os.kill(os.getpid(), signal.SIGTERM)
    assert requests.cause() == BY_SIGNAL + signal.SIGTERM
    assert requests.describe(requests.cause()) == "SIGTERM"
    with pytest.raises(StoppedBySignal):
        os.kill(os.getpid(), signal.SIGTERM)


def test_what_was_there_before_comes_back(tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    requests = StopRequests(tmp_path)
    requests.listen()
    assert all(signal.getsignal(number) is not handler for number, handler in before.items())
    requests.end()
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_handler_of_somebody_else_stays(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    theirs = signal.getsignal(signal.SIGTERM)
    requests = StopRequests(tmp_path)
    requests.listen()
    assert signal.getsignal(signal.SIGTERM) is theirs
    requests.end()
    signal.signal(signal.SIGTERM, before)


def test_the_file_and_the_time(requests: StopRequests, tmp_path: Path) -> None:
    (tmp_path / "STOP").touch()
    assert requests.cause() == BY_FILE
    requests.forget_file()
    assert requests.cause() == NOTHING
    requests.minutes = 0.001
    time.sleep(0.07)
    assert requests.cause() == BY_TIME
    assert requests.describe(BY_TIME) == "its limit of 0.001 minutes"


def test_the_folder_is_not_looked_at_in_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(stops.time, "monotonic", lambda: clock[0])
    requests = StopRequests(tmp_path)
    requests.listen()
    (tmp_path / "STOP").touch()
    clock[0] += 0.9
    assert requests.cause() == NOTHING
    clock[0] += 0.1
    assert requests.cause() == BY_FILE
    requests.end()


def test_a_process_alone_agrees_with_itself() -> None:
    assert agreed(BY_FILE, torch.device("cpu")) == BY_FILE


def test_nothing_is_no_cause_and_other_threads_have_no_signals(tmp_path: Path) -> None:
    requests, causes = StopRequests(tmp_path), list[int]()

    def listen() -> None:
        requests.listen()
        causes.append(requests.cause())
        requests.end()

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert causes == [0]


WITH_WORKERS = """
import os, signal, sys, time
import torch
from torch.utils.data import DataLoader
from medseg_monai.training.stops import leave_signals_to_trainer

if __name__ == "__main__":
    data = torch.arange(12)
    loader = DataLoader(data, 2, num_workers=2, persistent_workers=True, worker_init_fn=leave_signals_to_trainer)
    batches = iter(loader)
    seen = [next(batches), next(batches)]  # one from each: both have begun
    if sys.argv[1:]:
        workers = [worker.pid for worker in batches._workers]
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.system(f"kill -{int(number)} {workers[0]} {workers[1]}")
            time.sleep(0.1)
    print(sum(len(batch) for batch in [*seen, *(batches if sys.argv[1:] else ())]))
"""
"""A program that ends with workers that nobody has ended; with an argument others have signalled them before."""


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="the system does not say who has sent a signal")
@pytest.mark.parametrize(("arguments", "seen"), [((), "4"), (("signals",), "12")], ids=["end", "signals of others"])
def test_workers_end_with_their_trainer_and_by_nobody_else(
    tmp_path: Path, arguments: tuple[str, ...], seen: str
) -> None:
    script = tmp_path / "with_workers.py"
    script.write_text(WITH_WORKERS)
    ended = subprocess.run(
        [sys.executable, script, *arguments],
        cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, seen, "")
