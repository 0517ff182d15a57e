"""What a function says besides its result: warnings, which are collected, and errors, of which the one is raised that explains it."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import medseg_monai
from medseg_monai.program.console import LEFT_OUT, console_is_set_up, listening
from medseg_monai.program.messages import root_cause


@contextmanager
def noting(verbose: bool) -> Iterator[list[str]]:
    """`listening`, with plain errors; at the end one Python warning tells a program that shows no log lines what was noted.

    Raises:
        ValueError: a component of a config was given a wrong argument.
    """
    with listening(verbose) as messages:
        try:
            yield messages
        except RuntimeError as error:
            cause = root_cause(error)
            if cause is error:
                raise
            if isinstance(cause, TypeError):  # MONAI could not build a component
                raise ValueError(str(cause)) from error
            raise cause from None
    if messages and not verbose and not console_is_set_up():
        more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
        warnings.warn(f"{messages[0]}{more}", stacklevel=_caller())


def _caller() -> int:
    """How many frames away the program is that called a function of this package, for `warnings.warn`."""
    inside = (str(Path(medseg_monai.__file__).parent), contextlib.__file__)
    level, frame = 1, sys._getframe(1)
    while frame.f_code.co_filename.startswith(inside) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level


def notes_of(messages: Sequence[str]) -> tuple[str, ...]:
    """The messages that are not about a failure, which is reported as such."""
    return tuple(message for message in messages if not message.startswith(LEFT_OUT))
