"""The last lines of a command: what it did, where the results are, what is doubtful and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer


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


def counted(number: int, what: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
