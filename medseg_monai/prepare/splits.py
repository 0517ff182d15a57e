"""Assigning cases to training, validation and test: by a table, or drawn by group from a seed."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from medseg_monai.dataset import SPLITS
from medseg_monai.files.csv_tables import unescaped
from medseg_monai.images.photos import SUFFIXES
from medseg_monai.images.volumes import volume_suffix
from medseg_monai.program.messages import did_you_mean, listed

FRACTIONS = (0.7, 0.15, 0.15)
"""Shares of training, validation and test in a drawn split."""
_OTHER_NAMES = {
    "train": "training",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
}


def table_of_splits(given: Path | None, raw: Path) -> Path | None:
    """The table that decides the splits: the one that was given, else ``splits.csv`` in the raw folder; None if there is neither."""
    own = raw / "splits.csv"
    return given or (own if own.is_file() else None)


def split_named(name: str) -> str:
    """The split that a word means, or an empty string.

    >>> split_named("Train"), split_named("test"), split_named("fold1")
    ('training', 'test', '')
    """
    split = _OTHER_NAMES.get(name.lower(), name.lower())
    return split if split in SPLITS else ""


def read_splits(file: Path) -> dict[str, str]:
    """``image_id,split`` as {id: split}; an id may carry the file's suffix.

    Raises:
        FileNotFoundError, ValueError: the file does not exist; a column is missing, a split unknown, or an id named twice.
    """
    splits = {}
    for line, name, split in read_table(file, "split"):
        splits[name] = split_named(split)
        if not splits[name]:
            raise ValueError(f"{file}: line {line}: unknown split {split!r}{did_you_mean(split, SPLITS)}")
    return splits


def read_table(file: Path, column: str) -> list[tuple[int, str, str]]:
    """(line, image id, value) of a CSV file with the columns ``image_id`` and `column`.

    Raises:
        FileNotFoundError, ValueError: the file does not exist, is not readable text, lacks a column or names an id twice.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; expected a CSV with the columns image_id,{column}")
    fields, lines = read_rows(file)
    for name in ("image_id", column):
        if name not in fields:
            raise ValueError(_lacks(file, name, fields))
    rows = [(line, image_id(row["image_id"]), row[column].strip()) for line, row in lines]
    if twice := [name for name, count in Counter(name for _, name, _ in rows).items() if count > 1]:
        raise ValueError(f"{file}: {len(twice)} ids are named more than once: {listed(twice)}")
    return rows


def read_leave_out(file: Path) -> dict[str, str]:
    """Which images to leave out, and why: {id: reason} of a CSV file with the column ``image_id`` and, if it has one, ``reason``.

    An id may carry the file's suffix.

    Raises:
        FileNotFoundError, ValueError: the file does not exist, is not readable text, or lacks the column.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; expected a CSV with the column image_id")
    fields, lines = read_rows(file)
    if "image_id" not in fields:
        raise ValueError(_lacks(file, "image_id", fields))
    named = {image_id(unescaped(row["image_id"])): unescaped((row.get("reason") or "").strip()) for _, row in lines}
    return {name: reason for name, reason in named.items() if name}


def _lacks(file: Path, column: str, fields: Sequence[str]) -> str:
    has = ", ".join(fields)
    return (
        f"{file}: no column {column!r}; its first line has: {has}; rename one of them"
        if has
        else (f"{file}: no column {column!r}; its first line has: nothing")
    )


def read_rows(file: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns of a CSV file, and each row with its line number; separated by commas, semicolons or tabs.

    Raises:
        ValueError: the file is neither UTF-8 nor UTF-16 text.
    """
    text = _text(file)
    first = text.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), restval="")
    try:
        rows = [(reader.line_num, {name: row[name] for name in reader.fieldnames or []}) for row in reader]
    except csv.Error as error:
        raise ValueError(f"{file}: line {reader.line_num}: {error}") from None
    return list(reader.fieldnames or []), rows


def _text(file: Path) -> str:
    """UTF-8, or UTF-16 as Excel's "Unicode text" and Windows tools write it, with or without a byte-order mark."""
    content = file.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif b"\0" in content[:2]:  # the first character is that of a column name, and none of these is above 255
        encoding = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    else:
        encoding = "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{file}: line {line} is not {'UTF-8' if encoding == 'utf-8-sig' else 'UTF-16'} text (Latin-1, perhaps); "
            "save the table as CSV in UTF-8"
        ) from None


def image_id(text: str | None) -> str:
    """An id in a table: composed, and without the suffix of an image file."""
    name = unicodedata.normalize("NFC", (text or "").strip())
    suffix = Path(name).suffix
    suffix = suffix if suffix.lower() in SUFFIXES else volume_suffix(name)
    return name[: len(name) - len(suffix)]


def fractions_for(groups: int, fractions: Sequence[float]) -> tuple[float, ...]:
    """The shares for so few groups: without a test split, then without validation.

    >>> fractions_for(2, (0.5, 0.25, 0.25)), fractions_for(9, (0.5, 0.25, 0.25))
    ((0.6666666666666666, 0.3333333333333333, 0.0), (0.5, 0.25, 0.25))
    """
    kept = list(fractions)
    for place in (2, 1):
        if len(kept) == 3 and sum(share > 0 for share in kept) > max(1, groups):
            kept[place] = 0.0
    return tuple(fractions) if kept == list(fractions) else tuple(share / sum(kept) for share in kept)


def draw_splits(groups: Mapping[str, str], *, seed: int = 0, fractions: Sequence[float] = FRACTIONS) -> dict[str, str]:
    """Draw a split for each case so that no group is divided and the shares are as close as the groups allow.

    The groups' order depends only on their names and the seed, and is cut twice. Hence the result
    depends neither on the order of files nor on the machine, and new cases move only groups near a cut.

    Args:
        groups: {case id: group}.
        seed: another seed gives another order.
        fractions: shares of training, validation and test; 0 leaves one out.

    Raises:
        ValueError: there are fewer groups than splits, or the fractions do not sum to 1.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"fractions: expected three numbers that sum to 1, got {list(fractions)}")
    wanted = [(split, share) for split, share in zip(SPLITS, fractions, strict=True) if share > 0]
    sizes = Counter(groups.values())
    order = sorted(
        sizes, key=lambda group: hashlib.blake2b(f"{seed}:{group}".encode("utf-8", "surrogatepass")).digest()
    )
    if len(order) < len(wanted):
        raise ValueError(
            f"{len(order)} groups of images cannot make {len(wanted)} splits; add images, or name the splits in a CSV"
        )
    totals = list(accumulate((sizes[group] for group in order), initial=0))
    split_of: dict[str, str] = {}
    start, share_so_far = 0, 0.0
    for number, (split, share) in enumerate(wanted):
        share_so_far += share
        after = len(wanted) - number - 1  # splits still to come: each needs a group
        target = share_so_far * totals[-1]
        ends = range(start + 1, len(order) - after + 1)
        end = min(ends, key=lambda i: abs(totals[i] - target)) if after else len(order)
        split_of.update(dict.fromkeys(order[start:end], split))
        start = end
    return {name: split_of[group] for name, group in groups.items()}
