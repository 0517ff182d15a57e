"""Text from requests, checked before it names a file or is stored: names of images and tags, file names, JSON."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, NoReturn

MAX_NAME_BYTES = 180
"""A file name may have 255 bytes; a suffix, and the temporary name during writing, must still fit."""
MAX_JSON_BYTES = 64 * 1024
MAX_JSON_DEPTH = 20
# control characters, unpaired surrogates, and line separators
_UNSUITABLE = ("Cc", "Cs", "Zl", "Zp")


def check_name(name: str, what: str) -> str:
    r"""A name that a request gives to a new image or a tag; it becomes part of a file's name and nothing else.

    Args:
        name: as received; any language, spaces, ``$``, ``%`` and ``#`` are allowed.
        what: what it names, for the message.

    Raises:
        ValueError: it is empty or too long, would lead to another folder, is hidden (``.x``, ``..``), or has control characters.

    >>> check_name("50% #1 läsion", "image")
    '50% #1 läsion'
    >>> check_name("../x", "image")
    Traceback (most recent call last):
    ValueError: image '../x': a name must not contain a slash or backslash
    """
    shown = shortened(name)
    if not name or name != name.strip():
        raise ValueError(f"{what} '{shown}': a name must not be empty, or begin or end with a space")
    if any(unicodedata.category(character) in _UNSUITABLE for character in name):
        raise ValueError(f"{what} '{shown}': a name must not contain line breaks or other control characters")
    if "/" in name or "\\" in name:
        raise ValueError(f"{what} '{shown}': a name must not contain a slash or backslash")
    if name.startswith("."):
        raise ValueError(f"{what} '{shown}': a name must not begin with a dot")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"{what} '{shown}': a name may have at most {MAX_NAME_BYTES} bytes, not {len(name.encode())}")
    return name


def split_file_name(path: str, suffixes: Iterable[str]) -> tuple[str, str]:
    r"""Stem and suffix of a file named by a client, with either kind of slash; the suffix as spelled, "" if it is none of `suffixes`.

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
    """A JSON object that can be stored and returned: limited in size, with finite numbers and valid text. Empty text is an empty object.

    Args:
        text: as received.
        what: the field, for the message.

    Raises:
        ValueError: it is not such an object.

    >>> parse_object('{"a": [1]}', "params")
    {'a': [1]}
    >>> parse_object('{"a": NaN}', "params")
    Traceback (most recent call last):
    ValueError: params: NaN is not a valid number in JSON
    """
    if len(text.encode(errors="replace")) > MAX_JSON_BYTES:
        raise ValueError(f"{what}: more than {MAX_JSON_BYTES // 1024} KiB of JSON")
    if not text.strip():
        return {}

    def refuse(constant: str) -> NoReturn:
        raise _NotJsonError(f"{what}: {constant} is not a valid number in JSON")

    try:
        content = json.loads(text, parse_constant=refuse)
    except _NotJsonError as error:
        raise ValueError(str(error)) from None
    except (ValueError, RecursionError):
        raise ValueError(f"{what}: not JSON: {shortened(text)}") from None
    if content is None:  # sent by clients that have nothing to say
        return {}
    if not isinstance(content, dict):
        raise ValueError(f'{what}: expected a JSON object {{"key": value, …}}, not {shortened(text)}')
    _check_kept(content, what)
    return content


class _NotJsonError(Exception):
    """A constant that Python's parser accepts but JSON does not have."""


def _check_kept(value: Any, what: str, depth: int = 0) -> None:
    """Refuse values that could not be sent back: infinite numbers, unpaired surrogates, deep nesting."""
    if depth > MAX_JSON_DEPTH:
        raise ValueError(f"{what}: JSON nested deeper than {MAX_JSON_DEPTH}")
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise ValueError(f"{what}: a number is too large")
    if isinstance(value, str) and any(unicodedata.category(character) == "Cs" for character in value):
        raise ValueError(f"{what}: invalid text (an unpaired surrogate)")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_kept(key, what, depth + 1)
            _check_kept(item, what, depth + 1)
    if isinstance(value, list):
        for item in value:
            _check_kept(item, what, depth + 1)


def shortened(text: str, length: int = 80) -> str:
    r"""A text for one line of a message: control characters and unpaired surrogates as escapes, truncated.

    >>> shortened("a\nb" + "c" * 100, length=10)
    'a\\nbccccc…'
    """
    shown = text[: length + 1].encode("unicode_escape").decode() if not text[: length + 1].isprintable() else text
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"
