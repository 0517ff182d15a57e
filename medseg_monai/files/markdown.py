"""Markdown that contains text from outside (case ids, class names, a data set's description): shown as text, never read as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
# Underscores inside words, and brackets that do not begin a link, have no meaning: lists and names such as ISIC_0001 stay unchanged.
MARKUP = re.compile(r"[\\`*|~]|(?<![^\W_])_|_(?![^\W_])|(?<=\])[(\[:]")


class Markdown(str):
    """Text of this program that already is Markdown: `escaped` leaves it unchanged."""

    __slots__ = ()


def escaped(text: object) -> str:
    r"""The ``str`` of a value as Markdown that shows it on one line.

    >>> print(escaped("<b>a|b</b> [x](y) ISIC_0001"))
    &lt;b>a\|b&lt;/b> [x]\(y) ISIC_0001
    """
    if isinstance(text, Markdown):
        return text
    line = CONTROL.sub(" ", str(text))
    html = re.sub(r"&(?=[#\w]+;)", "&amp;", line).replace("<", "&lt;")
    return MARKUP.sub(r"\\\g<0>", html)


def markdown_table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a Markdown table; cells are shown by ``str`` and escaped.

    >>> markdown_table(["a", "b"], [[1, "x"]])
    ['| a | b |', '| --- | --- |', '| 1 | x |']
    """
    cells = [header, [Markdown("---")] * len(header), *rows]
    return ["| " + " | ".join(map(escaped, row)) + " |" for row in cells]
