"""Signals that end a process as Ctrl-C does."""

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from conftest import Outcome

from medseg_monai.program.signals import StoppedBySignal, stop_like_ctrl_c, undisturbed

Medseg = Callable[..., Outcome]

WAIT = r"""
import os, signal, sys, time
from medseg_monai.program.signals import StoppedBySignal, stop_like_ctrl_c
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that run under nohup ignore it
stop_like_ctrl_c()
child = os.fork()
try:
    os.write(1, f"{child}\n".encode())
    time.sleep(600)
except KeyboardInterrupt as stopped:
    os.write(1, f"kept by {'parent' if child else 'child'} {stopped} {StoppedBySignal.received}\n".encode())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_as_ctrl_c_does_and_a_forked_worker_at_once(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", WAIT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    children = sorted(int(process.stdout.readline()) for _ in range(2))
    subprocess.run(["kill", f"-{int(number)}", str(children[1])], check=True)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=300)
    assert printed == f"kept by parent {number.name} {int(number)}\n"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of Unix")
def test_what_nohup_ignores_stays_ignored() -> None:
    code = (
        "import signal; from medseg_monai.program.signals import stop_like_ctrl_c; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
        "stop_like_ctrl_c(); print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


def test_signals_wait_until_what_belongs_together_is_written() -> None:
    steps: list[str] = []

    def write() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            steps.append("written")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert steps == ["written"]


def test_how_the_process_stops_can_be_taken_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        take_back = stop_like_ctrl_c()
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        take_back()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("where", ["_show_every_name", "app"])
def test_a_signal_at_any_moment_ends_in_one_line(where: str, medseg: Medseg, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> None:
        StoppedBySignal.received = signal.SIGTERM
        raise StoppedBySignal(signal.SIGTERM)

    monkeypatch.setattr(f"medseg_monai.cli.app.{where}", stopped)
    monkeypatch.setattr(StoppedBySignal, "received", None)
    outcome = medseg("list")
    assert (outcome.code, outcome.err) == (143, "medseg: stopped; what was finished is kept\n")
