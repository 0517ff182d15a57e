"""Reading what was learnt back from JSON: nothing unknown, nothing missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from medseg_monai.program.messages import refuse_unknown_keys

Stored = TypeVar("Stored")


def from_json(kind: type[Stored], content: Mapping[str, Any], what: str) -> Stored:
    """An instance of a dataclass from the mapping of its fields.

    Args:
        kind: the dataclass, which checks its values itself.
        content: its fields.
        what: it is, for messages.

    Raises:
        ValueError: no mapping, an unknown key, a missing one, or a wrong value.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"{what}: a mapping is expected, got {content!r}")
    refuse_unknown_keys(content, [field.name for field in fields(kind)], what)  # type: ignore[arg-type]
    try:
        return kind(**content)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{what}: {error}") from error


def is_number(value: object) -> bool:
    """Whether it is an int or a float; True and False are not.

    >>> is_number(1), is_number(True), is_number("1")
    (True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool)
