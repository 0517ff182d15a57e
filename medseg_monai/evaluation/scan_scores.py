"""Scores of whole scans whose cases are slices, and the score of the UW-Madison GI tract competition (Kaggle 2022).

The competition's page gives this rule: mean Dice over images, and a 3D Hausdorff distance over volumes of slices with depth 1 whose
pixel locations are divided by the image's size, weighted 0.4 and 0.6. The metric's code is not public. Where the page is silent, this
module follows MLE-bench's grader of that competition (Chan et al. 2024, arXiv:2410.07095), the only public implementation that runs:

- each axis, including that of the slices, is scaled to length 1, and the distance divided by the unit cube's diagonal;
- an organ that only truth or only prediction has in a scan is at distance 1;
- slices and scans in which both lack the organ are left out. The page says that Dice is 0 there; the grader cites the hosts in the
  forum, who say that such rows are skipped. `competition_score` accepts 0 or 1 for the other readings.

There are two differences. The grader joins the organs of a slice before it computes the distance; here every organ has its own, like the
rows of a submission. And to save time it puts a mask of more than ten times the truth's size at distance 1; here all distances are exact.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medseg_monai.evaluation.hausdorff import normalised_hausdorff
from medseg_monai.evaluation.metrics import Outcome, outcome_of
from medseg_monai.evaluation.surfaces import Mask

DICE_WEIGHT, HAUSDORFF_WEIGHT = 0.4, 0.6
_SLICE_ID = re.compile(r"(.+)_slice_(\d+)", re.ASCII)


@dataclass(frozen=True)
class ScanScores:
    """Scores of one class in one scan.

    Attributes:
        scan: the scan's name.
        class_name: the class.
        slices: how many slices were scored.
        dice: of the whole scan as one volume; 1 where truth and prediction both lack the class.
        jaccard: likewise.
        hausdorff: 0 to 1, see `normalised_hausdorff`; 0 if both lack the class, 1 if one does.
        slices_with_class: slices in which truth or prediction has the class.
        slice_dice: mean Dice over those; 1 if there are none.
        truth_voxels: of the class.
        predicted_voxels: of the class.
        outcome: ``ok`` (both have the class), ``missed``, ``spurious`` or ``absent`` (neither has it).
    """

    scan: str
    class_name: str
    slices: int
    dice: float
    jaccard: float
    hausdorff: float
    slices_with_class: int
    slice_dice: float
    truth_voxels: int
    predicted_voxels: int
    outcome: Outcome


@dataclass(frozen=True)
class CompetitionScore:
    """0.4 Dice + 0.6 (1 - Hausdorff distance), and its parts.

    Attributes:
        score: 0 to 1.
        dice: mean over all slices and classes that count.
        hausdorff: mean over all scans and classes that count.
        slices: number of (slice, class) pairs that count.
        scans: number of (scan, class) pairs that count.
    """

    score: float
    dice: float
    hausdorff: float
    slices: int
    scans: int


def slice_of(case_id: str) -> tuple[str, int] | None:
    """The scan and the number that a slice's id names, or None for an id of another kind.

    >>> slice_of("case123_day20_slice_0001")
    ('case123_day20', 1)
    >>> slice_of("ISIC_0000001")
    """
    found = _SLICE_ID.fullmatch(case_id)
    return (found[1], int(found[2])) if found else None


def are_slices(case_ids: Iterable[str]) -> bool:
    """Whether every id names a slice of a scan (and there is one)."""
    ids = list(case_ids)
    return bool(ids) and all(slice_of(case_id) for case_id in ids)


def score_scan(
    pred: Mask, truth: Mask, *, scan: str, classes: Sequence[str], numbers: Sequence[int] | None = None
) -> list[ScanScores]:
    """Score every class of a scan.

    Args:
        pred: bool, (slices, K, W, H).
        truth: the same shape.
        scan: its name.
        classes: names of the K classes.
        numbers: of the slices, ascending. If some are missing the volume has empty slices in their place, so that distances hold.

    Returns:
        One entry per class, in the order of ``classes``.

    Raises:
        ValueError: shapes that do not fit together.
    """
    if pred.shape != truth.shape or pred.ndim != 4 or pred.shape[1] != len(classes):
        raise ValueError(f"scan {scan}: pred has shape {pred.shape}, truth {truth.shape}, for {len(classes)} classes")
    places = np.arange(len(pred)) if numbers is None else np.asarray(numbers) - numbers[0]
    return [
        _score_class(pred[:, number], truth[:, number], places, scan=scan, class_name=name)
        for number, name in enumerate(classes)
    ]


def competition_score(scores: Iterable[ScanScores], *, empty_dice: float | None = None) -> CompetitionScore:
    """The competition's score of some scans and classes.

    Args:
        scores: one entry per scan and class.
        empty_dice: Dice of a slice in which truth and prediction both lack the class: None leaves such slices out.

    Returns:
        The means over all (slice, class) and (scan, class) pairs, as Kaggle averages its rows. 1 where nothing counts: nothing was there
        and nothing was found.
    """
    rows = list(scores)
    there = [row for row in rows if row.outcome != "absent"]
    total = sum(row.slice_dice * row.slices_with_class for row in rows)
    slices = sum(row.slices_with_class for row in rows)
    if empty_dice is not None:
        empty = sum(row.slices - row.slices_with_class for row in rows)
        total, slices = total + empty_dice * empty, slices + empty
    dice = total / slices if slices else 1.0
    distance = sum(row.hausdorff for row in there) / len(there) if there else 0.0
    return CompetitionScore(DICE_WEIGHT * dice + HAUSDORFF_WEIGHT * (1 - distance), dice, distance, slices, len(there))


def summarise_scans(scores: Sequence[ScanScores]) -> dict[str, Any]:
    """What ``summary.json`` says of the scans: the competition's score over all classes and per class, and mean Dice of whole scans."""
    classes = list(dict.fromkeys(row.class_name for row in scores))
    by_class = {name: [row for row in scores if row.class_name == name] for name in classes}

    def part(rows: Sequence[ScanScores]) -> dict[str, Any]:
        return {**asdict(competition_score(rows)), "dice_3d": float(np.mean([row.dice for row in rows]))}

    return {
        "n_scans": len({row.scan for row in scores}),
        "overall": part(scores),
        "per_class": {name: part(rows) for name, rows in by_class.items()},
    }


class ScanPair(NamedTuple):
    """Prediction and truth of a scan.

    Attributes:
        name: the scan's.
        cases: ids of its slices, in the order of their numbers.
        numbers: of the slices, ascending.
        pred: bool, (slices, K, W, H).
        truth: likewise.
    """

    name: str
    cases: list[str]
    numbers: list[int]
    pred: Mask
    truth: Mask


class ScanMasks:
    """Masks of slices, kept small until their scans are whole: a few kilobytes each."""

    def __init__(self) -> None:
        self._slices: dict[str, dict[int, _Packed]] = defaultdict(dict)

    def add(self, case_id: str, pred: Mask, truth: Mask) -> None:
        """Keep a slice's masks, bool (K, W, H); one that came before is replaced.

        Raises:
            ValueError: the id names no slice.
        """
        named = slice_of(case_id)
        if named is None:
            raise ValueError(f"case {case_id!r} is not a slice of a scan: ids such as case123_day20_slice_0001 are")
        both = np.stack([pred, truth])
        packed = zlib.compress(np.packbits(both).tobytes(), level=1)
        self._slices[named[0]][named[1]] = _Packed(case_id, both.shape, packed)

    def clear(self) -> None:
        """Forget all."""
        self._slices.clear()

    def merge(self, other: ScanMasks) -> None:
        """Take the slices of another, of another process say."""
        for scan, slices in other._slices.items():
            self._slices[scan].update(slices)

    def __len__(self) -> int:
        """Number of scans."""
        return len(self._slices)

    def scans(self) -> Iterator[ScanPair]:
        """Each scan, unpacked.

        Raises:
            ValueError: slices of one scan differ in size.
        """
        for scan, slices in self._slices.items():
            numbers = sorted(slices)
            shapes = {slices[number].shape for number in numbers}
            if len(shapes) > 1:
                sizes = ", ".join(f"{shape[-2]}x{shape[-1]}" for shape in sorted(shapes))
                raise ValueError(f"the slices of scan {scan} differ in size ({sizes}): they cannot be one scan")
            both = np.stack([slices[number].unpacked() for number in numbers])
            yield ScanPair(scan, [slices[number].case for number in numbers], numbers, both[:, 0], both[:, 1])

    def scores(self, classes: Sequence[str]) -> list[ScanScores]:
        """`score_scan` of every scan."""
        return [
            row
            for scan in self.scans()
            for row in score_scan(scan.pred, scan.truth, scan=scan.name, classes=classes, numbers=scan.numbers)
        ]


class _Packed(NamedTuple):
    """Prediction and truth of a slice, a bit for each pixel, compressed."""

    case: str
    shape: tuple[int, ...]
    content: bytes

    def unpacked(self) -> Mask:
        """Bool, (2, K, W, H)."""
        bits = np.frombuffer(zlib.decompress(self.content), np.uint8)
        return np.unpackbits(bits, count=int(np.prod(self.shape))).reshape(self.shape).astype(bool)


def _score_class(pred: Mask, truth: Mask, places: NDArray[Any], *, scan: str, class_name: str) -> ScanScores:
    """One class: (slices, W, H) masks whose slices stand at ``places`` of the scan."""
    overlap, predicted, true = (np.count_nonzero(mask, axis=(1, 2)) for mask in (pred & truth, pred, truth))
    both = predicted + true
    there = both > 0
    total, shared = int(both.sum()), int(overlap.sum())
    if places[-1] + 1 > len(places):
        pred, truth = (_spread(mask, places) for mask in (pred, truth))
    return ScanScores(
        scan=scan,
        class_name=class_name,
        slices=len(places),
        dice=2 * shared / total if total else 1.0,
        jaccard=shared / (total - shared) if total else 1.0,
        hausdorff=normalised_hausdorff(pred, truth),
        slices_with_class=int(there.sum()),
        slice_dice=float((2 * overlap[there] / both[there]).mean()) if there.any() else 1.0,
        truth_voxels=int(true.sum()),
        predicted_voxels=int(predicted.sum()),
        outcome=outcome_of(int(predicted.sum()), int(true.sum())),
    )


def _spread(mask: Mask, places: NDArray[Any]) -> Mask:
    """The slices at their places in a volume that is empty between them."""
    volume = np.zeros((int(places[-1]) + 1, *mask.shape[1:]), dtype=bool)
    volume[places] = mask
    return volume
