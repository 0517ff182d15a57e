"""Clicks and boxes as text: ``120,340``, of a class ``spleen:120,340``, in a volume with the slice ``120,340,12``."""

from __future__ import annotations

from medseg_monai.clicks.click import Box, Click


def parse_click(text: str, *, inside: bool) -> Click:
    """A click from ``ROW,COLUMN``, ``ROW,COLUMN,SLICE``, with ``CLASS:`` before it if there are several.

    Raises:
        ValueError: it is none of these.

    >>> parse_click("spleen:120,340,12", inside=True)
    Click(row=120, column=340, inside=True, slice=12, class_name='spleen')
    """
    name, numbers = _parts(text)
    if len(numbers) not in (2, 3):
        raise ValueError(f"click {text!r}: expected ROW,COLUMN, in a volume ROW,COLUMN,SLICE")
    row, column, *rest = numbers
    return Click(row, column, inside, slice=rest[0] if rest else None, class_name=name)


def parse_box(text: str) -> Box:
    """A box from the rows and columns (and slices) of its first and its last pixel.

    Raises:
        ValueError: these are not 4 or 6 whole numbers.

    >>> parse_box("30,15,90,75")
    Box(first=(30, 15), last=(90, 75), class_name=None)
    """
    name, numbers = _parts(text)
    if len(numbers) not in (4, 6):
        raise ValueError(
            f"box {text!r}: expected the first and the last pixel, ROW,COLUMN,ROW,COLUMN, in a volume with SLICE after each COLUMN"
        )
    half = len(numbers) // 2
    return Box(tuple(numbers[:half]), tuple(numbers[half:]), class_name=name)


def _parts(text: str) -> tuple[str | None, list[int]]:
    name, colon, numbers = text.rpartition(":")
    try:
        return (name if colon else None), [int(number) for number in numbers.split(",")]
    except ValueError:
        raise ValueError(f"{text!r}: expected whole numbers, separated by commas") from None
