"""What the program says while it works: log lines in one format, which leave progress bars whole."""

from __future__ import annotations

import logging
import sys

FORMAT, TIME = "%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"
"""As in the bundles' ``configs/logging.conf``, which MONAI applies."""
PACKAGE = "medseg_monai"


class ConsoleHandler(logging.Handler):
    """Writes log lines to standard error, above the progress bars that are on the screen."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; the bars are taken away for it and drawn again below."""
        try:
            line = self.format(record)
            bars = sys.modules.get("tqdm")
            if bars is None:  # no bar can be there
                sys.stderr.write(line + "\n")
                sys.stderr.flush()
            else:
                bars.tqdm.write(line, file=sys.stderr)
        except Exception:  # as Python's own handlers do: logging never ends the program
            self.handleError(record)


def begin_logging() -> None:
    """Log what this package says to the console, and of others only warnings. Does nothing if the process logs already."""
    handler = ConsoleHandler()
    handler.setFormatter(logging.Formatter(FORMAT, TIME))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    for name in ("monai.bundle.workflows", "monai.bundle.scripts"):  # they write past the format, and say nothing new
        logging.getLogger(name).setLevel(logging.WARNING)
    say_technical(False)


def keep_bars_whole() -> None:
    """Let log lines that go straight to the terminal go above the progress bars: MONAI takes only Python's own handlers in a config."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if type(handler) is logging.StreamHandler and handler.stream in (sys.stdout, sys.stderr):
            ours = ConsoleHandler(handler.level)
            ours.setFormatter(handler.formatter)
            root.removeHandler(handler)
            root.addHandler(ours)


def say_technical(wanted: bool) -> None:
    """Whether lines are logged that say how something is computed, beside what was done."""
    logging.getLogger(PACKAGE).setLevel(logging.DEBUG if wanted else logging.INFO)
