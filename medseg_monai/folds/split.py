"""Folds of a data set: no group is divided, sizes are alike, and classes and their sizes are spread evenly.

scikit-learn's ``StratifiedGroupKFold`` knows one class per case and does not balance sizes; cases here show several classes.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset import Dataset
from medseg_monai.dataset.cases import Case, as_list, as_written
from medseg_monai.dataset.leaks import same_content
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks, split_ignored
from medseg_monai.grids.truth import read_truth

POOL = ("training", "validation")
"""The splits whose cases folds are made of; the test split stays as it is."""


@dataclass(frozen=True)
class Member:
    """A case, as far as folds depend on it.

    Attributes:
        case: its id.
        group: patient or lesion.
        classes: share of the picture that each class covers, by name; those that are not shown are not there.
    """

    case: str
    group: str
    classes: Mapping[str, float] = field(default_factory=dict)


@dataclass
class _Fold:
    """What has been put into a fold so far."""

    cases: int = 0
    shown: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    covered: float = 0.0


def draw_folds(members: Sequence[Member], count: int, *, seed: int = 0) -> dict[str, int]:
    """The fold of each case, from 0.

    Groups come in an order in which those that follow each other are alike: by their number of cases, their classes (the rarest decides
    first) and what these cover. Each goes to one of the folds that have the fewest cases, of these to the one with the fewest cases of
    its classes. So no two folds differ by more cases than the largest group has, and equal groups are dealt out like cards. The order of
    the cases decides nothing.

    Args:
        members: the cases.
        count: of folds, 2 or more.
        seed: another seed deals groups that are alike in another order.

    Raises:
        ValueError: fewer groups than folds, or a single fold.
    """
    groups: dict[str, list[Member]] = defaultdict(list)
    for member in members:
        groups[member.group].append(member)
    if count < 2:
        raise ValueError(f"folds: at least 2 are needed, got {count}")
    if len(groups) < count:
        raise ValueError(f"{count} folds need at least {count} groups (patients, lesions), and there are {len(groups)}")
    rarity = _totals(members)
    folds = [_Fold() for _ in range(count)]
    fold_of: dict[str, int] = {}
    for group in sorted(groups, key=lambda name: _order(name, groups[name], rarity, seed)):
        shown, covered = _totals(groups[group]), _covered(groups[group])
        fewest = min(fold.cases for fold in folds)
        open_folds = [number for number, fold in enumerate(folds) if fold.cases == fewest]
        chosen = min(
            open_folds,
            key=lambda number: (
                sum(cases * folds[number].shown[name] / rarity[name] for name, cases in shown.items()),
                folds[number].covered,
                number,
            ),
        )
        folds[chosen].cases += len(groups[group])
        folds[chosen].covered += covered
        for name, cases in shown.items():
            folds[chosen].shown[name] += cases
        fold_of.update({member.case: chosen for member in groups[group]})
    return {member.case: fold_of[member.case] for member in members}


def _order(name: str, group: Sequence[Member], rarity: Mapping[str, int], seed: int) -> tuple[Any, ...]:
    shown = _totals(group)
    by_class = tuple(-shown.get(each, 0) for each in sorted(rarity, key=lambda each: (rarity[each], each)))
    chance = hashlib.blake2b(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest()
    return -len(group), by_class, round(_covered(group), 3), chance


def _totals(members: Sequence[Member]) -> dict[str, int]:
    """Number of cases that show each class."""
    totals: dict[str, int] = defaultdict(int)
    for member in members:
        for name in member.classes:
            totals[name] += 1
    return totals


def _covered(members: Sequence[Member]) -> float:
    return sum(sum(member.classes.values()) for member in members)


def members_of(dataset: Dataset) -> list[Member]:
    """The cases that folds are made of, with what their labels show.

    Labels are read, unless every case says in ``present`` which classes it shows. Cases whose images are the same to the byte are of one
    group, whatever the data set says.
    """
    cases = [case for split in POOL for case in dataset.cases(split)]
    same = _joined(cases)
    shown = _said(cases) or [_shares(read_truth(case, None, dataset.spec), dataset.spec) for case in cases]
    return [Member(case["id"], same[str(case["group"])], classes) for case, classes in zip(cases, shown, strict=True)]


def _joined(cases: Sequence[Case]) -> dict[str, str]:
    """For groups that share an image: the group that they become."""
    group_of = {case["id"]: str(case["group"]) for case in cases}
    images = {case["id"]: [[Path(file) for file in as_list(case["image"])]] for case in cases}
    joined = {group: group for group in group_of.values()}

    def root(group: str) -> str:
        while joined[group] != group:
            group = joined[group]
        return group

    for copies in same_content(images):
        first, *others = sorted({root(group_of[case]) for case in copies})
        joined.update(dict.fromkeys(others, first))
    return {group: root(group) for group in joined}


def _said(cases: Sequence[Case]) -> list[dict[str, float]]:
    """What the cases say of themselves; nothing unless all do."""
    if any(case.get("present") is None for case in cases):
        return []
    return [dict.fromkeys(case["present"], 0.0) for case in cases]


def _shares(label: NDArray[np.uint8], spec: DatasetSpec) -> dict[str, float]:
    """The share of a label, as `read_truth` reads it, that each class covers; those that are not shown are not there."""
    masks, _ = split_ignored(label)
    shares = {
        name: float(plane.mean())
        for name, plane in zip(spec.classes, class_masks(masks, len(spec.classes)), strict=True)
    }
    return {name: share for name, share in shares.items() if share > 0}


def fold_datasets(dataset: Dataset, fold_of: Mapping[str, int], count: int) -> list[Dataset]:
    """For each fold the data set whose validation split it is; the other folds are for training, and the test split stays.

    Args:
        dataset: the whole.
        fold_of: what `draw_folds` gave.
        count: of folds.
    """
    pool = [case for split in POOL for case in dataset.cases(split)]
    test = tuple(map(as_written, dataset.cases("test")))
    return [
        Dataset(
            dataset.spec,
            dataset.root,
            training=tuple(as_written(case) for case in pool if fold_of[case["id"]] != number),
            validation=tuple(as_written(case) for case in pool if fold_of[case["id"]] == number),
            test=test,
        )
        for number in range(count)
    ]
