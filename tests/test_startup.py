"""Packages that look uninstalled for a moment; signals that end a process as Ctrl-C does."""

import importlib
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from conftest import Outcome

from medseg_monai.startup import StoppedBySignal, stop_like_ctrl_c, undisturbed, without_unused

Medseg = Callable[..., Outcome]

WAIT = r"""
import os, sys, time
from medseg_monai.startup import StoppedBySignal, stop_like_ctrl_c
stop_like_ctrl_c()
child = os.fork()
try:
    os.write(1, f"{child}\n".encode())
    time.sleep(60)
except KeyboardInterrupt as stopped:
    os.write(1, f"kept by {'parent' if child else 'child'} {stopped} {StoppedBySignal.received}\n".encode())
"""


def test_hidden_packages_cannot_be_imported_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with without_unused(("colorsys",)), pytest.raises(ImportError):
        importlib.import_module("colorsys")
    assert importlib.import_module("colorsys").rgb_to_hsv(1, 1, 1) == (0, 0, 1)


def test_what_is_imported_already_stays() -> None:
    with without_unused(("json", "pytest")):
        assert importlib.import_module("pytest") is pytest


def test_an_error_inside_leaves_nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with pytest.raises(RuntimeError), without_unused(("colorsys",)):
        raise RuntimeError
    assert importlib.import_module("colorsys")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_as_ctrl_c_does_and_a_forked_worker_at_once(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", WAIT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    children = sorted(int(process.stdout.readline()) for _ in range(2))
    subprocess.run(["kill", f"-{int(number)}", str(children[1])], check=True)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=30)
    assert printed == f"kept by parent {number.name} {int(number)}\n"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of Unix")
def test_what_nohup_ignores_stays_ignored() -> None:
    code = (
        "import signal; from medseg_monai.startup import stop_like_ctrl_c; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
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


HEAVY = ("torch", "monai", "ignite", "matplotlib", "scipy.ndimage", "scipy.stats", "tensorboard")
"""What takes seconds to import together."""
LIST_MODULES = f"""
import sys
from medseg_monai.cli import main
sys.argv[0] = "medseg"
try:
    main()
finally:
    print("imported:", *(name for name in {HEAVY} if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("--help", 0),
        ("-h", 0),
        ("--version", 0),
        ("list", 0),
        ("doctor", 0),
        ("predict -h", 0),
        ("predict unet", 2),
        ("nosuch", 2),
        ("predict nosuch x --out out", 1),
        ("predict unet nowhere --out out", 1),
        ("explain unet nowhere --out out", 1),
        ("train unet -d nowhere", 1),
        ("train unet --set lr", 1),
        ("evaluate unet -w nowhere", 1),
        ("tune unet -w nowhere", 1),
        ("review unet -d nowhere", 1),
        ("compare nowhere --out out", 1),
        ("export unet -w nowhere --out out.onnx", 1),
        ("package unet -w nowhere --out out.zip", 1),
        ("prepare folder nowhere --out out", 1),
        ("prepare nifti nowhere --out out", 1),
        ("prepare msd nowhere --out out", 1),
        ("prepare uwmadison nowhere --out out", 1),
    ],
)
def test_a_quick_answer_imports_nothing_heavy(arguments: str, code: int) -> None:
    command = [sys.executable, "-c", LIST_MODULES, *arguments.split()]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == code
    assert "imported:\n" in ended.stdout
    if code == 1:
        assert ended.stderr.startswith("medseg: error: ")
        assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("where", ["_show_every_name", "app"])
def test_a_signal_at_any_moment_ends_in_one_line(where: str, medseg: Medseg, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> None:
        StoppedBySignal.received = signal.SIGTERM
        raise StoppedBySignal(signal.SIGTERM)

    monkeypatch.setattr(f"medseg_monai.cli.{where}", stopped)
    monkeypatch.setattr(StoppedBySignal, "received", None)
    outcome = medseg("list")
    assert (outcome.code, outcome.err) == (143, "medseg: stopped; what was finished is kept\n")
