"""What mkdocs needs for pages that are read in the repository too: links to files beside ``docs/`` become the files' names.

Where such a file does not exist, the link stays, and mkdocs refuses it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:)([^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Replace links that lead out of ``docs/`` by their words and the file's name."""
    folder = posixpath.dirname(page.file.src_uri)

    def without(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", folder, link[2]))
        inside = target.startswith("docs/") and not target.endswith((".csv", ".py", ".json"))
        if inside or not (REPOSITORY / target).exists():
            return link[0]
        words = link[1].strip("`")
        return f"`{target}`" if words == target else f"{link[1]} (`{target}`)"

    return LINK.sub(without, markdown)
