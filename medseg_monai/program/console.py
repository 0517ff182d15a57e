"""Log lines in one format, which do not break progress bars."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

FORMAT, TIME = "%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"
"""The same as in the bundles' ``configs/logging.conf``, which MONAI applies."""
PACKAGE = "medseg_monai"
LEFT_OUT = "left out: "
"""How a message begins that says which scan could not be used, and why."""
THEIRS = ("monai.bundle.workflows", "monai.bundle.scripts")
"""Loggers that bypass the format, and add nothing."""


class ConsoleHandler(logging.Handler):
    """Writes log lines to standard error, above any visible progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; the bars are cleared and drawn again below it."""
        try:
            line = self.format(record)
            bars = sys.modules.get("tqdm")
            if bars is None:  # no bar can be there
                sys.stderr.write(line + "\n")
                sys.stderr.flush()
            else:
                bars.tqdm.write(line, file=sys.stderr)
        except Exception:  # like Python's own handlers: logging never ends the program
            self.handleError(record)


def begin_logging() -> None:
    """Log this package's messages to the console, and warnings of other packages. Does nothing if logging is already set up."""
    logging.basicConfig(handlers=[_console()], level=logging.WARNING)
    for name in THEIRS:
        logging.getLogger(name).setLevel(logging.WARNING)
    say_technical(False)


def _console() -> ConsoleHandler:
    handler = ConsoleHandler()
    handler.setFormatter(logging.Formatter(FORMAT, TIME))
    return handler


def keep_bars_whole() -> None:
    """Send log lines meant for the terminal above the progress bars: in a config MONAI accepts only Python's own handlers."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if type(handler) is logging.StreamHandler and handler.stream in (sys.stdout, sys.stderr):
            ours = ConsoleHandler(handler.level)
            ours.setFormatter(handler.formatter)
            root.removeHandler(handler)
            root.addHandler(ours)


class _Collect(logging.Handler):
    """Keeps the messages of warnings."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one, once."""
        if (message := record.getMessage()) not in self.messages:
            self.messages.append(message)


@contextmanager
def listening(verbose: bool) -> Iterator[list[str]]:
    """While a function works for a Python program: this package's log lines are shown if they are wanted, and its warnings are collected.

    A program that has set up logging itself gets the lines as it has asked for them. Afterwards all loggers are as they were.

    Args:
        verbose: show the lines, with technical ones.

    Yields:
        The warnings so far, each once.
    """
    root, ours = logging.getLogger(), logging.getLogger(PACKAGE)
    messages: list[str] = []
    handlers: list[logging.Handler] = [_Collect(messages)]
    handlers += [_console()] if verbose and not root.handlers else []
    loggers = [root, ours, *map(logging.getLogger, THEIRS)]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    for handler in handlers:
        ours.addHandler(handler)
    for logger in loggers[2:]:
        logger.setLevel(logging.ERROR)  # it warns that logging is left alone
    if verbose:
        ours.setLevel(logging.DEBUG)
    try:
        yield messages
    finally:
        for logger, level, kept in before:
            logger.setLevel(level)
            logger.handlers[:] = kept


def console_is_set_up() -> bool:
    """Whether somebody has set up logging: log lines then go where they are meant to go."""
    return bool(logging.getLogger().handlers)


def say_technical(wanted: bool) -> None:
    """Turn lines about how something is computed on or off, in addition to those about what was done."""
    logging.getLogger(PACKAGE).setLevel(logging.DEBUG if wanted else logging.INFO)
