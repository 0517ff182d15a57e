"""Splits of many pictures of few patients: patients stay whole, and the splits are similar in content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg_monai.prepare.pairs import LeftOut, Pair
from medseg_monai.prepare.splits import read_splits
from medseg_monai.program.messages import listed

TEST_SHARE = 0.15
FOLDS = 5
TRIES = 100
"""Number of dealing orders to try; the most even result is kept."""


def deal(groups: Mapping[str, Sequence[int]], shares: Sequence[float], *, seed: int = 0) -> dict[str, int]:
    """Assign each group to a part, undivided, so that the parts come close to `shares` in every count at once.

    Groups are dealt largest first (in an order slightly reshuffled for each try), each to the part that it brings closest to its
    shares. The result depends on the groups' names, their counts and the seed, not on their order or the machine.

    Args:
        groups: for each group, its counts of each kind (slices, slices with a stomach …).
        shares: of the parts, summing to 1.
        seed: another seed gives another dealing.

    Raises:
        ValueError: there are fewer groups than parts.

    >>> deal({"a": [4, 0], "b": [0, 4], "c": [2, 0], "d": [0, 2], "e": [2, 0], "f": [0, 2]}, [0.5, 0.5])["a"]
    0
    """
    if len(groups) < len(shares):
        raise ValueError(f"{len(groups)} groups cannot make {len(shares)} parts")
    names = sorted(groups, key=lambda name: hashlib.blake2b(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest())
    counts = np.array([groups[name] for name in names], float)
    totals = counts.sum(axis=0)
    counts = counts[:, totals > 0] / totals[totals > 0]
    rng = np.random.default_rng(seed)
    tries = [_dealt(counts, np.asarray(shares), rng) for _ in range(TRIES)]
    best = min(range(TRIES), key=lambda number: tries[number][0])
    return {name: int(part) for name, part in zip(names, tries[best][1], strict=True)}


def _dealt(
    counts: NDArray[np.float64], shares: NDArray[np.float64], rng: np.random.Generator
) -> tuple[float, NDArray[np.intp]]:
    """How uneven one dealing of (groups, kinds) counts is, and each group's part."""
    order = np.argsort(-counts.sum(axis=1) * rng.uniform(0.7, 1.3, len(counts)), kind="stable")
    over = np.repeat(-shares[:, None], counts.shape[1], axis=1)  # (parts, kinds): a part's excess over its share
    part_of = np.zeros(len(counts), np.intp)
    filled = np.zeros(len(shares), np.bool_)
    for dealt, group in enumerate(order):
        worse = (2 * over * counts[group] + counts[group] ** 2).sum(axis=1)
        if len(counts) - dealt <= np.count_nonzero(~filled):  # the last groups go to parts that have none
            worse[filled] = np.inf
        part = int(np.argmin(worse))
        over[part] += counts[group]
        filled[part] = True
        part_of[group] = part
    return float((over**2).sum()), part_of


def dealt_splits(pairs: Sequence[Pair], classes: Sequence[str], *, fold: int = 0, seed: int = 0) -> list[Pair]:
    """Pairs with their splits: some groups for testing, the others in five folds, of which one is the validation split.

    Test split and folds are similar in the numbers of pairs, of empty pairs, and of pairs with each class.

    Args:
        pairs: with ``group`` and ``present``.
        classes: names of the classes.
        fold: which fold is the validation split.
        seed: for the dealing.

    Raises:
        ValueError: there are fewer than three groups, or the fold does not exist.
    """
    counts = {group: [0] * (2 + len(classes)) for group in _groups(pairs)}
    for pair in pairs:
        present = pair.present or ()
        counted = [1, not present, *(name in present for name in classes)]
        counts[pair.group] = [total + int(one) for total, one in zip(counts[pair.group], counted, strict=True)]
    if len(counts) < 3:
        raise ValueError(f"{len(counts)} cases cannot make three splits; name the splits in a CSV")
    tested = deal(counts, [1 - TEST_SHARE, TEST_SHARE], seed=seed)
    rest = {group: counts[group] for group in sorted(counts) if tested[group] == 0}
    if len(rest) < 2:  # of three groups, one for each split
        rest = {group: counts[group] for group in sorted(counts)[:2]}
    folds = min(FOLDS, len(rest))
    if fold not in range(folds):
        raise ValueError(f"fold: must be 0 to {folds - 1}, got {fold}")
    fold_of = deal(rest, [1 / folds] * folds, seed=seed)
    split_of = {group: "validation" if number == fold else "training" for group, number in fold_of.items()}
    return [replace(pair, split=split_of.get(pair.group, "test"), fold=fold_of.get(pair.group)) for pair in pairs]


def splits_by_table(pairs: Sequence[Pair], file: Path) -> tuple[list[Pair], list[LeftOut]]:
    """Pairs with the splits that a table gives them, and pairs not in the table; a slice overrides its scan, a scan its patient.

    Raises:
        FileNotFoundError, ValueError: the table does not exist, cannot be read, or names none of the pairs.
    """
    table = read_splits(file)
    named, gone = [], []
    for pair in pairs:
        names = (pair.id, pair.id.partition("_slice")[0], pair.group)
        split = next((table[name] for name in names if name in table), "")
        if split:
            named.append(replace(pair, split=split))
        else:
            gone.append((pair.image, f"not named in {file.name}"))
    if not named:
        raise ValueError(f"{file}: names none of the slices, scans or cases here (cases: {listed(_groups(pairs))})")
    return named, gone


def _groups(pairs: Iterable[Pair]) -> list[str]:
    return list(dict.fromkeys(pair.group for pair in pairs))
