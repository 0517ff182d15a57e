"""Guards of room: on the disk for checkpoints, and in memory for a step, both looked at before the first epoch."""

from __future__ import annotations

import errno
import logging
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch import nn

from medseg_monai.dataset import DatasetSpec
from medseg_monai.files.writing import DiskFullError
from medseg_monai.planning.machine import data_bytes, free_memory_bytes, this_machine
from medseg_monai.training.memory import MULTIPLE, PROGRAM_BYTES, needed_gb

logger = logging.getLogger(__name__)

OTHER_FILES_BYTES = 8_000_000
"""The history, curves and TensorBoard's log of a training."""
KEPT_FREE = 0.05
"""Share of the free memory that a training on the CPU leaves to others."""
SHARES = (0.75, 0.5, 0.35, 0.25, 0.15)
"""Of a side, that smaller sizes are tried with."""
_NO_MEMORY = "can't allocate memory"  # part of torch's message on the CPU
_NOT_HERE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


class RefuseFullDisk:
    """Ignite handler: before the first step, see whether the disk, and the user's quota, hold what a training writes.

    Args:
        kept: the network that is saved.
        folder: the training's.
    """

    def __init__(self, kept: nn.Module, folder: str | Path) -> None:
        self.kept = kept
        self.folder = Path(folder)

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with the trainer, before what writes."""
        if engine.state.rank == 0:
            engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Reserve the room for a moment.

        Raises:
            DiskFullError: it is not there; says how much is needed and how much there is.
            NotADirectoryError: a file is in the folder's place.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"{self.folder} is a file: name a folder for the training with --out")
        needed = checkpoint_bytes(self.kept, engine.network) + OTHER_FILES_BYTES
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < needed or not _can_reserve(self.folder, needed):
            there = f"{free / 1e9:.2f} GB are free" if free < needed else "the quota allows less"
            raise DiskFullError(
                errno.ENOSPC, f"its checkpoints take about {needed / 1e9:.2f} GB, and {there}", str(self.folder)
            )


def checkpoint_bytes(kept: nn.Module, trained: nn.Module) -> int:
    """What a training's weights and checkpoints take on the disk at most: while a file is replaced, both are there.

    A checkpoint holds the weights that are saved, those that are trained if they are others, and AdamW's two moments of each parameter;
    two of them are kept, and a third is on its way.
    """
    weights, parameters = (
        sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        for tensors in (kept.state_dict().values(), trained.parameters())
    )
    same = any(tensor is first for first in kept.parameters() for tensor in trained.parameters())
    checkpoint = weights + (0 if same else weights) + 2 * parameters
    return 2 * weights + 3 * checkpoint


def _can_reserve(folder: Path, size: int) -> bool:
    """Whether the file system, with the limits that it sets for the user, has so much room in one file."""
    reserve = getattr(os, "posix_fallocate", None)
    if reserve is None:  # macOS, Windows
        return True
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            reserve(file.fileno(), 0, size)
    except OSError as error:
        if error.errno in _NOT_HERE:
            return True
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return False
        raise
    return True


class GuardMemory:
    """Ignite handler: say before the first step if memory will not do, and which knob to turn, by how much, when it runs out.

    On the CPU, Linux ends the process that takes too much, without a word. So that torch's own error comes first, which can be caught,
    the process may not take more than what is free when training begins, in the container's limits too.

    Args:
        spec: the data set, its ``size`` what the network sees.
        architecture: makes the network.
        precision: as in `medseg_monai.engines.precision.precision_of`.
    """

    def __init__(self, spec: DatasetSpec, architecture: Callable[..., nn.Module], *, precision: str) -> None:
        self.spec = spec
        self.architecture = architecture
        self.precision = precision
        self._free_gb = math.inf
        self._limit = ExitStack()
        self._said: BaseException | None = None

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with the trainer, before all others: those that end a training raise. In the first of several processes only."""
        if engine.state.rank > 0:
            return
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._failed)
        for event in (Events.COMPLETED, Events.TERMINATE):
            engine.add_event_handler(event, self._end)

    def _start(self, engine: SupervisedTrainer) -> None:
        self._free_gb = this_machine(engine.state.device, self.precision).memory_gb
        with suppress(RuntimeError, NotImplementedError, TypeError):  # a network that cannot be run without numbers
            batch, size = _batch_of(engine), self.spec.size or ()
            needed = self._needed(size, batch)
            if needed > self._free_gb:
                advice = smaller(self._needed, size, batch, self._free_gb)
                logger.warning(
                    "memory: a step takes about %.1f GB, and %.1f GB are free: %s", needed, self._free_gb, advice
                )
        if torch.device(engine.state.device).type == "cpu":
            self._limit.enter_context(limited_memory())

    def _end(self, engine: SupervisedTrainer) -> None:
        self._limit.close()

    def _failed(self, engine: SupervisedTrainer, error: BaseException) -> None:
        """Called twice for one error: ignite raises what was raised within an epoch once more."""
        self._limit.close()
        if error is self._said:
            return
        self._said = error
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or _NO_MEMORY in str(error):
            batch = _batch_of(engine)
            advice = f"less than batch_size {batch}, or a smaller size"
            with suppress(RuntimeError, NotImplementedError, TypeError):
                advice = smaller(self._needed, self.spec.size or (), batch, self._free_gb)
            logger.error("Memory ran out; %.1f GB were free when training began: %s", self._free_gb, advice)

    def _needed(self, size: Sequence[int], batch: int) -> float:
        """GB that a step takes beside what the program has taken already."""
        taken = PROGRAM_BYTES / 1e9
        return needed_gb(self.spec, self.architecture, size, batch, precision=self.precision) - taken


def _batch_of(engine: SupervisedTrainer) -> int:
    return int(getattr(engine.data_loader, "batch_size", None) or 1)


def smaller(needed: Callable[[Sequence[int], int], float], size: Sequence[int], batch: int, free_gb: float) -> str:
    """What to set so that a step fits: the batch made smaller, and if one sample is too much, the size too.

    Args:
        needed: GB of a step with samples of a size, and a batch of so many.
        size, batch: as they are; smaller ones are proposed.
        free_gb: that a step may take.
    """
    one, all_of_them = needed(size, 1), needed(size, batch)
    each = (all_of_them - one) / max(1, batch - 1)
    if batch > 1 and one <= free_gb:
        fitting = min(batch - 1, 1 + int((free_gb - one) / each) if each > 0 else batch - 1)
        return f"batch_size {fitting} instead of {batch} would take about {one + (fitting - 1) * each:.1f} GB"
    for share in SHARES:
        less = [max(MULTIPLE, int(side * share) // MULTIPLE * MULTIPLE) for side in size]
        if (takes := needed(less, 1)) <= free_gb:
            shown, before = ("x".join(map(str, sides)) for sides in (less, size))
            return f"size {shown} instead of {before}, with batch_size 1, would take about {takes:.1f} GB"
    return "take a narrower network (`--set architecture#features=...`), or a machine with more memory"


@contextmanager
def limited_memory() -> Iterator[None]:
    """Within the block this process may take no more memory than is free now; on Linux only, where it would be killed instead."""
    try:
        import resource
    except ImportError:  # Windows
        yield
        return
    taken, free = data_bytes(), free_memory_bytes()
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if taken is None or math.isinf(free):
        yield
        return
    limits = [taken + int((1 - KEPT_FREE) * free), *(limit for limit in before if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
