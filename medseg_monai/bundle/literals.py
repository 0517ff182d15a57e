"""Values from outside, written so that MONAI's ConfigParser treats them as plain values and never as config.

To MONAI a text that begins with ``$`` is code to run, ``%`` and ``@`` fetch other parts of the config, ``#`` and ``::`` separate keys
(inside any text), and a dictionary with ``_target_`` is a call. File names, options, HTTP requests and data sets may contain all of these.
`literal` turns such a value into the only form that survives: an expression that is nothing but a Python literal. It needs no state
besides the config, so it may also be written to a file (MLflow's record of the config, the overrides of a subprocess).

Only real config reaches the parser without it: config files, ``--overlay`` and ``--set``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

_SYNTAX = str.maketrans({character: f"\\x{ord(character):02x}" for character in "@%#"})
_NUMBERS = (bool, int, float, type(None))


def literal(value: Any) -> Any:
    r"""The config entry whose parsed content is `value`, whatever it contains.

    Args:
        value: text, a path (which becomes its text), a number or None; lists, tuples and dictionaries of these, nested to any depth.
            Other objects (a ``torch.device``) have no meaning to the parser and are returned unchanged.

    Raises:
        TypeError: a list or dictionary contains another object.

    >>> literal("a#1 50%.jpg")
    "$'a\\x231 50\\x25.jpg'"
    >>> literal(3)
    3
    """
    if isinstance(value, str | PurePath | Mapping | list | tuple):
        return f"${_source(value)}"
    return value


def literals(values: Mapping[str, Any]) -> dict[str, Any]:
    """`literal` of every value of a dictionary of config keys.

    Raises:
        ValueError: a key names a part of MONAI's own syntax (``inferer#_target_``), which decides what is called and is not a value.
    """
    for key in values:
        if syntax := [part for part in re.split("#|::", key) if part.startswith("_")]:
            raise ValueError(f"{key}: {syntax[0]} decides what a config runs; change it with --set or in a config file")
    return {key: literal(value) for key, value in values.items()}


def inert(text: str) -> str:
    """A text for a file that MONAI parses as config and others read literally (metadata.json): the text, with spaces inserted where MONAI
    would see an expression, a macro or a reference.

    >>> inert("lesion, 50% #1"), inert("$import os"), inert("a@#b")
    ('lesion, 50% #1', ' $import os', 'a@ #b')
    """
    return re.sub(r"(?<=[@%])(?=#|::)", " ", re.sub(r"\A(?=[$%@])", " ", text))


def _source(value: Any) -> str:
    """Python source of a literal, without anything that MONAI looks for in texts."""
    if isinstance(value, PurePath):
        return _quoted(str(value))
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_source(key)}: {_source(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_source, value)) + "]"
    if isinstance(value, tuple):
        return "(" + "".join(f"{_source(item)}, " for item in value) + ")"
    if isinstance(value, _NUMBERS):
        return _number(value)
    raise TypeError(
        f"{value!r} ({type(value).__name__}) is in a list or dictionary, which may contain only text, paths, numbers and None"
    )


def _quoted(text: str) -> str:
    """A text in quotes: ASCII, so that bytes of a file name that are not UTF-8 (surrogates) are allowed too.

    MONAI parses every expression that contains the word import again for each part of the config: it is split, only for speed.
    """
    plain = str.__str__(text)  # of an Enum or numpy's str, the text itself
    return ascii(plain).translate(_SYNTAX).replace("import", "\\x69mport")


def _number(value: float | None) -> str:
    if isinstance(value, float):
        return float.__repr__(value) if math.isfinite(value) else f"float('{float(value)}')"
    return repr(value) if value is None or isinstance(value, bool) else int.__repr__(value)
