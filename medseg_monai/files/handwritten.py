"""JSON and YAML that people write: a key that is given twice is an error, because one of the two values would be lost without a word."""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml


def read_handwritten(file: Path) -> Any:
    """The content of a ``.json`` file, or of a YAML file with any other suffix; a byte order mark, as Windows adds it, is passed over.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8 text, not JSON or YAML, or gives a key twice; the message does not name the file.
    """
    kind = "JSON" if file.suffix == ".json" else "YAML"
    try:
        text = file.read_text(encoding="utf-8-sig")
        return json.loads(text, object_pairs_hook=_once) if kind == "JSON" else yaml.load(text, _OnceLoader)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"is not valid {kind}: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(f"is not usable {kind}: it is nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"gives the key {next(key for key in keys if keys.count(key) > 1)!r} twice; keep one of them")
    return content


class _OnceLoader(yaml.SafeLoader):
    """Plain values only, and no key twice; a merged mapping (``<<``) may be overridden, which is what it is for."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping from its node."""
        keys = [key.value for key, _ in getattr(node, "value", ()) if isinstance(key, yaml.ScalarNode)]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ValueError(f"gives the key {twice!r} twice (line {node.start_mark.line + 1}); keep one of them")
        return super().construct_mapping(node, deep)
