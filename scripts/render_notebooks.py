"""Execute the notebooks and write them, with what they show, as pages of the documentation: ``docs/notebooks/*.md``.

Needs the extra ``notebooks``. Usage: ``python scripts/render_notebooks.py [NAME …]``; a notebook reads its settings from the environment.
"""

from __future__ import annotations

import base64
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbclient
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
NOTEBOOKS, PAGES = REPOSITORY / "notebooks", REPOSITORY / "docs" / "notebooks"
MOST_BYTES = 300_000
SETTINGS = ("MINUTES", "CASES", "ISIC2017")
"""Settings of notebooks that a page names; of a folder its last part."""
LEFT_OUT = re.compile(r"^(.*\|[^|]*\|.*|\s*)$")
"""Lines of a progress bar."""
OF_THIS_RUN = ((re.compile(r"/tmp/tmp[a-z0-9_]+"), "OUT"), (re.compile(r"/tmp/ipykernel_\d+/\d+\.py"), "notebook"))
HEAD = "<!-- written by scripts/render_notebooks.py from notebooks/{name}.py: change that -->\n\n"


def main(names: list[str]) -> None:
    """Render the notebooks of these names, by default all."""
    for source in sorted(NOTEBOOKS.glob("*.py")):
        if not names or source.stem in names:
            page = PAGES / f"{source.stem}.md"
            page.parent.mkdir(exist_ok=True)
            page.write_text(rendered(source), encoding="utf-8")
            if page.stat().st_size > MOST_BYTES:
                raise SystemExit(f"{page} has {page.stat().st_size:,} bytes: show fewer pictures")
            print(page, f"{page.stat().st_size:,} bytes")


def rendered(source: Path) -> str:
    """The notebook executed, as Markdown with pictures inside."""
    notebook = jupytext.read(source)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])}
    resources = {"metadata": {"path": str(NOTEBOOKS)}}
    nbclient.NotebookClient(notebook, timeout=3600, resources=resources).execute(env=environment)
    used = [f"{name}={Path(os.environ[name]).name}" for name in SETTINGS if name in os.environ]
    parts = [HEAD.format(name=source.stem), f"*Run with `{' '.join(used)}`.*" if used else ""]
    for cell in notebook.cells:
        parts.append(cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```")
        parts += [shown for output in cell.get("outputs", []) if (shown := as_text(output))]
    page = "\n\n".join(parts).replace(str(REPOSITORY), "REPOSITORY") + "\n"
    for pattern, word in OF_THIS_RUN:
        page = pattern.sub(word, page)
    return page


def as_text(output: dict[str, Any]) -> str:
    """An output as Markdown; "" for a progress bar."""
    if output["output_type"] == "stream":
        lines = [line for line in output["text"].splitlines() if not LEFT_OUT.match(line.split("\r")[-1])]
        return "```text\n" + "\n".join(lines) + "\n```" if lines else ""
    data = output.get("data", {})
    if "application/vnd.jupyter.widget-view+json" in data:
        return ""
    if "text/html" in data:
        return re.sub(r"\n\s*\n", "\n", data["text/html"]).strip()
    if "image/png" in data:
        return f'<img alt="figure" src="data:image/jpeg;base64,{as_jpeg(data["image/png"])}">'
    return f"```text\n{data['text/plain']}\n```" if "text/plain" in data else ""


def as_jpeg(png: str) -> str:
    """A picture of a figure in less space."""
    content = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
        picture.convert("RGB").save(content, format="JPEG", quality=80)
    return base64.b64encode(content.getvalue()).decode()


if __name__ == "__main__":
    main(sys.argv[1:])
