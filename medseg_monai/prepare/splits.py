"""Which case goes to training, validation or test: by a table, or drawn by group from a seed."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from medseg_monai.dataset import SPLITS
from medseg_monai.images.photos import SUFFIXES
from medseg_monai.images.volumes import volume_suffix
from medseg_monai.leaks import listed
from medseg_monai.spec import did_you_mean

FRACTIONS = (0.7, 0.15, 0.15)
"""Shares of training, validation and test in a drawn split."""
_OTHER_NAMES = {"train": "training", "val": "validation", "valid": "validation"}


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
        FileNotFoundError, ValueError: there is no such file; a column is missing, a split unknown, an id named twice.
    """
    splits = {}
    for line, name, split in read_table(file, "split"):
        splits[name] = split_named(split)
        if not splits[name]:
            raise ValueError(f"{file}: line {line}: no split {split!r}{did_you_mean(split, SPLITS)}")
    return splits


def read_table(file: Path, column: str) -> list[tuple[int, str, str]]:
    """(line, image id, value) of a CSV file with the columns ``image_id`` and `column`."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; a CSV with the columns image_id,{column} is wanted")
    with file.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        fields = reader.fieldnames or []
        for name in ("image_id", column):
            if name not in fields:
                raise ValueError(f"{file}: no column {name!r}; its first line has: {', '.join(fields) or 'nothing'}")
        rows = [(reader.line_num, _id(row["image_id"]), (row[column] or "").strip()) for row in reader]
    if twice := [name for name, count in Counter(name for _, name, _ in rows).items() if count > 1]:
        raise ValueError(f"{file}: {len(twice)} ids are named more than once: {listed(twice)}")
    return rows


def _id(text: str | None) -> str:
    name = (text or "").strip()
    suffix = Path(name).suffix
    suffix = suffix if suffix.lower() in SUFFIXES else volume_suffix(name)
    return name[: len(name) - len(suffix)]


def draw_splits(groups: Mapping[str, str], *, seed: int = 0, fractions: Sequence[float] = FRACTIONS) -> dict[str, str]:
    """Draw a split for each case so that no group is divided and the shares come as near as groups allow.

    Groups stand in an order that their name and the seed alone decide, and that order is cut twice. Hence the result
    depends neither on the order of files nor on the machine, and new cases move only groups near a cut.

    Args:
        groups: {case id: group}.
        seed: another seed, another order.
        fractions: shares of training, validation and test; 0 leaves one out.

    Raises:
        ValueError: there are fewer groups than splits, or the fractions do not sum to 1.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"fractions: three numbers that sum to 1 are expected, got {list(fractions)}")
    wanted = [(split, share) for split, share in zip(SPLITS, fractions, strict=True) if share > 0]
    sizes = Counter(groups.values())
    order = sorted(sizes, key=lambda group: hashlib.blake2b(f"{seed}:{group}".encode()).digest())
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
