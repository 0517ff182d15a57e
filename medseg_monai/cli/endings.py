"""The last lines of a command: what it did, where the results are, what is doubtful and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from medseg_monai.program.messages import counted

if TYPE_CHECKING:
    from medseg_monai.inference.cases import Failure


def say_end(
    what: str,
    *,
    look: Path | None = None,
    used: str | None = None,
    doubtful: Sequence[str] = (),
    following: str | None = None,
) -> None:
    """Print the last lines of a command.

    Args:
        what: what was done, and where the results are: ``10 images -> masks/ (10 masks, 0 failed)``.
        look: a file to open.
        used: which weights did it.
        doubtful: what a person should know before using the results.
        following: the next command, or what to do.
    """
    typer.echo(what + (f" · look: {look}" if look else ""))
    if used:
        typer.echo(f"weights: {used}")
    for doubt in doubtful:
        typer.echo(f"doubtful: {doubt}")
    if following:
        typer.echo(f"next: {following}")


def end_with_failures(failures: Sequence[Failure], cases: int = 0, folder: Path | None = None) -> None:
    """End the program with a message and exit code 1 if some of the cases could not be used.

    Args:
        failures: the cases that could not be used.
        cases: how many there were.
        folder: with the list of the failures; None if they were only said, one by one, when they occurred.

    Raises:
        SystemExit: there are failures; all other cases are done.
    """
    if not failures:
        return
    if folder is None:
        raise SystemExit(f"{counted(len(failures), 'image')} could not be used, see the lines above; all others were")
    from medseg_monai.inference.cases import FAILURES_FILE, failures_text

    raise SystemExit(failures_text(len(failures), cases, folder / FAILURES_FILE))


def same_weights(weights: str | None) -> str:
    """The option by which the next command takes the weights that this one was given; nothing if none were named.

    >>> f"medseg predict unet IMAGES{same_weights('demo')}"
    'medseg predict unet IMAGES -w demo'
    """
    return f" -w {weights}" if weights else ""
