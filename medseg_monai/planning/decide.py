"""Which network, size, batch and number of epochs: from what the data are like, what the machine takes and how much time there is.

Nothing here reads a file or a clock: the same facts give the same decisions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medseg_monai.dataset import DatasetSpec
from medseg_monai.planning.candidates import Candidate
from medseg_monai.planning.expectation import expected_score
from medseg_monai.planning.fingerprint import Fingerprint
from medseg_monai.planning.kinds import planner_of
from medseg_monai.planning.timing import LoadTime, StepTime

MOST_EPOCHS = 400
VALIDATION_SHARE = 0.15
MOST_VALIDATIONS = 60
EPOCH_SECONDS = 0.2
"""Of every epoch, for its files and pictures: 0.15 were measured on two cores with AVX2 (docs/first-model.md)."""
MARGIN = 0.9
"""Share of the time that is planned: other programs run too, and the last validation is never skipped."""

Memory = Callable[[Candidate, Sequence[int], int], float]


@dataclass(frozen=True)
class Wishes:
    """What is given.

    Attributes:
        seconds: that training may take.
        memory_gb: that a step may take.
        batch_size: the largest batch, as the bundle has it.
        fixed: knobs that the user has set, by name: these are not decided here.
    """

    seconds: float
    memory_gb: float
    batch_size: int
    fixed: Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """What was timed.

    Attributes:
        steps: by the candidate's name, at `size`.
        size: of the samples in those steps.
        load: what a case takes, at `size`.
    """

    steps: Mapping[str, StepTime]
    size: tuple[int, ...]
    load: LoadTime


@dataclass(frozen=True)
class Choice:
    """A training.

    Attributes:
        candidate: the network.
        size: of its input.
        coarser: volumes: the grid's voxels are so many times as long as the data set says.
        batch_size, patches_per_case, epochs, val_interval: as the config's knobs.
        seconds: that it takes, about.
        memory_gb: of a step.
        expected: score, to compare with others.
    """

    candidate: Candidate
    size: tuple[int, ...]
    coarser: float
    batch_size: int
    patches_per_case: int
    epochs: int
    val_interval: int
    seconds: float
    memory_gb: float
    expected: float


def choose(
    facts: Fingerprint,
    spec: DatasetSpec,
    trial: Trial,
    wishes: Wishes,
    *,
    candidates: Sequence[Candidate],
    memory: Memory,
) -> list[Choice]:
    """All trainings that are possible, the best first: those that end in time, by the score expected; then the others, by their time.

    Args:
        facts: of the data set.
        spec: of the data set.
        trial: what was timed of the candidates; one that was not timed is left out.
        wishes: time, memory, and what the user has set.
        candidates: networks.
        memory: GB that a step of a candidate takes, for a size and a batch.

    Raises:
        ValueError: nothing fits into the memory.
    """
    possible = []
    least = math.inf
    for candidate in (each for each in candidates if each.name in trial.steps):
        for size, coarser in sizes(facts, spec, wishes.fixed):
            batch, needed = fitting_batch(candidate, size, first_batch(facts, wishes), wishes, memory)
            least = min(least, needed)
            if needed <= wishes.memory_gb:
                possible.append(_training(facts, trial, wishes, candidate, size, coarser, batch, needed))
    if not possible:
        raise ValueError(
            f"memory: the smallest training that comes into question takes {least:.1f} GB, and {wishes.memory_gb:.1f} may be used: "
            "give more memory_gb, or a smaller batch_size or size"
        )
    in_time = [choice for choice in possible if choice.seconds <= wishes.seconds]
    late = [choice for choice in possible if choice.seconds > wishes.seconds]
    return sorted(in_time, key=lambda choice: (-choice.expected, choice.seconds)) + sorted(
        late, key=lambda choice: choice.seconds
    )


def _training(
    facts: Fingerprint,
    trial: Trial,
    wishes: Wishes,
    candidate: Candidate,
    size: tuple[int, ...],
    coarser: float,
    batch: int,
    memory_gb: float,
) -> Choice:
    """The training of a network at a size that fills the time."""
    repeats = patches_per_case(facts, wishes)
    samples = facts.counts["training"] * repeats
    train, validate = epoch_seconds(facts, trial, candidate, size, samples=samples, coarser=coarser)
    first = trial.load.decode * (facts.counts["training"] + facts.counts["validation"])
    usable = MARGIN * wishes.seconds - first
    epochs, interval = _epochs(usable, train, validate, wishes.fixed)
    validations = math.ceil(epochs / interval)
    return Choice(
        candidate=candidate,
        size=size,
        coarser=coarser,
        batch_size=batch,
        patches_per_case=repeats,
        epochs=epochs,
        val_interval=interval,
        seconds=first + epochs * train + validations * validate,
        memory_gb=memory_gb,
        expected=expected_score(facts, candidate, size, epochs * samples, coarser=coarser),
    )


def _epochs(usable: float, train: float, validate: float, fixed: Mapping[str, Any]) -> tuple[int, int]:
    """How many epochs fill the time, and how many lie between two validations."""
    interval = fixed.get("val_interval") or max(1, math.ceil(validate / (VALIDATION_SHARE * train)))
    epochs = fixed.get("max_epochs") or _count(usable, train, validate, interval)
    if not fixed.get("val_interval"):
        interval = min(epochs, max(interval, math.ceil(epochs / MOST_VALIDATIONS)))
        epochs = fixed.get("max_epochs") or _count(usable, train, validate, interval)
    return epochs, interval


def _count(usable: float, train: float, validate: float, interval: int) -> int:
    return max(1, min(MOST_EPOCHS, int((usable - validate) / (train + validate / interval))))


def epoch_seconds(
    facts: Fingerprint, trial: Trial, candidate: Candidate, size: Sequence[int], *, samples: int, coarser: float = 1.0
) -> tuple[float, float]:
    """Seconds of an epoch's training, and of a validation."""
    step, planner = trial.steps[candidate.name], planner_of(facts)
    larger = math.prod(size) / math.prod(trial.size)
    load = trial.load.sample * planner.loading(larger)
    train = samples * (step.train * larger + load) + EPOCH_SECONDS
    case = step.forward * larger * planner.windows(facts, size, coarser) + load
    return train, facts.counts["validation"] * case


def first_batch(facts: Fingerprint, wishes: Wishes) -> int:
    """The batch before memory is looked at: the user's, or by the number of cases."""
    if wishes.fixed.get("batch_size"):
        return int(wishes.fixed["batch_size"])
    return planner_of(facts).first_batch(facts.counts["training"], wishes.batch_size)


def fitting_batch(
    candidate: Candidate, size: Sequence[int], batch: int, wishes: Wishes, memory: Memory
) -> tuple[int, float]:
    """The batch, halved until a step fits into the memory, and what the step takes in GB."""
    needed = memory(candidate, size, batch)
    while needed > wishes.memory_gb and batch > 1 and not wishes.fixed.get("batch_size"):
        batch //= 2
        needed = memory(candidate, size, batch)
    return batch, needed


def patches_per_case(facts: Fingerprint, wishes: Wishes) -> int:
    """Samples of each case in an epoch: the user's, or by the number of cases."""
    if wishes.fixed.get("patches_per_case"):
        return int(wishes.fixed["patches_per_case"])
    return planner_of(facts).patches_per_case(facts.counts["training"])


def sizes(facts: Fingerprint, spec: DatasetSpec, fixed: Mapping[str, Any]) -> Iterator[tuple[tuple[int, ...], float]]:
    """Sizes of the network's input that come into question, and how much coarser the grid of volumes is made."""
    if fixed.get("size"):
        yield tuple(fixed["size"]), 1.0
    else:
        yield from planner_of(facts).sizes(facts, spec, coarsen=not fixed.get("spacing_mm"))
