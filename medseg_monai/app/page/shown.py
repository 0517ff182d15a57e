"""What several panels show alike: commands to be copied, and what went wrong."""

from __future__ import annotations

from nicegui import ui

LONG_MS = 15_000


def command_line(text: str) -> None:
    """A command to be copied."""
    ui.label(text).classes("medseg-command")


def warned(text: str) -> None:
    """Say what to know, in white: on its colour Quasar's own dark letters are hard to read."""
    ui.notify(text, type="warning", multi_line=True, timeout=LONG_MS, textColor="white")


def failed(text: str) -> None:
    """Say what went wrong, long enough to be read."""
    ui.notify(text, type="negative", multi_line=True, timeout=LONG_MS)
