"""The meaning of the numbers or colours in label files, if they are not simply 0 for background and 1, 2, … for the classes.

A value is a whole number (``2``) or a colour (``#ff0000``). A class may have several values; in a multilabel data set one value may
belong to several classes, as in BraTS (whole tumour: 1, 2 and 4; tumour core: 1 and 4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Value: TypeAlias = "int | str"
"""A whole number, or a colour as ``#rrggbb``."""

IGNORED = 255
"""In a label that was read: this pixel is ignored, both in the loss and in scores."""
MOST_CLASSES = IGNORED - 1
"""More do not fit into 8 bits beside `IGNORED`."""
LARGEST = 2**24 - 1
"""The largest number that may denote a class: the size of the lookup table."""
BACKGROUND = "background"
"""Name of the background, if it has other values than 0 or black."""


def read_values(value: object, where: str) -> tuple[Value, ...]:
    """The values denoted by a number, a text, or a list of them.

    Args:
        value: ``2``, ``"2"``, ``"1+2+4"`` (several), ``"255,0,0"`` or ``"#ff0000"`` (a colour), or a list of these.
        where: what the value belongs to, for the error.

    Raises:
        ValueError: it is none of these.

    >>> read_values(2, "edema"), read_values("1+4", "core"), read_values(["#FF0000", "255,255,0"], "vessel")
    ((2,), (1, 4), ('#ff0000', '#ffff00'))
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST:
        return (value,)
    if isinstance(value, str):
        return tuple(_read_value(part.strip(), where) for part in value.split("+"))
    if isinstance(value, Sequence) and value:
        return tuple(one for part in value for one in read_values(part, where))
    raise ValueError(f"{where}: expected a whole number, a colour such as '#ff0000', or a list of these, got {value!r}")


def _read_value(text: str, where: str) -> Value:
    if re.fullmatch(r"-?\d{1,8}", text) and abs(int(text)) <= LARGEST:
        return int(text)
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return text.lower()
    bands = [band.strip() for band in text.split(",")]
    if len(bands) == 3 and all(re.fullmatch(r"\d{1,3}", band) and int(band) <= 255 for band in bands):
        return "#" + "".join(f"{int(band):02x}" for band in bands)
    raise ValueError(
        f"{where}: {text!r} is neither a whole number nor a colour such as 255,0,0 (red, green, blue: 0 to 255)"
    )


def is_colour(value: Value) -> bool:
    """Whether a value is a colour."""
    return isinstance(value, str)


def code_of(value: Value) -> int:
    """A number itself, or a colour as one number, red first.

    >>> code_of(4), code_of("#000102")
    (4, 258)
    """
    return value if isinstance(value, int) else int(value[1:], 16)


def shown(value: Value) -> str:
    """A value as a person writes it: ``4``, or ``255,0,0``.

    >>> shown("#ff0000")
    '255,0,0'
    """
    return str(value) if isinstance(value, int) else ",".join(str(band) for band in bytes.fromhex(value[1:]))


@dataclass(frozen=True)
class LabelValues:
    """The values of each class in a label file with all classes.

    Args:
        by_name: (class, its values) for every class, and for ``background`` if it has other values than 0 or black.
    """

    by_name: tuple[tuple[str, tuple[Value, ...]], ...]

    @classmethod
    def from_dict(cls, content: object) -> LabelValues:
        """From dataset.json: class name to value or values.

        >>> LabelValues.from_dict({"core": [1, 4], "edema": 2}).to_dict()
        {'core': [1, 4], 'edema': 2}
        """
        if isinstance(content, LabelValues):
            return content
        if not isinstance(content, Mapping) or not content:
            raise ValueError(f"label_values: expected a mapping from class to value, got {content!r}")
        return cls(tuple((str(name), read_values(value, f"label_values: {name}")) for name, value in content.items()))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: values[0] if len(values) == 1 else list(values) for name, values in self.by_name}

    @property
    def are_colours(self) -> bool:
        """Whether the values are colours, not numbers."""
        return is_colour(self.by_name[0][1][0])

    @property
    def overlap(self) -> bool:
        """Whether a value belongs to several classes."""
        values = [value for name, of_one in self.by_name if name != BACKGROUND for value in of_one]
        return len(set(values)) < len(values)

    def codes(self, name: str) -> tuple[int, ...]:
        """The values of a class, or of the background, as `code_of` gives them."""
        return tuple(code_of(value) for value in dict(self.by_name).get(name, ()))

    def background(self, ignore: Iterable[Value] = ()) -> tuple[int, ...]:
        """The background's codes: as given, else 0 (black) unless a class or `ignore` has it."""
        given = self.codes(BACKGROUND)
        taken = {code_of(value) for _, values in self.by_name for value in values} | {code_of(v) for v in ignore}
        return given or tuple({0} - taken)

    def check(self, classes: Sequence[str], *, overlap: bool) -> None:
        """Raise ValueError unless every class has values of one kind, and no value two meanings (except if classes overlap)."""
        names = [name for name, _ in self.by_name]
        if unknown := [name for name in names if name not in (*classes, BACKGROUND)]:
            raise ValueError(
                f"label_values: {unknown[0]!r} is not one of the classes ({', '.join(classes)}) or {BACKGROUND}"
            )
        if lacking := [name for name in classes if name not in names]:
            raise ValueError(f"label_values: no value for {', '.join(lacking)}; give every class a value")
        values = [value for _, of_one in self.by_name for value in of_one]
        if len({is_colour(value) for value in values}) > 1:
            raise ValueError("label_values: contains numbers and colours; use one or the other")
        meanings: dict[Value, str] = {}
        for name, of_one in self.by_name:
            for value in of_one:
                other = meanings.setdefault(value, name)
                if other != name and not (overlap and BACKGROUND not in (other, name)):
                    raise ValueError(
                        f"label_values: {shown(value)} belongs to {other} and to {name}; give each class its own value"
                    )


def check_ignore(ignore: Sequence[Value], values: LabelValues | None) -> None:
    """Raise ValueError if an ignored value is that of a class, or of another kind than the classes' values."""
    if values is None:
        return
    for value in ignore:
        if is_colour(value) != values.are_colours:
            kind = "colours" if values.are_colours else "numbers"
            raise ValueError(f"ignore: {shown(value)} is of another kind than label_values, which are {kind}")
        owners = [name for name, of_one in values.by_name if value in of_one]
        if owners:
            raise ValueError(f"ignore: {shown(value)} belongs to {owners[0]} in label_values")


def parse_classes(options: Sequence[str]) -> tuple[tuple[str, ...], dict[str, tuple[Value, ...]]]:
    """Names and values from the command line: ``lesion``, ``edema=2``, ``core=1+4``, ``vessel=255,0,0``, ``background=#ffffff``.

    Returns:
        The classes' names without the background, in their order; and {name: values}, empty if none has a value.

    Raises:
        ValueError: only some have a value, or a value is not a number or colour.

    >>> parse_classes(["edema=2", "core=1+4"])
    (('edema', 'core'), {'edema': (2,), 'core': (1, 4)})
    """
    values: dict[str, tuple[Value, ...]] = {}
    names: list[str] = []
    for option in options:
        name, equals, text = (part.strip() for part in option.partition("="))
        if equals:
            values[name] = (*values.get(name, ()), *read_values(text, f"--class {option}"))
        if name.lower() != BACKGROUND and name not in names:
            names.append(name)
    if values and (lacking := [name for name in names if name not in values]):
        raise ValueError(
            f"--class {lacking[0]}: has no value although {next(iter(values))} has one; use {lacking[0]}=VALUE"
        )
    return tuple(names), values
