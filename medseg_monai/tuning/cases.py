"""Probabilities and truths of many cases, kept small, and the score of a cleaning on them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.evaluation.scan_scores import DICE_WEIGHT, HAUSDORFF_WEIGHT, score_scan, slice_of
from medseg_monai.evaluation.surfaces import Mask
from medseg_monai.program.messages import did_you_mean
from medseg_monai.transforms.cleaning import Cleaning, clean, clean_labels, drop_isolated_slices

TuningMetric = Literal["dice", "jaccard", "competition"]
METRIC_NAMES: tuple[TuningMetric, ...] = get_args(TuningMetric)
LEVELS = 200
"""Number of steps for stored sigmoid probabilities: exact for thresholds that are multiples of 0.005."""

Terms = NDArray[np.float64]
"""The parts of a score, (classes, groups, 2, 2): a sum and a count for each of its two terms. See `score_of`."""


class TuningCases:
    """Probabilities and truths of cases on their own grids, compressed, by group.

    Args:
        spec: the data set's.
        metric: ``dice`` or ``jaccard``, the mean over cases with the rule of `medseg_monai.evaluation.metrics` for empty masks; or
            ``competition``, the score of `medseg_monai.evaluation.scan_scores`, for cases that are slices of scans.

    Raises:
        ValueError: no such metric.
    """

    def __init__(self, spec: DatasetSpec, metric: TuningMetric) -> None:
        if metric not in METRIC_NAMES:
            raise ValueError(f"unknown metric {metric!r}{did_you_mean(metric, METRIC_NAMES)}")
        self.spec = spec
        self.metric = metric
        self._cases: list[_Case] = []

    def __len__(self) -> int:
        return len(self._cases)

    @property
    def groups(self) -> list[str]:
        """Patients or lesions, sorted."""
        return sorted({case.group for case in self._cases})

    @property
    def are_slices(self) -> bool:
        """Whether every case is a slice of a scan."""
        return bool(self._cases) and all(slice_of(case.id) for case in self._cases)

    def add(
        self,
        case_id: str,
        group: str,
        probabilities: NDArray[Any],
        truth: Mask,
        ignored: Mask | None = None,
        *,
        voxel_volume: float = 1.0,
    ) -> None:
        """Add a case.

        Args:
            case_id: the case's id.
            group: its patient or lesion, whose cases stay together.
            probabilities: (C, *spatial), the network's channels, on the image's own grid.
            truth: bool (classes, *spatial), there.
            ignored: bool (1 or classes, *spatial): pixels that do not count.
            voxel_volume: mm³ of a voxel, 1 for pictures.

        Raises:
            ValueError: the metric is for slices and this case is not one.
        """
        if self.metric == "competition" and slice_of(case_id) is None:
            raise ValueError(
                f"the metric competition scores scans of slices, but case {case_id!r} is not a slice: use dice"
            )
        if self.spec.task == "multiclass":
            values: NDArray[Any] = probabilities.astype(np.float16)
        else:
            values = np.ceil(probabilities.astype(np.float64) * LEVELS).astype(np.uint8)
        lost = None if ignored is None else _pack(np.packbits(np.broadcast_to(ignored, truth.shape)))
        self._cases.append(
            _Case(case_id, group, _pack(values), _pack(np.packbits(truth)), truth.shape, voxel_volume, lost)
        )

    def measure(self, cleaning: Cleaning) -> Terms:
        """The score of the cleaning, by class and group."""
        number = {group: index for index, group in enumerate(self.groups)}
        terms = np.zeros((len(self.spec.classes), len(number), 2, 2))
        for unit in self._units():
            cases = [unit] if isinstance(unit, _Case) else unit
            pred = np.stack([self._mask(case, cleaning) for case in cases])
            truth = np.stack([case.truth() for case in cases])
            group = number[cases[0].group]
            if not isinstance(unit, _Case):
                numbers = _numbers(cases)
                pred = drop_isolated_slices(pred, cleaning, numbers).astype(bool)
                if self.metric == "competition":
                    terms[:, group] += _scan_terms(pred, truth, numbers)
                    continue
            terms[:, group, 0] += _case_terms(pred, truth, self.metric)
        return terms

    def small_sizes(self) -> list[float]:
        """For each class the size that 95 % of its non-empty true masks exceed, in the unit of ``min_size``; 0 if all are empty."""
        sizes = np.array(
            [case.truth().sum(axis=tuple(range(1, len(case.shape)))) * case.voxel_volume for case in self._cases]
        )
        return [float(np.percentile(column[column > 0], 5)) if column.any() else 0.0 for column in sizes.T]

    def _mask(self, case: _Case, cleaning: Cleaning) -> Mask:
        """The case's cleaned mask, a channel per class, empty where nothing counts."""
        mask = self._cleaned(case, cleaning)
        return mask if case.packed_ignored is None else mask & ~case.bits(case.packed_ignored)

    def _cleaned(self, case: _Case, cleaning: Cleaning) -> Mask:
        values = case.values()
        if values.dtype == np.uint8:
            values = values.astype(np.float32) / LEVELS
        task, count = self.spec.task, len(self.spec.classes)
        if self.spec.spatial_dims == 2:
            return class_masks(clean(values, cleaning, task), count)
        labels = clean(values, Cleaning(cleaning.threshold), task)  # as in `restore_mask`, which has no memory for more
        return class_masks(clean_labels(labels, cleaning, task, classes=count, voxel_volume=case.voxel_volume), count)

    def _units(self) -> Iterator[_Case | list[_Case]]:
        """Cases that must be scored together: a single case, or the slices of a scan in their order."""
        if not self.are_slices:
            yield from self._cases
            return
        scans: dict[str, list[_Case]] = {}
        for case in self._cases:
            scans.setdefault(_named(case)[0], []).append(case)
        for cases in scans.values():
            yield sorted(cases, key=lambda case: _named(case)[1])


def network_channels(probabilities: NDArray[Any], spec: DatasetSpec) -> NDArray[Any]:
    """The network's channels from those of the classes: of classes that exclude each other the background is what is left."""
    if spec.task != "multiclass":
        return probabilities
    classes = probabilities.astype(np.float32)
    return np.concatenate([(1 - classes.sum(axis=0, keepdims=True)).clip(0, 1), classes])


def score_of(
    terms: Terms, metric: TuningMetric, groups: Callable[[NDArray[Any]], NDArray[Any]] | None = None
) -> NDArray[np.float64]:
    """The score of each class from its terms: (..., classes) from (..., classes, groups, 2, 2).

    Args:
        terms: from `TuningCases.measure`.
        metric: decides the weights of the two terms.
        groups: which groups to sum over; None for all. A term without any case counts 1: there was nothing to miss.
    """
    sums = terms.sum(axis=-3) if groups is None else groups(terms)
    means = np.divide(sums[..., 0], sums[..., 1], out=np.ones(sums.shape[:-1]), where=sums[..., 1] > 0)
    weights = (DICE_WEIGHT, HAUSDORFF_WEIGHT) if metric == "competition" else (1.0, 0.0)
    return np.asarray(means @ np.array(weights))


class _Case(NamedTuple):
    """One case, compressed."""

    id: str
    group: str
    packed: tuple[bytes, str, tuple[int, ...]]
    packed_truth: tuple[bytes, str, tuple[int, ...]]
    shape: tuple[int, ...]
    voxel_volume: float
    packed_ignored: tuple[bytes, str, tuple[int, ...]] | None

    def values(self) -> NDArray[Any]:
        """The stored probabilities."""
        return _unpack(self.packed)

    def truth(self) -> Mask:
        """Bool, (classes, *spatial)."""
        return self.bits(self.packed_truth)

    def bits(self, packed: tuple[bytes, str, tuple[int, ...]]) -> Mask:
        """A mask of the case's shape, unpacked."""
        bits = np.unpackbits(_unpack(packed), count=int(np.prod(self.shape)))
        return bits.reshape(self.shape).astype(bool)


def _pack(array: NDArray[Any]) -> tuple[bytes, str, tuple[int, ...]]:
    return zlib.compress(np.ascontiguousarray(array).tobytes(), level=1), array.dtype.str, array.shape


def _unpack(packed: tuple[bytes, str, tuple[int, ...]]) -> NDArray[Any]:
    content, dtype, shape = packed
    return np.frombuffer(zlib.decompress(content), dtype).reshape(shape)


def _named(case: _Case) -> tuple[str, int]:
    """Scan and number of a slice."""
    named = slice_of(case.id)
    assert named is not None  # ensured by are_slices
    return named


def _numbers(cases: Sequence[_Case]) -> list[int]:
    return [_named(case)[1] for case in cases]


def _case_terms(pred: Mask, truth: Mask, metric: TuningMetric) -> NDArray[np.float64]:
    """For each class the sum over cases of Dice or Jaccard, and their number: (classes, 2)."""
    axes = tuple(range(2, pred.ndim))
    overlap = np.count_nonzero(pred & truth, axis=axes)
    sizes = np.count_nonzero(pred, axis=axes) + np.count_nonzero(truth, axis=axes)
    parts, wholes = (2 * overlap, sizes) if metric != "jaccard" else (overlap, sizes - overlap)
    scores = np.divide(parts, wholes, out=np.ones(parts.shape), where=wholes > 0)
    return np.stack([scores.sum(axis=0), np.full(pred.shape[1], float(len(pred)))], axis=-1)


def _scan_terms(pred: Mask, truth: Mask, numbers: Sequence[int]) -> NDArray[np.float64]:
    """For each class Dice of slices and one minus the scan's distance, each as sum and count: (classes, 2, 2)."""
    rows = score_scan(pred, truth, scan="", classes=[str(n) for n in range(pred.shape[1])], numbers=numbers)
    return np.array(
        [
            [
                [row.slice_dice * row.slices_with_class, row.slices_with_class],
                [(1 - row.hausdorff) * (row.outcome != "absent"), row.outcome != "absent"],
            ]
            for row in rows
        ],
        dtype=np.float64,
    )
