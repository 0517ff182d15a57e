"""Build the documentation site, refuse unknown links, and refuse pages that load anything from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=\"(https?:)?//[^\"]*\""
    r"|<link\b[^>]*\brel=\"(?:stylesheet|preconnect|icon)\"[^>]*href=\"(https?:)?//[^\"]*\""
)
IN_STYLE = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//")


def main() -> None:
    """Build into ``site/``.

    Raises:
        SystemExit: a link is unknown, or a page would load something from another server.
    """
    os.environ["NO_MKDOCS_2_WARNING"] = "1"  # advertising of the theme
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", "mkdocs.yml"],
        cwd=REPOSITORY,
        check=True,
    )
    site = REPOSITORY / "site"
    foreign = [
        f"{file.relative_to(site)}: {found[0][:200]}"
        for pattern, kind in ((LOADED, "*.html"), (IN_STYLE, "*.css"))
        for file in sorted(site.rglob(kind))
        if (found := pattern.search(file.read_text(encoding="utf-8")))
    ]
    if foreign:
        raise SystemExit("pages that load something from elsewhere:\n" + "\n".join(foreign))
    print(f"{site}/index.html: {len(list(site.rglob('*.html')))} pages")


if __name__ == "__main__":
    main()
