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
from medseg_monai.planning.timing import LoadTime, StepTime

PHOTO_SIDES = (96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768)
MULTIPLE = {2: 16, 3: 4}
LARGEST_PATCH = 128**3
SMALLEST_PATCH_SIDE = 32
PATCH_SHARES = (1.0, 0.75, 0.6, 0.5, 0.4)
LARGEST_GRID = 160**3
"""Voxels of a median volume beyond which a coarser grid is considered."""
COARSE = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
LEAST_THICKNESS = 3.0
"""Voxels that the smallest structures keep on a coarser grid."""
MOST_EPOCHS = 400
VALIDATION_SHARE = 0.15
MOST_VALIDATIONS = 60
EPOCH_SECONDS = 0.3
"""Of every epoch, for its files and pictures."""
MARGIN = 0.9
"""Share of the time that is planned: other programs run too, and the last validation is never skipped."""
LEAST_SAMPLES = 60
"""Patches of volumes in an epoch, at least."""

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
    step = trial.steps[candidate.name]
    larger = math.prod(size) / math.prod(trial.size)
    train = samples * (step.train * larger + trial.load.sample * _loading(facts, larger)) + EPOCH_SECONDS
    case = step.forward * larger * windows(facts, size, coarser) + trial.load.sample * _loading(facts, larger)
    return train, facts.counts["validation"] * case


def _loading(facts: Fingerprint, larger: float) -> float:
    """A photograph is changed at the network's size, a patch is cut from a volume that is read whole."""
    return larger if facts.spatial_dims == 2 else 1.0


def windows(facts: Fingerprint, size: Sequence[int], coarser: float = 1.0) -> int:
    """Windows of a whole scan, which overlap by half; one for a photograph."""
    if facts.spatial_dims == 2:
        return 1
    counts = [
        max(1, math.ceil((side / coarser - patch) / (patch / 2)) + 1)
        for side, patch in zip(facts.median_size, size, strict=True)
    ]
    return math.prod(counts)


def first_batch(facts: Fingerprint, wishes: Wishes) -> int:
    """The batch before memory is looked at: few pictures want small batches, so that an epoch has steps enough."""
    if wishes.fixed.get("batch_size"):
        return int(wishes.fixed["batch_size"])
    cases = facts.counts["training"]
    many = 2 if facts.spatial_dims == 3 else 16 if cases >= 200 else 8 if cases >= 40 else 4
    return min(wishes.batch_size, many) if facts.spatial_dims == 3 else many


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
    """Few volumes are cut into more patches, so that an epoch is worth its validation."""
    if wishes.fixed.get("patches_per_case"):
        return int(wishes.fixed["patches_per_case"])
    return max(1, math.ceil(LEAST_SAMPLES / facts.counts["training"])) if facts.spatial_dims == 3 else 1


def sizes(facts: Fingerprint, spec: DatasetSpec, fixed: Mapping[str, Any]) -> Iterator[tuple[tuple[int, ...], float]]:
    """Sizes of the network's input that come into question, and how much coarser the grid of volumes is made."""
    if fixed.get("size"):
        yield tuple(fixed["size"]), 1.0
    elif spec.spatial_dims == 2:
        yield from ((size, 1.0) for size in photo_sizes(facts, spec))
    else:
        grids = [1.0] if fixed.get("spacing_mm") or spec.spacing_mm is None else coarser_grids(facts)
        for coarser in grids:
            yield from ((size, coarser) for size in patch_sizes(facts, coarser))


def photo_sizes(facts: Fingerprint, spec: DatasetSpec) -> list[tuple[int, ...]]:
    """Sizes of the data set's shape, from small ones up to its own or, if the pictures are larger, to theirs."""
    own = spec.size or facts.median_size
    longest = max(own)
    most = max(longest, min(max(facts.median_size), PHOTO_SIDES[-1]))
    sides = [side for side in PHOTO_SIDES if side <= most and side != longest]
    found = {tuple(max(32, round(side * length / longest / 16) * 16) for length in own) for side in sides}
    return sorted({*found, own}, key=math.prod)


def patch_sizes(facts: Fingerprint, coarser: float) -> list[tuple[int, ...]]:
    """Patches of the volumes' shape: the whole median volume if it is small enough, and smaller ones."""
    whole = [math.ceil(side / coarser / MULTIPLE[3]) * MULTIPLE[3] for side in facts.median_size]
    fits = min(1.0, (LARGEST_PATCH / math.prod(whole)) ** (1 / 3))
    found = set()
    for share in PATCH_SHARES:
        step = MULTIPLE[3] if fits == 1.0 else 16
        patch = [round(side * fits * share / step) * step for side in whole]
        found.add(tuple(min(side, max(SMALLEST_PATCH_SIDE, part)) for side, part in zip(whole, patch, strict=True)))
    return sorted(found, key=math.prod)


def coarser_grids(facts: Fingerprint) -> list[float]:
    """Factors of the voxels' sides: 1, and for large volumes more, as long as the smallest structures keep a few voxels."""
    thin = min((shown.smallest for shown in facts.classes.values() if shown.cases > 0), default=0.0)
    found = [1.0]
    for coarser in COARSE[1:]:
        large = math.prod(facts.median_size) / found[-1] ** 3 > LARGEST_GRID
        if large and thin / coarser >= LEAST_THICKNESS:
            found.append(coarser)
    return found
