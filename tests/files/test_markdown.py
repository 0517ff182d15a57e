"""Text from outside in Markdown, rendered by a Markdown library: it is shown as it is, with no element of its own."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.files.markdown import Markdown, escaped, markdown_table

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](http://example.org/a.png)",
    "[x][y]",
    "[x]: http://example.org",
    "`code`",
    "**bold** _it_ __b__ *i* ~~s~~",
    "a|b\\|c",
    "&lt;b&gt; &#60;",
    "a\nb\r\n# c",
    "\\",
    "\\<b>",
    "<!-- a",
    "ISIC_0001 [4, 8]",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_renderer_shows_the_text_and_nothing_else(text: str) -> None:
    markdown_it = pytest.importorskip("markdown_it", reason="a Markdown renderer is not installed")
    table = "\n".join(markdown_table(["case", "x"], [[text, "1"], ["after", "2"]]))
    rendered = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(table)
    cells = re.findall(r"<td>(.*?)</td>", rendered)
    assert [html.unescape(cell) for cell in cells] == [re.sub(r"[\r\n]+", " ", text), "1", "after", "2"]
    assert set(re.findall(r"</?(\w+)", rendered)) == {"table", "thead", "tbody", "tr", "th", "td"}


def test_what_means_nothing_stays_readable() -> None:
    assert escaped("ISIC_0001 [4, 8] 0.5 (a to b) #1") == "ISIC_0001 [4, 8] 0.5 (a to b) #1"
    assert escaped(Markdown("**all**")) == "**all**"
    assert escaped("**all**") == r"\*\*all\*\*"


@given(st.text(), st.text())
def test_a_row_has_two_cells_whatever_stands_in_them(first: str, second: str) -> None:
    (_, _, row) = markdown_table(["a", "b"], [[first, second]])
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 3
    assert len(row.splitlines()) == 1
    assert "<" not in row
