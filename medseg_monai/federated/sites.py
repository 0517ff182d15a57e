"""A data set divided among pretended sites, to rehearse a federated training: no patient is at two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medseg_monai.dataset import Dataset, write_dataset
from medseg_monai.dataset.cases import Case, as_written

DIVIDED = ("training", "validation")
"""Splits of which each site gets a share; the test split is for all, so that networks can be compared."""
COMMON = "test"


def divide(dataset: Dataset, count: int, *, seed: int = 0) -> list[Dataset]:
    """A data set for each of so many sites, with a share of the training and of the validation cases, and without test cases.

    Shares are as equal as the groups (patients) allow; which group goes where depends only on its name and the seed.

    Raises:
        ValueError: there are fewer groups than sites.
    """
    if count < 2:
        raise ValueError(f"a data set is divided among 2 sites or more, not {count}")
    shares = {split: _shares(dataset.cases(split), count, seed, split) for split in DIVIDED}
    return [
        replace(
            dataset,
            training=tuple(map(as_written, shares["training"][number])),
            validation=tuple(map(as_written, shares["validation"][number])),
            test=(),
        )
        for number in range(count)
    ]


def write_sites(dataset: Dataset, folder: Path, count: int, *, seed: int = 0) -> list[Path]:
    """Write ``site-1/dataset.json`` … and ``test/dataset.json`` with the test cases, if there are any; no image is copied.

    Returns:
        The sites' folders.

    Raises:
        ValueError: as `divide` says.
    """
    folders = [folder / f"site-{number}" for number in range(1, count + 1)]
    for place, part in zip(folders, divide(dataset, count, seed=seed), strict=True):
        write_dataset(part, place)
    if dataset.test:
        write_dataset(replace(dataset, training=(), validation=()), folder / COMMON)
    return folders


def _shares(cases: Sequence[Case], count: int, seed: int, split: str) -> list[list[Case]]:
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case["group"], []).append(case)
    if len(groups) < count:
        raise ValueError(f"{len(groups)} patients among the {split} cases cannot be divided among {count} sites")
    # large groups first, each to the site that has least: shares differ by less than the largest group
    order = sorted(groups, key=lambda group: (-len(groups[group]), _drawn(group, seed)))
    shares: list[list[Case]] = [[] for _ in range(count)]
    for group in order:
        min(shares, key=len).extend(groups[group])
    return shares


def _drawn(group: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}:{group}".encode("utf-8", "surrogatepass")).digest()
