"""CSV tables of text from outside: no cell is a formula, every cell is read back as it was."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.files.csv_tables import (
    csv_records,
    csv_rows,
    csv_text,
    read_records,
)

FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "=cmd|' /C calc'!A0",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "'=1",
    "''-x",
    "-",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_text(text: str) -> None:
    """As a spreadsheet would read the cell, by the CSV reader of the standard library."""
    ((_, cell),) = csv.reader(io.StringIO(csv_text([["x", text]]), newline=""))
    assert cell.lstrip()[0] not in "=+-@＝"
    assert csv_rows(csv_text([["x", text]])) == [["x", text]]


@pytest.mark.parametrize("number", [-0.5, -3, "-0.5000", "+2", "-1e-05", "-inf", "nan", float("-inf")])
def test_numbers_stay_numbers(number: object) -> None:
    assert csv_text([[number]]) == f"{number}\n"


@given(st.lists(st.lists(st.text(st.characters(codec=None)), min_size=2, max_size=2), min_size=1, max_size=3))
def test_every_text_is_read_back_from_utf_8_a_line_each(rows: list[list[str]]) -> None:
    written = csv_text(rows)
    assert csv_rows(written.encode("utf-8").decode("utf-8")) == rows
    assert len(written.splitlines()) == len(rows)


@given(st.text("\\u0a'=d8", max_size=12))
def test_texts_that_look_like_escapes_are_read_back(text: str) -> None:
    assert csv_rows(csv_text([[text, "x"]])) == [[text, "x"]]


def test_a_table_of_another_program_is_read_as_it_is() -> None:
    assert csv_rows("a,b\r\n\"x\ny\",'it''s'\r\n\r\n=1,-x\r\n") == [["a", "b"], ["x\ny", "'it''s'"], ["=1", "-x"]]


def test_a_cell_may_be_long() -> None:
    runs = "1 2 " * 100_000
    assert csv_rows(csv_text([[runs]])) == [[runs]]
    assert csv.field_size_limit() < 2**31  # a C long has 32 bits on Windows, where a larger limit raises OverflowError


def test_records_have_as_many_cells_as_the_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("case,dice\n'-a,0.5\n")
    assert read_records(tmp_path / "t.csv") == [{"case": "-a", "dice": "0.5"}]
    assert csv_records("") == []
    with pytest.raises(ValueError, match="row 2 has 1 cells, but the header 2"):
        csv_records("case,dice\na,1\nb\n")
