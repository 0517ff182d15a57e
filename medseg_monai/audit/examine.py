"""What is seen in a case: its label beside its probabilities, and what would correct it; and the findings of all cases together."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.audit.answers import Answers
from medseg_monai.audit.corrections import Correction, corrections_of
from medseg_monai.audit.evidence import Evidence, evidence_of
from medseg_monai.audit.exchange import find_exchanged, thumbnail_of, turns_of
from medseg_monai.audit.findings import Finding, judge, ranked, with_twin
from medseg_monai.audit.twins import Detail, find_twins
from medseg_monai.dataset.cases import Case
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks, split_ignored
from medseg_monai.evaluation.surfaces import Mask
from medseg_monai.grids.truth import read_truth
from medseg_monai.images.mask_pictures import SoftMaskWarning

logger = logging.getLogger(__name__)

MOST_TWINS = 0.25
"""Share of the cases that may have twins; if more do, patients are not known."""


@dataclass(frozen=True)
class Looked:
    """A case's label beside its probabilities, on the image's own grid.

    Args:
        masks: bool (classes, *S).
        probabilities: (classes, *S), 0 to 1.
        ignored: bool (1 or classes, *S), or None.
        soft: whether the label's file has soft edges.
    """

    masks: Mask
    probabilities: NDArray[np.floating[Any]]
    ignored: Mask | None
    soft: bool = False


@dataclass(frozen=True)
class Examined:
    """What is kept of a case.

    Args:
        case: its id.
        group: its patient.
        origin: where its probabilities come from.
        corrections: that would make its label likelier.
        thumbnail: label and probabilities of the whole picture, coarse.
        detail: of its picture, see `medseg_monai.audit.twins.detail_of`.
        dices: of each class, label against network.
        soft: whether the label's file has soft edges.
    """

    case: str
    group: str
    origin: str
    corrections: tuple[Correction, ...]
    thumbnail: Evidence
    detail: Detail
    dices: tuple[float, ...]
    soft: bool = False


def look_at(case: Case, answers: Answers, spec: DatasetSpec) -> Looked:
    """Read a case's label and probabilities.

    Raises:
        OSError, ValueError: one of them cannot be read, or their sizes differ.
    """
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        truth, ignored = split_ignored(read_truth(case, None, spec))
    masks = class_masks(truth, len(spec.classes))
    probabilities = answers[case["id"]].read(case)
    if probabilities.shape != masks.shape:
        theirs, ours = ("x".join(map(str, shape[1:])) for shape in (probabilities.shape, masks.shape))
        raise ValueError(f"its probabilities have {theirs} pixels, and its label {ours}: predict this image again")
    soft = any(issubclass(one.category, SoftMaskWarning) for one in noted)
    return Looked(masks, probabilities, ignored, soft)


def examine(
    case: Case, looked: Looked, detail: Detail, spec: DatasetSpec, *, temperature: Sequence[float], origin: str = ""
) -> Examined:
    """Look for corrections of a case's label.

    Args:
        case: ``id`` and ``group``.
        looked: its label and probabilities.
        detail: of its picture.
        spec: the data set's.
        temperature: what log-odds are divided by, one per class or one for all.
        origin: see `Examined`.
    """
    masks, probabilities, ignored = looked.masks, looked.probabilities, looked.ignored
    close = evidence_of(masks, probabilities, task=spec.task, ignored=ignored).at(temperature)
    whole = thumbnail_of(masks, probabilities, task=spec.task, ignored=ignored).at(temperature)
    _, *sides = masks.shape
    square = sides == [sides[0]] * 2
    corrections = (*corrections_of(close, spec.classes), *turns_of(whole, square=square))
    dices = dices_of(looked, spec)
    return Examined(case["id"], str(case["group"]), origin, corrections, whole, detail, dices, looked.soft)


def findings_of(examined: Sequence[Examined], classes: Sequence[str]) -> list[Finding]:
    """The findings of all cases, the most doubtful first.

    Args:
        examined: the cases, each compared with all others.
        classes: their names.
    """
    groups = [one.group for one in examined]
    found = []
    for one, elsewhere in zip(examined, find_exchanged([e.thumbnail for e in examined], groups), strict=True):
        corrections = list(one.corrections)
        if elsewhere is not None:
            words = f"fits the picture of {examined[elsewhere.other].case} better than its own"
            corrections.append(replace(elsewhere.correction, words=words))
        found.append(judge(one.case, corrections, classes, soft=one.soft, dices=one.dices, origin=one.origin))
    pairs = list(find_twins([one.detail for one in examined], groups))
    if len({number for twins in pairs for number in (twins.first, twins.second)}) > MOST_TWINS * len(examined):
        logger.warning(
            "%d pairs of pictures are nearly the same: slices or frames of the same patients, perhaps, which the data set should say "
            "(group); they are not ranked as twins",
            len(pairs),
        )
        pairs = []
    for twins in pairs:
        for number, other in ((twins.first, twins.second), (twins.second, twins.first)):
            agree = _agreement(examined[number].thumbnail.masks, examined[other].thumbnail.masks)
            words = f"{examined[other].case} (patient {groups[other]}); their labels agree to Dice {agree:.2f}"
            found[number] = with_twin(found[number], words)
    return ranked(found)


def dices_of(looked: Looked, spec: DatasetSpec) -> tuple[float, ...]:
    """Dice of each class, label against network; a class that neither has counts 1."""
    likeliest = expected_masks(looked.probabilities, spec)
    counted = True if looked.ignored is None else ~looked.ignored
    return tuple(
        _agreement(ours, theirs) for ours, theirs in zip(likeliest & counted, looked.masks & counted, strict=True)
    )


def _agreement(ours: Mask, theirs: Mask) -> float:
    """Dice of two masks; 1 if both are empty."""
    size = int(np.count_nonzero(ours)) + int(np.count_nonzero(theirs))
    return 2 * int(np.count_nonzero(ours & theirs)) / size if size else 1.0


def expected_masks(probabilities: NDArray[np.floating[Any]], spec: DatasetSpec) -> Mask:
    """The likeliest label, bool (classes, *S)."""
    if spec.task != "multiclass":
        return probabilities > 0.5
    first = probabilities.argmax(axis=0)
    found = probabilities.max(axis=0) > 1 - probabilities.sum(axis=0)
    return np.stack([(first == number) & found for number in range(len(probabilities))])
