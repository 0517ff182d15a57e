"""What a Python program hears: one warning about what was noted, the error that explains, and log lines only if it wants them."""

import logging
import subprocess
import sys

import pytest

from medseg_monai.api.noting import notes_of, noting

PROGRAM = """
import logging, sys
from medseg_monai.api.noting import noting
with noting({verbose}) as messages:
    logging.getLogger("medseg_monai.x").warning("first")
    logging.getLogger("medseg_monai.x").warning("second")
    logging.getLogger("medseg_monai.x").info("detail")
logging.getLogger("medseg_monai.x").warning("afterwards")
"""


def said(verbose: bool) -> str:
    command = [sys.executable, "-c", PROGRAM.format(verbose=verbose)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stderr


def test_one_python_warning_instead_of_log_lines() -> None:
    lines = said(verbose=False).splitlines()
    assert lines == ["<string>:4: UserWarning: first (and 1 more)", "afterwards"], "the place is the program's"


def test_log_lines_if_they_are_wanted() -> None:
    lines = said(verbose=True).splitlines()
    assert [line.split(" ", 1)[-1] for line in lines] == [
        "WARNING first",
        "WARNING second",
        "INFO detail",
        "afterwards",
    ]


def test_a_program_with_logging_of_its_own_gets_the_lines(caplog: pytest.LogCaptureFixture) -> None:
    with noting(verbose=False) as messages:
        for _ in range(2):
            logging.getLogger("medseg_monai.x").warning("twice")
    assert messages == ["twice"]
    assert caplog.messages == ["twice", "twice"]


def test_the_error_that_explains_is_raised() -> None:
    def fail(cause: Exception) -> None:
        with noting(verbose=False):
            raise RuntimeError("Failed to instantiate") from cause

    with pytest.raises(FileNotFoundError, match="no such file"):
        fail(FileNotFoundError("no such file"))
    with pytest.raises(ValueError, match="unexpected keyword"):
        fail(TypeError("unexpected keyword"))
    with pytest.raises(RuntimeError, match="alone"), noting(verbose=False):
        raise RuntimeError("alone")


def test_notes_are_without_failures() -> None:
    assert notes_of(["left out: x.png: broken", "no class has a colour"]) == ("no class has a colour",)
