"""Stopping a process cleanly: signals that end it like Ctrl-C, and blocks of code that they wait for."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a process to end: `docker stop`, SLURM and a system shutdown send the first, a closed terminal the second."""


class StoppedBySignal(KeyboardInterrupt):
    """The process was asked to end; handled wherever Ctrl-C is, so the same things are kept.

    Attributes:
        signal: which of `STOPPING`.
    """

    received: int | None = None
    """The last one that this process received."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


def stop_like_ctrl_c() -> Callable[[], None]:
    """Let the signals of `STOPPING` end this process like Ctrl-C; its child processes still end at once.

    A signal that is ignored (`nohup`) or already has a handler is left unchanged.

    Returns:
        A function that undoes this.
    """
    process = os.getpid()
    changed: list[int] = []

    def take_back() -> None:
        while changed:
            signal.signal(changed.pop(), signal.SIG_DFL)

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:  # a forked worker
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        StoppedBySignal.received = number
        raise StoppedBySignal(number)

    if threading.current_thread() is not threading.main_thread():  # only the main thread can have handlers
        return take_back
    for number in STOPPING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, stop)
            changed.append(number)
    return take_back


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C and the signals of `STOPPING` wait until the block ends: files that belong together are written together.

    Does nothing in threads other than the main one, which signals never reach.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *STOPPING)}
    handled = {number: handler for number, handler in before.items() if callable(handler)}
    for number in handled:
        signal.signal(number, lambda number, frame: waiting.append(number))
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])
