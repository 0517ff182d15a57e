"""The network among several annotators: does it agree with each of them as they agree with each other?

A score against one person's outlines cannot be better than the people are among themselves. If a case has masks of several, the
network's Jaccard to each is compared with theirs to each other. Kohl et al. 2018 (arXiv:1806.05034) and Joskowicz et al. 2019
(doi:10.1007/s00330-018-5695-5) show how far experts differ.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.case_columns import MaskFiles
from medseg_monai.evaluation.intervals import mean_interval
from medseg_monai.evaluation.labels import Label, one_by_one
from medseg_monai.evaluation.metrics import split_ignored
from medseg_monai.evaluation.summary import Estimate
from medseg_monai.evaluation.surfaces import Mask
from medseg_monai.files.csv_tables import csv_text, read_records
from medseg_monai.files.markdown import markdown_table
from medseg_monai.files.writing import write_whole
from medseg_monai.grids import Grid
from medseg_monai.grids.truth import read_truth
from medseg_monai.inference.cases import UNUSABLE

logger = logging.getLogger(__name__)

AGREEMENT_FILE = "agreement.csv"
NETWORK = "network"
LEAST = 2
"""Annotators that a case must have."""


@dataclass(frozen=True)
class PairJaccard:
    """Two masks of a class in a case.

    Attributes:
        case: the case's id.
        class_name: the class.
        one: an annotator, or `NETWORK`.
        other: an annotator.
        jaccard: of the two masks, 1 if both are empty.
    """

    case: str
    class_name: str
    one: str
    other: str
    jaccard: float


@dataclass(frozen=True)
class Agreement:
    """A network among annotators, over cases.

    Attributes:
        class_name: the class.
        who: an annotator, or empty for all of them.
        cases: with two annotators or more.
        network: the network's mean Jaccard to the annotator, or to all of a case.
        annotators: the other annotators' to this one, or the mean over the pairs of a case.
        difference: the first minus the second, per case.
    """

    class_name: str
    who: str
    cases: int
    network: Estimate
    annotators: Estimate
    difference: Estimate


class Annotators:
    """Compares the masks of a network with those of annotators while an evaluation runs.

    Args:
        masks: files by annotator by case id, as `medseg_monai.evaluation.case_columns.annotator_masks` gives them.
        spec: what the weights know.

    Attributes:
        pairs: all that were compared so far.
        unread: masks that could not be read, with the reason.
    """

    def __init__(self, masks: Mapping[str, Mapping[str, MaskFiles]], spec: DatasetSpec) -> None:
        self.masks, self.spec = masks, spec
        self.pairs: list[PairJaccard] = []
        self.unread: list[str] = []

    def clear(self) -> None:
        """Forget what was compared."""
        self.pairs.clear()
        self.unread.clear()

    def add(self, case: Mapping[str, Any], grid: Grid, pred: Label) -> None:
        """Compare a case's predicted label, on the image's own grid, with its annotators' and theirs with each other.

        Pixels that one of them ignores count for none.
        """
        labels: dict[str, Label] = {}
        for name, files in self.masks.get(case["id"], {}).items():
            try:
                labels[name] = read_truth({**case, "label": files}, grid, self.spec)
            except UNUSABLE as error:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                self.unread.append(f"{name}, case {case['id']}: {reason}")
                logger.warning("annotator %s", self.unread[-1])
        if len(labels) >= LEAST:
            self.pairs += compare_labels(case["id"], pred, labels, self.spec.classes)

    def write(self, folder: str | Path) -> list[Agreement]:
        """Write ``agreement.csv``, or remove an earlier one if nothing was compared; return the summary."""
        path = Path(folder) / AGREEMENT_FILE
        if not self.pairs:
            path.unlink(missing_ok=True)
            return []
        rows = [[column.name for column in fields(PairJaccard)], *map(astuple, self.pairs)]
        write_whole(path, csv_text(rows).encode())
        return summarise_agreement(self.pairs)


def compare_labels(case_id: str, pred: Label, labels: Mapping[str, Label], classes: Sequence[str]) -> list[PairJaccard]:
    """The Jaccard of the network and each annotator, and of each two annotators, class by class.

    Args:
        case_id: the case's id.
        pred: (1, *S) of class numbers or (classes, *S) of {0, 1}.
        labels: by annotator, likewise; `IGNORED` pixels count for none.
        classes: their names.

    >>> masks = {name: np.array([[row]], np.uint8) for name, row in {"a": [1, 1, 0, 0], "b": [0, 1, 1, 0]}.items()}
    >>> [(p.one, p.other, round(p.jaccard, 3)) for p in compare_labels("x", np.array([[[1, 1, 1, 1]]], np.uint8), masks, ["lesion"])]
    [('network', 'a', 0.5), ('network', 'b', 0.5), ('a', 'b', 0.333)]
    """
    plain, ignored = zip(*map(split_ignored, labels.values()), strict=True)
    lost = [mask for mask in ignored if mask is not None]
    counted: Mask | None = ~np.logical_or.reduce([mask.any(axis=0) for mask in lost]) if lost else None
    found = []
    by_class = (one_by_one(label, len(classes)) for label in (pred, *plain))
    for name, masks in zip(classes, zip(*by_class, strict=True), strict=True):
        seen = [mask[0] if counted is None else mask[0] & counted for mask in masks]
        for (one, first), (other, second) in combinations(zip((NETWORK, *labels), seen, strict=True), 2):
            found.append(PairJaccard(case_id, name, one, other, _jaccard(first, second)))
    return found


def _jaccard(one: Mask, other: Mask) -> float:
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 1.0


def summarise_agreement(pairs: Sequence[PairJaccard], *, seed: int = 0) -> list[Agreement]:
    """Of each class: the network and all annotators first, then each annotator."""
    found = []
    for name in dict.fromkeys(pair.class_name for pair in pairs):
        of_class = [pair for pair in pairs if pair.class_name == name]
        people = sorted({pair.other for pair in of_class} | {pair.one for pair in of_class} - {NETWORK})
        for who in ("", *people):
            found.append(_agreement(name, who, [p for p in of_class if not who or who in (p.one, p.other)], seed))
    return found


def _agreement(class_name: str, who: str, pairs: Sequence[PairJaccard], seed: int) -> Agreement:
    by_case: dict[str, tuple[list[float], list[float]]] = {}
    for pair in pairs:
        by_case.setdefault(pair.case, ([], []))[pair.one != NETWORK].append(pair.jaccard)
    table = np.array([[np.mean(network), np.mean(people)] for network, people in by_case.values()])
    columns = np.column_stack([table, table[:, 0] - table[:, 1]])
    low, high = mean_interval(columns, seed=seed, n_bootstrap=2000, least=[0, 0, -1], most=1)
    numbers = zip(columns.mean(axis=0), low, high, strict=True)
    return Agreement(class_name, who, len(by_case), *(Estimate(*map(float, three)) for three in numbers))


def in_words(found: Agreement) -> str:
    """Whether the network is within what two annotators differ, in a sentence."""
    apart = found.difference
    if math.isnan(apart.low):
        said = "too few cases to tell whether the network is within what two annotators differ"
    elif apart.high < 0:
        said = "the network agrees with the annotators less than they do with each other"
    elif apart.low > 0:
        said = "the network agrees with the annotators more than they do with each other"
    else:
        said = "the network cannot be told apart from another annotator: it differs from them no more than they differ from each other"
    numbers = f"Jaccard {found.network} to them, {found.annotators} among them, difference {apart}"
    return f"{found.class_name}, {found.cases} cases: {said} ({numbers})."


def agreement_lines(found: Sequence[Agreement], unread: Sequence[str] = ()) -> list[str]:
    """The section of a summary, as Markdown; empty if nothing was compared."""
    if not found and not unread:
        return []
    rows = [
        [one.class_name, one.who or "all", one.cases, str(one.network), str(one.annotators), str(one.difference)]
        for one in found
    ]
    header = ["class", "annotator", "cases", "network's Jaccard", "other annotators'", "difference"]
    missing = [f"Not read: {text}." for text in unread]
    words = [line for one in found if not one.who for line in (in_words(one), "")]
    return [
        "",
        "## Several annotators",
        "",
        *words,
        *markdown_table(header, rows),
        *(["", *missing] if missing else []),
    ]


def read_agreement(folder: str | Path) -> list[Agreement]:
    """The summary of ``agreement.csv``; empty if there is none.

    Raises:
        ValueError: the file is not such a table.
    """
    path = Path(folder) / AGREEMENT_FILE
    if not path.is_file():
        return []
    try:
        rows = read_records(path)
        pairs = [
            PairJaccard(row["case"], row["class_name"], row["one"], row["other"], float(row["jaccard"])) for row in rows
        ]
        return summarise_agreement(pairs)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is not a table of agreement: {error}") from error
