"""Seeded randomness: the cases of an epoch and their order, and each sample's own seed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence, Sized
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler

from medseg_monai.dataset.cases import as_list
from medseg_monai.program.messages import listed

logger = logging.getLogger(__name__)

Indices = NDArray[np.intp]


def case_id(case: Mapping[Hashable, Any]) -> str:
    """A case's ``id``, or else its image's path."""
    return str(case["id"]) if "id" in case else "|".join(str(path) for path in as_list(case["image"]))


def sample_seed(seed: int, epoch: int, case: str) -> int:
    """63 bits that depend only on the arguments: not on order, worker, process, Python's own hash or other cases."""
    digest = hashlib.blake2b(f"{seed}\n{epoch}\n{case}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class SeededSampler(DistributedSampler[Any]):
    """Yields ``epoch * len(dataset) + index``, in an order that depends only on (seed, epoch).

    The epoch is set by ``set_epoch`` (MONAI's engines call it, also when a run is continued), and
    otherwise increases by 1 with each pass.

    Args:
        dataset: the data set; with an `empty_fraction`, one whose ``data`` are cases that say which classes are ``present``.
        seed: seed of the order.
        shuffle: False for the order of the data set.
        rank, world_size: number of this process, and of all processes; every process takes every n-th case. Without
            `drop_last`, a few cases occur twice so that all processes have the same number.
        drop_last: leave cases out instead.
        empty_fraction: share of cases in an epoch that show no class at all, in [0, 1); None for all cases as they are. Every
            case with a class comes once in each epoch, plus as many of the others as make up this share (all of them, if they
            are too few): different ones in each epoch, until all have had their turn.

    Raises:
        ValueError: there are no cases, the fraction is out of range, or a case does not say which classes are present.
    """

    def __init__(
        self,
        dataset: Sized,
        *,
        seed: int = 0,
        shuffle: bool = True,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        empty_fraction: float | None = None,
    ) -> None:
        self.length = len(dataset)
        if not self.length:
            raise ValueError("the data set has no cases to sample from")
        empty = np.zeros(self.length, np.bool_) if empty_fraction is None else empty_cases(getattr(dataset, "data", ()))
        self._always = np.flatnonzero(~empty)
        self._in_turn = np.random.default_rng(seed).permutation(np.flatnonzero(empty))
        self._turns = _count_of_empty(len(self._always), len(self._in_turn), empty_fraction or 0.0)
        # torch only uses the length of the data source
        chosen = cast(Dataset[Any], range(len(self._always) + self._turns))
        super().__init__(chosen, world_size, rank, shuffle=shuffle, seed=seed, drop_last=drop_last)
        self._skipped = 0

    def skip_once(self, cases: int) -> None:
        """Skip the first cases of the next epoch, which were used before the run was interrupted."""
        self._skipped = cases

    def __iter__(self) -> Iterator[int]:
        """Numbers for `CachedDataset`."""
        epoch = self.epoch
        self.epoch += 1
        order = self._cases_of(epoch)
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch]).permutation(order)
        order = np.resize(order, self.total_size)  # truncated, or repeated from the start
        skipped, self._skipped = self._skipped, 0
        return iter((epoch * self.length + order[self.rank :: self.num_replicas][skipped:]).tolist())

    def _cases_of(self, epoch: int) -> Indices:
        """Indices of an epoch's cases, ascending."""
        turns = np.arange(epoch * self._turns, (epoch + 1) * self._turns) % max(1, len(self._in_turn))
        indices: Indices = np.sort(np.concatenate([self._always, self._in_turn[turns]]))
        return indices


def empty_cases(cases: Sequence[Mapping[Hashable, Any]]) -> NDArray[np.bool_]:
    """Which cases show no class at all, by their key ``present``.

    Raises:
        ValueError: a case has no such key.
    """
    silent = [case_id(case) for case in cases if case.get("present") is None]
    if silent or not cases:
        raise ValueError(
            f"empty_fraction: {len(silent)} of {len(cases)} cases do not say which classes are present ({listed(silent)}); "
            "dataset.json needs the key 'present' for each, a list of classes"
        )
    return np.array([not case["present"] for case in cases], np.bool_)


def _count_of_empty(others: int, empty: int, fraction: float) -> int:
    """The number of empty cases that make up the fraction of an epoch."""
    if not 0 <= fraction < 1:
        raise ValueError(f"empty_fraction must be in [0, 1), got {fraction}")
    if not others:
        raise ValueError("empty_fraction: no case shows any class, so there is nothing to learn")
    wanted = round(fraction / (1 - fraction) * others)
    if wanted > empty:
        share = empty / (others + empty)
        logger.warning("empty_fraction %g: there are only %d empty cases, %.0f %% of all", fraction, empty, 100 * share)
    return min(wanted, empty)
