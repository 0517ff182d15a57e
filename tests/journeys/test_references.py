"""Modules, names and files that docstrings, comments, docs and model cards mention exist."""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import REPOSITORY

TEXTS = ["medseg_monai/*.py", "scripts/*.py", "docs/*.md", "README.md", "CONTRIBUTING.md", "bundles/*/docs/README.md"]
NAMES = re.compile(r"`(medseg_monai(?:\.\w+)+)`")
FILES = re.compile(r"`((?:[a-z_]+/)+\w+\.(?:py|md|sh))[`#]")
BARE = re.compile(r"`(\w+\.py)`")
LINKS = re.compile(r"\]\(((?!https?:)[\w./]+)(?:#[\w-]+)?\)")
FOLDERS = ("medseg_monai/", "scripts/", "benchmarks/", "tests/")


def mentioned_texts() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *TEXTS], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    files = [REPOSITORY / line for line in listed.stdout.splitlines()]
    return [file for file in files if file.is_file()] or pytest.skip("not a git checkout")


def missing(text: str, file: Path) -> set[str]:
    """What the text of a file mentions and the repository lacks; links are looked for in Markdown."""
    names = {name for name in NAMES.findall(text) if not has_name(name)}
    files = {name for name in FILES.findall(text) if not has_file(name)}
    files |= {name for name in BARE.findall(text) if not has_file_named(name)}
    links = LINKS.findall(text) if file.suffix == ".md" else []
    return names | files | {link for link in links if not (file.parent / link).exists()}


def has_name(dotted: str) -> bool:
    """Whether a module exists, and its source holds the first name that follows it. Nothing is imported."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        place = REPOSITORY.joinpath(*parts[:end])
        for source in (place.with_suffix(".py"), place / "__init__.py"):
            if source.is_file():
                return end == len(parts) or bool(re.search(rf"\b{parts[end]}\b", source.read_text(encoding="utf-8")))
    return False


def has_file(path: str) -> bool:
    """Whether a file exists in the repository or, as the docs shorten it, in the package. Users' own files are not looked for."""
    rooms = [f"{room.name}/" for room in (REPOSITORY / "medseg_monai").iterdir() if room.is_dir()]
    if path.startswith(FOLDERS):
        return (REPOSITORY / path).is_file()
    if path.endswith(".py") and path.startswith(tuple(rooms)):
        return (REPOSITORY / "medseg_monai" / path).is_file()
    return True


def has_file_named(name: str) -> bool:
    """Whether a file of this name is anywhere in the folders of code and tests."""
    return any(found for folder in FOLDERS for found in (REPOSITORY / folder).rglob(name))


def test_what_is_mentioned_exists() -> None:
    dead = {
        str(file.relative_to(REPOSITORY)): gone
        for file in mentioned_texts()
        if (gone := missing(file.read_text(encoding="utf-8"), file))
    }
    assert dead == {}


def test_dead_references_are_found() -> None:
    text = (
        "`medseg_monai.dataset.spec.DatasetSpec`, `medseg_monai.dataset.spec.DatasetSpek`, `medseg_monai.speck`, "
        "`transforms/cleaning.py`, `cleaning.py`, `bundle_files.py`, `transforms/cleansing.py`, `tests/test_gone.py`, `labels/mine.py`, "
        "[datasets](datasets.md#layouts), [gone](gone.md#x), [elsewhere](https://example.org/gone.md)"
    )
    assert missing(text, REPOSITORY / "docs" / "new.md") == {
        "medseg_monai.dataset.spec.DatasetSpek",
        "medseg_monai.speck",
        "transforms/cleansing.py",
        "bundle_files.py",
        "tests/test_gone.py",
        "gone.md",
    }
