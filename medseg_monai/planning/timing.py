"""A timed trial: what a training step takes here, of a network as it would be trained; and what it takes to read a case."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from medseg_monai.dataset import Dataset, DatasetSpec
from medseg_monai.engines.precision import PrecisionInferer, placed
from medseg_monai.program.freed_memory import end_keeping, keep_freed_memory, return_freed_memory
from medseg_monai.training.cache import CachedDataset
from medseg_monai.transforms import augment, load

LEAST_STEPS, MOST_STEPS = 2, 6
ALIKE = 1.1
"""Steps are repeated until the two shortest are so alike: what other programs took of the others does not count then."""
FIRST_BATCH = 2
ENOUGH_SECONDS = 0.6
"""Steps are repeated until so much time has been measured."""
LOADED_CASES = 4

Clock = Callable[[], float]
Loss = Callable[[Tensor | list[Tensor], Tensor], Tensor]


@dataclass(frozen=True)
class StepTime:
    """What a network takes for one sample, in seconds.

    Attributes:
        train: forward, backward and the optimiser's step.
        forward: alone, as in validation.
        memory_gb: by which the process grew in a step; NaN where the system does not say.
        batch: samples in the steps that were timed.
        waited: how many times as long it took by the wall clock: above 1 if other programs use the machine, 1 also if nobody can say.
    """

    train: float
    forward: float
    memory_gb: float = math.nan
    batch: int = 1
    waited: float = 1.0


@dataclass(frozen=True)
class LoadTime:
    """What a case takes, in seconds: decoding it once, and making a sample of it each time."""

    decode: float
    sample: float


def step_clock(device: str | torch.device) -> Clock:
    """The clock for steps: processor time where one thread does all, for which other programs do not count; else the wall clock."""
    alone = torch.device(device).type == "cpu" and torch.get_num_threads() == 1
    return time.process_time if alone else time.perf_counter


def time_steps(
    network: nn.Module,
    loss: Loss,
    spec: DatasetSpec,
    size: Sequence[int],
    *,
    batch: int,
    precision: str,
    device: str | torch.device,
    most_seconds: float = 10.0,
    clock: Clock | None = None,
) -> StepTime:
    """Train a network for a few steps on noise and say what a sample takes; torch's random states stay as they are.

    The shortest step counts: whatever else the machine does only makes steps longer. In batches of two a small network takes up to four
    times as long per sample as in sixteen, so that the batch is the one that training has, unless a large network would take too long.

    Args:
        network: to be timed; its weights change.
        loss: of logits and labels.
        spec: the data set, whose channels count.
        size: of the samples.
        batch: that training has.
        precision, device: as in `medseg_monai.engines.precision.precision_of`.
        most_seconds: that the trial may take, about.
        clock: gives seconds; None for `step_clock`.
    """
    clock = clock or step_clock(device)
    keep_freed_memory()  # as in training
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        network = placed(network, device).train()
        run = PrecisionInferer(precision, device)
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-6)

        def step(images: Tensor, labels: Tensor) -> None:
            optimiser.zero_grad()
            loss(run(images, network), labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()

        step(*_noise(spec, size, FIRST_BATCH, device))  # memory is taken
        first = _seconds(partial(step, *_noise(spec, size, FIRST_BATCH, device)), device, clock)
        while batch > FIRST_BATCH and first * batch / FIRST_BATCH * (LEAST_STEPS + 2) > most_seconds:
            batch //= 2
        images, labels = _noise(spec, size, batch, device)
        with _Peak(device) as peak:
            step(images, labels)
        train, waited = _shortest(partial(step, images, labels), device, clock, most_seconds=most_seconds)
        network.eval()
        with torch.inference_mode():
            forward, _ = _shortest(partial(run, images, network), device, clock, most_seconds=most_seconds)
    end_keeping()
    return StepTime(train / batch, forward / batch, peak.gb, batch, waited)


def _noise(spec: DatasetSpec, size: Sequence[int], batch: int, device: str | torch.device) -> tuple[Tensor, Tensor]:
    """A batch of images and labels."""
    images = torch.randn(batch, spec.in_channels, *size, device=device)
    labels = torch.randint(0, 2, (batch, spec.label_channels, *size), dtype=torch.uint8, device=device)
    return images, labels


def _shortest(
    work: Callable[[], object], device: str | torch.device, clock: Clock, *, most_seconds: float
) -> tuple[float, float]:
    """The seconds of the shortest of several, and how many times as long they all took by the wall clock."""
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < LEAST_STEPS or (len(times) < MOST_STEPS and not _enough(times, most_seconds)):
        times.append(_seconds(work, device, clock))
    waited = (time.perf_counter() - began) / sum(times) if clock is time.process_time else 1.0
    return min(times), max(1.0, waited)


def _enough(times: Sequence[float], most_seconds: float) -> bool:
    shortest, second = sorted(times)[:2]
    return sum(times) >= ENOUGH_SECONDS and (second <= ALIKE * shortest or sum(times) >= most_seconds / 2)


def _seconds(work: Callable[[], object], device: str | torch.device, clock: Clock) -> float:
    began = clock()
    work()
    if torch.device(device).type != "cpu":
        torch.accelerator.synchronize()
    return clock() - began


def time_loading(
    dataset: Dataset, spec: DatasetSpec, *, cache_dir: str | Path | None, clock: Clock = time.perf_counter
) -> LoadTime:
    """Read a few training cases several times, of which the shortest counts: what was decoded lies in the cache afterwards."""
    cases = [cast(Mapping[Hashable, Any], case) for case in dataset.cases("training")[:LOADED_CASES]]
    ready = CachedDataset(cases, load(spec), augment(spec), cache_dir=cache_dir)
    seconds = []
    for _ in range(3):
        began = clock()
        for index in range(len(cases)):
            ready[index]
        seconds.append((clock() - began) / len(cases))
    sample = min(seconds[1:])
    return LoadTime(max(0.0, seconds[0] - sample), sample)


class _Peak:
    """By how much memory grows within the block, in GB; read every few milliseconds, for Linux tells it only so."""

    def __init__(self, device: str | torch.device) -> None:
        self.device = torch.device(device)
        self.gb = math.nan
        self._most = 0
        self._ended = threading.Event()

    def __enter__(self) -> _Peak:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        return_freed_memory()  # a step in memory that is kept from earlier ones would seem to need none
        self._before = self._most = _resident_bytes()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.005):
            self._most = max(self._most, _resident_bytes())

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self.device.type == "cuda":
            self.gb = torch.cuda.max_memory_allocated(self.device) / 1e9
        elif self._before:
            self.gb = (max(self._most, _resident_bytes()) - self._before) / 1e9


def _resident_bytes() -> int:
    """Of this process; 0 where the system does not say it without help."""
    with suppress(OSError, ValueError, IndexError):
        import resource

        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return 0
