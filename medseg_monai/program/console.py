"""Log lines in one format, which do not break progress bars."""

from __future__ import annotations

import logging
import sys

FORMAT, TIME = "%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"
"""The same as in the bundles' ``configs/logging.conf``, which MONAI applies."""
PACKAGE = "medseg_monai"


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
    handler = ConsoleHandler()
    handler.setFormatter(logging.Formatter(FORMAT, TIME))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    for name in ("monai.bundle.workflows", "monai.bundle.scripts"):  # they bypass the format, and add nothing
        logging.getLogger(name).setLevel(logging.WARNING)
    say_technical(False)


def keep_bars_whole() -> None:
    """Send log lines meant for the terminal above the progress bars: in a config MONAI accepts only Python's own handlers."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if type(handler) is logging.StreamHandler and handler.stream in (sys.stdout, sys.stderr):
            ours = ConsoleHandler(handler.level)
            ours.setFormatter(handler.formatter)
            root.removeHandler(handler)
            root.addHandler(ours)


def say_technical(wanted: bool) -> None:
    """Turn lines about how something is computed on or off, in addition to those about what was done."""
    logging.getLogger(PACKAGE).setLevel(logging.DEBUG if wanted else logging.INFO)
