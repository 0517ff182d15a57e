"""``torchrun`` as several machines run it: launchers that meet at an address, and what it is when one of them dies."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from conftest import REPOSITORY


def meeting(machines: int = 2) -> list[tuple[str, ...]]:
    """The launchers of so many machines with one process each, which meet at a free port of the first one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = (f"--nnodes={machines}", "--rdzv_backend=c10d", f"--rdzv_endpoint=127.0.0.1:{port}", "--rdzv_id=1")
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node=1", *address)
    return [(*launcher, f"--rdzv_conf=is_host={number == 0}") for number in range(machines)]


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """Python with these arguments, in the repository."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=REPOSITORY, env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str], *, seconds: float = 600) -> tuple[int, str, str]:
    """Exit code, output and messages, once it has ended."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def wait_for(condition: Callable[[], bool], *running: subprocess.Popen[str]) -> None:
    """Wait until a condition is met, as long as these processes run."""
    while not condition():
        assert all(process.poll() is None for process in running)
        time.sleep(0.01)


def rank(launcher: subprocess.Popen[str]) -> int:
    """The rank of the process that a launcher has started."""
    for process in _with_children(launcher.pid)[1:]:
        settings = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        if found := [int(text[5:]) for text in settings if text.startswith(b"RANK=")]:
            return found[0]
    raise ValueError("it has started none yet")


def switch_off(launcher: subprocess.Popen[str]) -> None:
    """What a machine without power does: the launcher and all that it started are gone at once."""
    for process in halt(launcher):  # so that none of them notices that another one has gone
        os.kill(process, signal.SIGKILL)


def halt(launcher: subprocess.Popen[str]) -> list[int]:
    """Stop a launcher and all that it started for as long as nothing else is done with them; returns them."""
    family = _with_children(launcher.pid)
    for process in family:
        os.kill(process, signal.SIGSTOP)
    return family


def _with_children(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(one for child in children for one in _with_children(int(child)))]
