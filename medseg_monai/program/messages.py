"""Words for messages: the nearest valid name to a wrong one, the first few of many, a count with its noun, facts as text."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

MOST_NAMES = 10_000
"""So many names of a folder are compared with a mistyped one."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the nearest valid name, else the list of valid names.

    >>> did_you_mean("clases", ["classes", "channels"])
    " (did you mean 'classes'?)"
    >>> did_you_mean("?", ["classes", "channels"])
    ' (known: classes, channels)'
    """
    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else f" (known: {', '.join(names)})"


def nearest_path(path: str | Path) -> str:
    """`` (did you mean '…'?)`` for a path that does not exist, if something that does is called nearly so; else nothing.

    The first part of the path that does not exist is compared with what is beside it.
    """
    wrong = Path(path)
    while not wrong.parent.is_dir() and wrong.parent != wrong:
        wrong = wrong.parent
    if wrong.exists():  # a file, of which the path makes a folder
        return ""
    try:
        names = [entry.name for entry in islice(wrong.parent.iterdir(), MOST_NAMES)]
    except OSError:
        return ""
    close = difflib.get_close_matches(wrong.name, sorted(names), n=1, cutoff=0.75)
    return f" (did you mean '{wrong.with_name(close[0])}'?)" if close else ""


def refuse_unknown_keys(content: Mapping[str, Any], known: Iterable[str], where: str = "") -> None:
    """Raise a ValueError that names the first key not in `known`, and the nearest valid one."""
    names = list(known)
    for key in content:
        if key not in names:
            raise ValueError(f"{where + ': ' if where else ''}unknown key {key!r}{did_you_mean(key, names)}")


def root_cause(error: BaseException) -> BaseException:
    """The original error: MONAI wraps errors of components in RuntimeErrors."""
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def listed(items: Iterable[object], *, limit: int = 5) -> str:
    """The first few of many, and how many more there are.

    >>> listed("abc"), listed("abcdefg")
    ('a, b, c', 'a, b, c, d, e and 2 more')
    """
    names = [str(item) for item in items]
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def counted(number: int, what: str) -> str:
    """A number with its noun.

    >>> counted(1, "image"), counted(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def facts_as_text(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Readable names and values as text; empty values are left out.

    >>> facts_as_text({"train_seconds": 12.5, "licence": "", "cases": {"test": 1200}})
    [('train seconds', '12.5'), ('cases', 'test: 1,200')]
    """
    shown = {name: value for name, value in facts.items() if value not in (None, "", [], {}, ())}
    return [(name.strip("_").replace("_", " "), _text(value)) for name, value in shown.items()]


def _text(value: Any) -> str:
    """A fact as readable text."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "–"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_text(item)}" for name, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
