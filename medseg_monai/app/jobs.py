"""Commands of `medseg` that run as processes of their own: they outlive a tab, can be stopped, and say what they say on a terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

from medseg_monai.app.commands import Command

State = Literal["waiting", "running", "done", "failed", "stopped"]
KEPT_LINES = 300
LONGEST_LINE = 1000
PATIENCE_S = 60
"""How long a command may take to end by itself, with what is finished kept, before it is ended."""
ERROR = "medseg: error: "
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Job:
    """Commands that run one after the other, until one fails.

    Args:
        commands: arguments after ``medseg``.
        turn: held while it runs; jobs with the same one wait for one another.
        most_s: seconds after which it is stopped, whatever it does.
        folder: in which it runs; default: this program's.
        passing: exit codes of the last command that are not failures.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        *,
        turn: threading.Lock,
        most_s: float,
        folder: Path | None = None,
        passing: Sequence[int] = (0,),
    ) -> None:
        self.commands = tuple(commands)
        self.state: State = "waiting"
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._turn, self._most_s, self._folder, self._passing = turn, most_s, folder, tuple(passing)
        self._stop = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._work, name="job", daemon=True)

    def start(self) -> Job:
        """Begin, or wait for the turn."""
        self._thread.start()
        return self

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ("done", "failed", "stopped")

    @property
    def error(self) -> str:
        """The reason that a command gave for its failure, in one line."""
        said = [line.removeprefix(ERROR) for line in self.lines if line.startswith(ERROR)]
        return (said or list(self.lines) or ["it ended without a word"])[-1]

    def stop(self) -> None:
        """Ask it to end; what is finished is kept."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end; whether it has come."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            while not self._turn.acquire(timeout=0.2):
                if self._stop.is_set():
                    self.state = "stopped"
                    return
            try:
                self.state = self._run_all()
            finally:
                self._turn.release()
        except Exception as error:  # nobody else would hear of it
            self.lines.append(f"{ERROR}{error}")
            self.state = "failed"

    def _run_all(self) -> State:
        self.state, end = "running", time.monotonic() + self._most_s
        for command in self.commands:
            if self._stop.is_set():
                return "stopped"
            code = self._run(command, end)
            if self._stop.is_set():
                return "stopped"
            if code not in (self._passing if command is self.commands[-1] else (0,)):
                return "failed"
        return "done"

    def _run(self, command: Command, end: float) -> int:
        """Run one command; its exit code."""
        whole = [sys.executable, "-m", "medseg_monai", *command]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        self._process = subprocess.Popen(
            whole,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            env=environment,
            start_new_session=True,  # Ctrl-C on the server's terminal is passed on once, by this program
        )
        assert self._process.stdout is not None
        reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        reader.start()
        try:
            while self._process.poll() is None:
                if time.monotonic() > end:
                    self.lines.append(f"{ERROR}stopped after {self._most_s / 60:.0f} minutes")
                    _end(self._process)
                elif self._stop.wait(0.1):
                    _end(self._process)
        finally:
            reader.join(5)  # what it started may hold the pipe for longer
        return self._process.returncode

    def _read(self, stream: IO[bytes]) -> None:
        """Keep the last lines; of a progress bar, which is drawn over itself, the last state."""
        rest = ""
        with stream:
            while part := os.read(stream.fileno(), 4096):
                *whole, rest = re.split(r"[\r\n]+", rest + part.decode("utf-8", "replace"))
                rest = rest[-LONGEST_LINE:]
                self.lines.extend(line for line in map(_plain, whole) if line)
        if line := _plain(rest):
            self.lines.append(line)


def _plain(text: str) -> str:
    return _COLOURS.sub("", text).strip()[:LONGEST_LINE]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask as Ctrl-C does, then insist."""
    for way, patience in ((signal.SIGINT, PATIENCE_S), (signal.SIGTERM, 5), (None, 5)):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            _tell(process, way)
            process.wait(patience)
            return


def _tell(process: subprocess.Popen[bytes], way: signal.Signals | None) -> None:
    """Send a signal to the command and the processes that it started; None ends them at once."""
    if os.name == "posix":
        os.killpg(process.pid, way or signal.SIGKILL)
    else:  # there is no Ctrl-C for another console's process
        process.kill()
