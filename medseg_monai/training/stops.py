"""What asks a training to stop: it ends after the step that it is in, with everything kept."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

import torch
import torch.distributed as dist

from medseg_monai.program.signals import STOPPING, StoppedBySignal
from medseg_monai.training.processes import between_several

STOP_FILE = "STOP"
"""A file of this name in a training's folder stops it."""
SECONDS_BETWEEN_LOOKS = 1.0
"""At the file: a folder may lie on a slow network."""
NOTHING, BY_FILE, BY_TIME, BY_SIGNAL = 0, 1, 2, 64
"""Causes, as one number that several processes can agree on; a signal is its number above the last."""


class StopRequests:
    """Notes a request to stop, to be obeyed at a good moment; a second signal stops at once.

    Args:
        folder: the training's, for the file `STOP_FILE`.
        minutes: time after which to stop; None for any.
    """

    def __init__(self, folder: Path, minutes: float | None = None) -> None:
        self.folder = folder
        self.minutes = minutes
        self.signal = 0
        self._began = self._looked = 0.0
        self._handlers: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def listen(self) -> None:
        """Begin: the time runs from now on, and a file that was left from before counts no more."""
        self.signal = 0
        self._began = self._looked = time.monotonic()
        if threading.current_thread() is not threading.main_thread():  # no other can have handlers
            return
        for number in (signal.SIGINT, *STOPPING):
            before = signal.getsignal(number)
            if before in (signal.SIG_DFL, signal.default_int_handler) or _is_ours(before):
                self._handlers[number] = before
                signal.signal(number, _in_this_process(self._note))

    def end(self) -> None:
        """Signals do again what they did before."""
        while self._handlers:
            number, before = self._handlers.popitem()
            signal.signal(number, before)

    def cause(self) -> int:
        """What has asked to stop so far."""
        now = time.monotonic()
        if self.signal:
            return BY_SIGNAL + self.signal
        if self.minutes is not None and now - self._began >= 60 * self.minutes:
            return BY_TIME
        if now - self._looked >= SECONDS_BETWEEN_LOOKS:
            self._looked = now
            return BY_FILE if (self.folder / STOP_FILE).exists() else NOTHING
        return NOTHING

    def describe(self, cause: int) -> str:
        """A cause in words, for a message."""
        if cause >= BY_SIGNAL:
            number = signal.Signals(cause - BY_SIGNAL)
            return "Ctrl-C" if number is signal.SIGINT else number.name
        return f"the file {STOP_FILE}" if cause == BY_FILE else f"its limit of {self.minutes:g} minutes"

    def forget_file(self) -> None:
        """Remove the file, so that the training can go on another time."""
        with suppress(OSError):
            (self.folder / STOP_FILE).unlink(missing_ok=True)

    def _note(self, number: int) -> None:
        if self.signal:
            raise_signal(number)
        self.signal = number


def raise_signal(number: int) -> None:
    """What a signal raises in a process that ends by it.

    Raises:
        KeyboardInterrupt: always; a `StoppedBySignal` for all but Ctrl-C.
    """
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    StoppedBySignal.received = number
    raise StoppedBySignal(number)


def _is_ours(handler: object) -> bool:
    """Whether a handler is this program's, which has signals stop it as Ctrl-C does."""
    return getattr(handler, "__module__", None) == StoppedBySignal.__module__


def _in_this_process(note: Callable[[int], None]) -> Callable[[int, FrameType | None], None]:
    """A handler that works in this process; one that is forked off is ended by the signal."""
    process = os.getpid()

    def handler(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            note(number)
            return
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    return handler


def agreed(cause: int, device: torch.device) -> int:
    """The gravest cause that any of several processes knows of: they all stop after the same step."""
    if not between_several():
        return cause
    known = torch.tensor(cause, device=device)
    dist.all_reduce(known, dist.ReduceOp.MAX)
    return int(known)


def leave_signals_to_trainer(worker: int) -> None:
    """Let a worker of a ``DataLoader`` go on when a terminal or a scheduler signals the whole group: only its trainer ends it.

    Who has sent a signal is known where the system says it (Linux). Elsewhere the first signal is left, for the trainer's own means to end
    a worker that hangs is a signal too.
    """
    numbers = {signal.SIGINT, *STOPPING}
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        threading.Thread(target=_end_when_asked, args=(os.getppid(), numbers), daemon=True).start()
        return

    def once(number: int, frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_DFL)

    for number in numbers:
        signal.signal(number, once)


def _end_when_asked(trainer: int, numbers: set[int]) -> None:
    """End this process by the first of these signals that the trainer has sent.

    Not by handlers that leave the first signal: when Python exits with workers, it sends one, and waits forever. As torch's own worker
    does, it ends without an error, which its trainer would raise.
    """
    while signal.sigwaitinfo(numbers).si_pid != trainer:
        pass
    os._exit(os.EX_OK)
