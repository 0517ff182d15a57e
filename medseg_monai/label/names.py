"""What a request brings as text, checked before it names a file or is kept: names of images and tags, file names, JSON."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, NoReturn

MAX_NAME_BYTES = 180
"""A file's name may have 255 bytes; a suffix, and what a file is called while it is written, must still fit."""
MAX_JSON_BYTES = 64 * 1024
MAX_JSON_DEPTH = 20
# control characters, halves of characters, and what ends a line
_UNSUITABLE = ("Cc", "Cs", "Zl", "Zp")


def check_name(name: str, what: str) -> str:
    r"""A name that a request gives to a new image or a tag; it becomes part of a file's name and nothing else.

    Args:
        name: as it came; any language, spaces, ``$``, ``%`` and ``#`` are welcome.
        what: what it names, for the message.

    Raises:
        ValueError: it is empty or too long, would lead to another folder, is hidden (``.x``, ``..``), or holds control characters.

    >>> check_name("50% #1 läsion", "image")
    '50% #1 läsion'
    >>> check_name("../x", "image")
    Traceback (most recent call last):
    ValueError: image '../x': a name has no slash or backslash
    """
    shown = shortened(name)
    if not name or name != name.strip():
        raise ValueError(f"{what} '{shown}': a name is not empty and neither begins nor ends with a space")
    if any(unicodedata.category(character) in _UNSUITABLE for character in name):
        raise ValueError(f"{what} '{shown}': a name has no line breaks or other control characters")
    if "/" in name or "\\" in name:
        raise ValueError(f"{what} '{shown}': a name has no slash or backslash")
    if name.startswith("."):
        raise ValueError(f"{what} '{shown}': a name does not begin with a dot")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"{what} '{shown}': a name has at most {MAX_NAME_BYTES} bytes, not {len(name.encode())}")
    return name


def split_file_name(path: str, suffixes: Iterable[str]) -> tuple[str, str]:
    r"""Stem and suffix of a file that a client names, by whichever slashes; the suffix as it is spelled, "" if it is none of `suffixes`.

    >>> split_file_name("C:\\scans\\1.2.840.NII.GZ", (".nii", ".nii.gz"))
    ('1.2.840', '.NII.GZ')
    >>> split_file_name("../a.jpg/b.exe", (".jpg",))
    ('b.exe', '')
    """
    name = re.split(r"[/\\]", path)[-1]
    for suffix in sorted(suffixes, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], name[-len(suffix) :]
    return name, ""


def parse_object(text: str, what: str) -> dict[str, Any]:
    """A JSON object that can be kept and given back: bounded, with finite numbers and whole characters. Empty text is an empty object.

    Args:
        text: as it came.
        what: the field, for the message.

    Raises:
        ValueError: it is something else.

    >>> parse_object('{"a": [1]}', "params")
    {'a': [1]}
    >>> parse_object('{"a": NaN}', "params")
    Traceback (most recent call last):
    ValueError: params: NaN is not a number that JSON has
    """
    if len(text.encode(errors="replace")) > MAX_JSON_BYTES:
        raise ValueError(f"{what}: more than {MAX_JSON_BYTES // 1024} KiB of JSON")
    if not text.strip():
        return {}

    def refuse(constant: str) -> NoReturn:
        raise _NotJsonError(f"{what}: {constant} is not a number that JSON has")

    try:
        content = json.loads(text, parse_constant=refuse)
    except _NotJsonError as error:
        raise ValueError(str(error)) from None
    except (ValueError, RecursionError):
        raise ValueError(f"{what}: not JSON: {shortened(text)}") from None
    if content is None:  # what clients without anything to say may send
        return {}
    if not isinstance(content, dict):
        raise ValueError(f'{what}: a JSON object {{"key": value, …}} is expected, not {shortened(text)}')
    _check_kept(content, what)
    return content


class _NotJsonError(Exception):
    """A constant that Python's parser takes and JSON does not have."""


def _check_kept(value: Any, what: str, depth: int = 0) -> None:
    """Refuse what could not be sent back: infinite numbers, halves of characters, towers of brackets."""
    if depth > MAX_JSON_DEPTH:
        raise ValueError(f"{what}: JSON nested deeper than {MAX_JSON_DEPTH}")
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise ValueError(f"{what}: a number is too large")
    if isinstance(value, str) and any(unicodedata.category(character) == "Cs" for character in value):
        raise ValueError(f"{what}: half a character (an unpaired surrogate) in a text")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_kept(key, what, depth + 1)
            _check_kept(item, what, depth + 1)
    if isinstance(value, list):
        for item in value:
            _check_kept(item, what, depth + 1)


def shortened(text: str, length: int = 80) -> str:
    r"""A text for one line of a message: control characters and halves of characters as escapes, the end left off.

    >>> shortened("a\nb" + "c" * 100, length=10)
    'a\\nbccccc…'
    """
    shown = text[: length + 1].encode("unicode_escape").decode() if not text[: length + 1].isprintable() else text
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"
