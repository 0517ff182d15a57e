"""Checks of single values in the dataclasses that describe a data set; a ValueError names the key."""

from __future__ import annotations

from collections.abc import Sequence

from medseg_monai.program.messages import did_you_mean


def store(instance: object, key: str, value: object) -> None:
    """Store a normalised value in a frozen dataclass during its construction."""
    object.__setattr__(instance, key, value)


def check_one_of(key: str, value: object, allowed: Sequence[str]) -> None:
    """Refuse a value that is none of the allowed ones."""
    if value not in allowed:
        raise ValueError(f"{key}: got {value!r}{did_you_mean(value, allowed)}")


def as_numbers(key: str, value: object) -> tuple[float, ...]:
    """A list of finite numbers as a tuple."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ValueError(f"{key}: expected a list of numbers, got {value!r}")
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < float("inf") for n in value):
        raise ValueError(f"{key}: expected numbers, got {list(value)!r}")
    return tuple(value)


def as_names(key: str, value: object) -> tuple[str, ...]:
    """A list of different names that are not empty, as a tuple."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ValueError(f"{key}: expected a list of names, got {value!r}")
    names = tuple(value)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError(f"{key}: every name must be a text that is not empty, got {list(names)!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"{key}: every name may occur only once, got {', '.join(names)}")
    return names
