"""Write every bundle's complete configs from the template that bundles share and from the bundle's own keys.

    python scripts/sync_bundles.py          write files that differ
    python scripts/sync_bundles.py --check  list files that differ, exit 1 if there are any

``scripts/template`` has what all bundles share. ``bundles/<name>/own.json`` has, by config, the keys that replace the template's: always
the architecture, and whatever else this network needs (a loss, a learning rate, demo data of another kind). A bundle without a
model card or a data licence gets a draft to complete; existing ones are not changed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "scripts" / "template"
BUNDLES = ROOT / "bundles"
OWN_FILE = "own.json"
COPIED = ("configs/logging.conf", "LICENSE")
REQUIRED = {"train": ("architecture",), "metadata": ("name", "description", "references")}
PLACE = re.compile(r"\{(\w+)\}")
ARXIV = re.compile(r"arXiv:([\w.]+\w)")
WIDTH = 120
INDENT = 4
SMALL = 3  # largest number of entries of a dictionary on one line


def expected_files(bundle: Path) -> dict[Path, str]:
    """The contents that the bundle's files should have, by path.

    Raises:
        ValueError: own.json names a config or a key that the template does not have, or lacks one that each bundle must have.
    """
    own = json.loads((bundle / OWN_FILE).read_text(encoding="utf-8"))
    configs = {path.stem: path for path in sorted(TEMPLATE.glob("configs/*.json"))}
    _refuse_unknown(own, configs, bundle)
    files = {bundle / name: (TEMPLATE / name).read_text(encoding="utf-8") for name in COPIED}
    for name, path in configs.items():
        shared, theirs = json.loads(path.read_text(encoding="utf-8")), own.get(name, {})
        _refuse_unknown(theirs, shared, bundle, f" in '{name}'")
        if lacking := [key for key in REQUIRED.get(name, ()) if not theirs.get(key)]:
            raise ValueError(f"{bundle / OWN_FILE}: '{name}' lacks {', '.join(lacking)}")
        named = {"bundle": bundle.name} if "bundle" in shared else {}
        files[bundle / "configs" / path.name] = dump({**shared, **named, **theirs})
    return {**files, **_first_texts(bundle, own["metadata"])}


def _first_texts(bundle: Path, about: Mapping[str, Any]) -> dict[Path, str]:
    """Drafts of the texts of ``docs`` that the bundle does not have yet, from the template and metadata.json."""
    references = "\n".join(ARXIV.sub(r"[\g<0>](https://arxiv.org/abs/\1)", each) + "." for each in about["references"])
    said = {"name": about["name"], "description": about["description"], "references": references, "bundle": bundle.name}
    files = {}
    for path in sorted((TEMPLATE / "docs").iterdir()):
        if not (bundle / "docs" / path.name).is_file():
            text = path.read_text(encoding="utf-8")
            files[bundle / "docs" / path.name] = PLACE.sub(lambda found: said[found[1]], text)
    return files


def _refuse_unknown(own: Mapping[str, Any], known: Mapping[str, Any], bundle: Path, where: str = "") -> None:
    if unknown := sorted(own.keys() - known.keys()):
        raise ValueError(f"{bundle / OWN_FILE}: the template has no '{unknown[0]}'{where}")


def dump(content: Mapping[str, Any]) -> str:
    """JSON in the bundles' style: one key per line, but a list or a small dictionary on one line if it fits.

    >>> print(dump({"features": [32, 64], "network": {"depth": 2}, "wide": {"a": 1, "b": 2, "c": 3, "d": 4}}), end="")
    {
        "features": [32, 64],
        "network": {"depth": 2},
        "wide": {
            "a": 1,
            "b": 2,
            "c": 3,
            "d": 4
        }
    }
    """
    return "\n".join(_lines("", content, 0)) + "\n"


def _lines(prefix: str, value: Any, depth: int, *, more: bool = False) -> Iterator[str]:
    """The lines of a value after its indentation and ``prefix`` (its key); ``more`` says that another value follows."""
    indent, comma = " " * INDENT * depth, "," if more else ""
    whole = f"{indent}{prefix}{json.dumps(value, ensure_ascii=False)}{comma}"
    is_list, is_dict = isinstance(value, list), isinstance(value, dict)
    small = depth > 0 and len(whole) <= WIDTH and (is_list or len(value) <= SMALL) if is_list or is_dict else True
    if small:
        yield whole
        return
    entries = [("", entry) for entry in value] if is_list else [(f'"{key}": ', entry) for key, entry in value.items()]
    yield f"{indent}{prefix}{'[' if is_list else '{'}"
    for number, (key, entry) in enumerate(entries, start=1):
        yield from _lines(key, entry, depth + 1, more=number < len(entries))
    yield f"{indent}{']' if is_list else '}'}{comma}"


def main(arguments: list[str]) -> int:
    """Write or check every bundle; returns the exit code."""
    check = "--check" in arguments
    differing = []
    for bundle in sorted(path.parent for path in BUNDLES.glob(f"*/{OWN_FILE}")):
        for path, text in expected_files(bundle).items():
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                continue
            differing.append(path.relative_to(ROOT))
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for path in differing:
        print(f"{'differs' if check else 'written'}: {path}")
    if check and differing:
        print("run: python scripts/sync_bundles.py")
    return 1 if check and differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
