"""The documentation site: every page is in its navigation, links between pages lead somewhere, links out of docs/ become words."""

import importlib.util
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
LINK = re.compile(r"\]\((?!https?:|mailto:|data:)([^)#\s]+)(?:#[^)\s]*)?\)")


class _Settings(yaml.SafeLoader):
    """mkdocs.yml may name Python objects, which are not looked up here."""


_Settings.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


def settings() -> dict[str, Any]:
    content: dict[str, Any] = yaml.load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), _Settings)
    return content


def listed(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    for value in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        yield from listed(value)


def test_every_page_is_in_the_navigation() -> None:
    assert sorted(listed(settings()["nav"])) == PAGES


def test_nothing_is_loaded_from_elsewhere() -> None:
    theme = settings()["theme"]
    assert theme["font"] is False
    assert not {"extra_css", "extra_javascript"} & set(settings())


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    folder = (DOCS / page).parent
    targets = LINK.findall((DOCS / page).read_text(encoding="utf-8"))
    assert [target for target in targets if not (folder / target).exists()] == []


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("a.md", "[CLI](../medseg_monai/cli/app.py)", "CLI (`medseg_monai/cli/app.py`)"),
        ("results/a.md", "[`README.md`](../../README.md#x)", "`README.md`"),
        ("a.md", "[here](python.md), ![picture](images/x.jpg)", "[here](python.md), ![picture](images/x.jpg)"),
        ("a.md", "[gone](../nosuch.py)", "[gone](../nosuch.py)"),
        ("a.md", "[table](results/hippocampus_splits.csv)", "table (`docs/results/hippocampus_splits.csv`)"),
        ("a.md", "[there](https://example.org/x)", "[there](https://example.org/x)"),
    ],
)
def test_links_out_of_the_site_become_words(page: str, text: str, expected: str) -> None:
    spec = importlib.util.spec_from_file_location("docs_hooks", REPOSITORY / "scripts" / "docs_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    at = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    assert hooks.on_page_markdown(text, page=at, config=None, files=None) == expected


def test_rendered_notebooks_are_those_of_the_folder_and_small() -> None:
    for page in (DOCS / "notebooks").glob("*.md"):
        source = REPOSITORY / "notebooks" / f"{page.stem}.py"
        text = page.read_text(encoding="utf-8")
        assert page.stat().st_size <= 300_000
        assert "data:image/" in text
        code = re.split(r"^# %%.*\n", source.read_text(encoding="utf-8"), flags=re.M)[1:]
        for cell in (cell.strip() for cell in code if not cell.startswith("#")):
            assert f"```python\n{cell}\n```" in text, f"render {page.stem} again: scripts/render_notebooks.py"
