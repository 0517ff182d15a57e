r"""CSV tables whose cells come from outside (case ids, paths, reasons, class names): safe to open in a spreadsheet, and read back exactly.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-`` or ``@`` as a formula. Such a cell is written with a leading apostrophe,
which spreadsheets understand as "this is text"; numbers stay numbers. Line breaks, other control characters and bytes of a file name that
are not UTF-8 are written as ``\u000a``, so a row is one line and the file is UTF-8. `csv_rows` reverses both.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")
FORMULA = re.compile("'*[=+@＝＋－＠-]")
# characters that cannot be in UTF-8 or in a line, and a backslash that would be taken for the start of an escape
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]|\\(?=u[0-9a-f]{4})")
ESCAPE = re.compile(r"\\u([0-9a-f]{4})")

csv.field_size_limit(2**31 - 1)  # run lengths of a large mask exceed Python's default of 128 KiB


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    r"""Rows as CSV; the first is the header.

    >>> csv_text([["case", "score"], ["=1+1", -0.5], ["#1, left", None]])
    'case,score\n\'=1+1,-0.5\n"#1, left",\n'
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows([_written(cell) for cell in row] for row in rows)
    return table.getvalue()


def csv_rows(text: str) -> list[list[str]]:
    """The rows given to `csv_text`, as texts; tables of other programs unchanged.

    Raises:
        ValueError: it is not CSV.
    """
    try:
        return [[unescaped(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error as error:
        raise ValueError(f"not a CSV table: {error}") from None


def csv_records(text: str) -> list[dict[str, str]]:
    """The rows below the header, by column.

    Raises:
        ValueError: it is not CSV, or a row has more or fewer cells than the header.
    """
    header, *rows = csv_rows(text) or [[]]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, but the header {len(header)}")
    return [dict(zip(header, row, strict=True)) for row in rows]


def read_records(path: Path) -> list[dict[str, str]]:
    """`csv_records` of a file.

    Raises:
        OSError, ValueError: it cannot be read, or is not such a table.
    """
    return csv_records(path.read_text(encoding="utf-8"))


def _written(cell: object) -> object:
    if not isinstance(cell, str | Path):
        return cell
    text = UNWRITABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", str(cell))
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def unescaped(cell: str) -> str:
    """The text that was written as a cell."""
    text = cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell
    return ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
