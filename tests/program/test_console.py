"""Log lines leave progress bars whole; technical ones are for those who ask."""

import io
import logging
import sys
from collections.abc import Iterator

import pytest
from tqdm import tqdm

from medseg_monai.program.console import (
    FORMAT,
    ConsoleHandler,
    keep_bars_whole,
    listening,
    say_technical,
)


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    logger = logging.getLogger()
    handlers, ours = logger.handlers[:], logging.getLogger("medseg_monai").level
    yield logger
    logger.handlers[:] = handlers
    logging.getLogger("medseg_monai").setLevel(ours)


def screen(written: str) -> list[str]:
    """What a terminal shows of it: a carriage return goes back to the start of the line."""
    lines = []
    for line in written.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_a_line_stands_whole_above_the_bar(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    root.handlers[:] = [logging.StreamHandler(sys.stderr)]
    root.handlers[0].setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    keep_bars_whole()
    assert [type(handler) for handler in root.handlers] == [ConsoleHandler]
    with tqdm(total=4, desc="segmenting", ncols=60, mininterval=0) as bar:
        bar.update(2)
        logging.getLogger("medseg_monai.test").warning("left out: a.jpg")
        bar.update(2)
    shown = screen(sys.stderr.getvalue())
    assert shown[0] == "WARNING left out: a.jpg"
    assert shown[1].startswith("segmenting: 100%")
    assert "4/4" in shown[1]


def test_other_handlers_are_left_alone(root: logging.Logger) -> None:
    elsewhere = logging.StreamHandler(io.StringIO())
    root.handlers[:] = [elsewhere]
    keep_bars_whole()
    assert root.handlers == [elsewhere]


def test_technical_lines_are_for_those_who_ask(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    handler = ConsoleHandler()
    handler.setFormatter(logging.Formatter(FORMAT, "%H"))
    root.handlers[:] = [handler]
    for wanted in (True, False):
        say_technical(wanted)
        logging.getLogger("medseg_monai.test").debug("engine torch, wanted %s", wanted)
    assert "DEBUG engine torch, wanted True" in (said := capsys.readouterr().err)
    assert "wanted False" not in said


def test_listening_collects_warnings_and_leaves_loggers_as_they_were(root: logging.Logger) -> None:
    ours, theirs = logging.getLogger("medseg_monai"), logging.getLogger("monai.bundle.workflows")
    root.handlers[:] = [kept := logging.NullHandler()]
    before = (ours.level, ours.handlers[:], theirs.level)
    with listening(verbose=True) as messages:
        logging.getLogger("medseg_monai.x").warning("a %s", "b")
        logging.getLogger("medseg_monai.x").info("c")
        root.addHandler(logging.NullHandler())
        assert logging.getLogger("medseg_monai.x").isEnabledFor(logging.DEBUG)
        assert not theirs.isEnabledFor(logging.WARNING)
    assert messages == ["a b"]
    assert (ours.level, ours.handlers[:], theirs.level) == before
    assert root.handlers == [kept]
