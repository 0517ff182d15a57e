"""Whether a batch of pictures is still what a network was trained on: which numbers have moved, how far, and whether that is chance.

The pictures' numbers (`medseg_monai.quality.descriptor`) are compared with training's, how unusual each part is and what was answered
(`medseg_monai.quality.usual`) with validation's. Of each number Welch's test tells whether the means differ, with the larger of the two
spreads for both sides, so that a batch of one motif is not surer than it should be; the p values are corrected by Holm's method. A number
has changed if it is unlikely to be chance and far enough to matter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from medseg_monai.quality.descriptor import number_names
from medseg_monai.quality.familiarity import Familiarity
from medseg_monai.quality.gaussian import Description
from medseg_monai.quality.usual import UsualAnswers
from medseg_monai.quality.volume_descriptor import volume_number_names

Array = NDArray[np.float64]
FALSE_ALARMS = 0.01
"""Share of the batches like training's in which an alarm is raised anyway."""
LEAST_SHIFT = 0.4
"""Standard deviations that a mean must have moved for it to matter."""
LEAST_IMAGES = 10
"""With fewer images a batch says nothing."""


@dataclass(frozen=True)
class Change:
    """One number in the batch against what is usual.

    Attributes:
        name: of the number, in words.
        here: its mean in the batch.
        usual: its mean in training or validation.
        shift: the difference in standard deviations of single images.
        p: probability of such a difference by chance, corrected for the number of comparisons.
        changed: whether it is unlikely enough and far enough.
    """

    name: str
    here: float
    usual: float
    shift: float
    p: float
    changed: bool

    def __str__(self) -> str:
        return f"{self.name} {'higher' if self.shift > 0 else 'lower'} by {abs(self.shift):.1f} standard deviations"


@dataclass(frozen=True)
class Drift:
    """What a comparison found.

    Attributes:
        images: looked at.
        unlike: those of them that are unlike training's one by one; None if that is not known.
        changes: all numbers, the furthest first, those that have changed before the others.
        false_alarms: see `FALSE_ALARMS`.
    """

    images: int
    unlike: int | None
    changes: tuple[Change, ...]
    false_alarms: float

    @property
    def alarm(self) -> bool:
        """Whether anything has changed."""
        return any(change.changed for change in self.changes)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"alarm": self.alarm, **asdict(self)}


def find_drift(
    descriptions: Sequence[Description],
    answers: Sequence[Mapping[str, float]],
    familiarity: Familiarity | None,
    usual: UsualAnswers | None,
    *,
    channels: Sequence[str],
    false_alarms: float = FALSE_ALARMS,
    least_shift: float = LEAST_SHIFT,
) -> Drift:
    """Compare a batch with what was learnt.

    Args:
        descriptions: of the images; empty ones if they are not known.
        answers: of the same images, see `medseg_monai.quality.usual.answer_numbers`.
        familiarity, usual: what `medseg review` has learnt; None for what it has not.
        channels: of the images, for the names of colours.
        false_alarms: share of batches of training's kind that may raise an alarm.
        least_shift: see `LEAST_SHIFT`.

    Raises:
        ValueError: too few images, or nothing was learnt to compare them with.
    """
    if len(answers) < LEAST_IMAGES:
        raise ValueError(f"drift needs at least {LEAST_IMAGES} readable images, got {len(answers)}")
    known = familiarity if familiarity is not None and all(descriptions) else None
    if known is None and usual is None:
        raise ValueError("nothing was learnt that the images could be compared with: run medseg review first")
    found = [] if known is None else _of_pictures(descriptions, known, channels)
    found += [] if usual is None else _of_answers(answers, usual)
    changes = _corrected(found, false_alarms, least_shift)
    unlike = None if known is None else sum(bool(known.unlike(one)) for one in descriptions)
    return Drift(len(answers), unlike, changes, false_alarms)


def _of_pictures(descriptions: Sequence[Description], known: Familiarity, channels: Sequence[str]) -> list[Change]:
    """How unusual the whole and each part are, and each number that does not depend on what was answered."""
    names = volume_number_names(channels) if "values" in descriptions[0] else number_names(channels)
    whole = np.array([known.unusualness(one) for one in descriptions])
    unusual = [known.unusual_parts(one) for one in descriptions]
    # on the cases that set the threshold, by its own definition, of mean 0 and standard deviation 1
    found = [_compared("unusualness of all numbers together", whole, 0.0, 1.0, known.cases)]
    for part in known.parts:
        values = np.stack([np.asarray(one[part.name], np.float64) for one in descriptions])
        alone = np.array([one[part.name] for one in unusual])
        found.append(_compared(f"unusualness of the {part.name}", alone, 0.0, 1.0, known.cases))
        if part.name == "outline":  # training's own are not comparable: the network has learnt them
            continue
        for name, column, mean, scale in zip(names[part.name], values.T, part.mean, part.scale, strict=True):
            found.append(_compared(name, column, mean, scale, known.training))
    return found


def _of_answers(answers: Sequence[Mapping[str, float]], usual: UsualAnswers) -> list[Change]:
    columns = {name: np.array([one[name] for one in answers if name in one]) for name in usual.numbers}
    return [
        _compared(name, columns[name], *pair, usual.cases)
        for name, pair in usual.numbers.items()
        if len(columns[name]) >= LEAST_IMAGES
    ]


def _compared(name: str, values: Array, mean: float, spread: float, cases: int) -> Change:
    """One number, its p not corrected yet."""
    here = float(values.mean())
    wide = max(spread, float(values.std(ddof=1)))
    error = wide * math.sqrt(1 / len(values) + 1 / max(cases, 1))
    p = 2 * float(stdtr(min(len(values), cases) - 1, -abs(here - mean) / error)) if cases > 1 else 1.0
    return Change(name, here, mean, (here - mean) / wide, p, changed=False)


def _corrected(found: Sequence[Change], false_alarms: float, least_shift: float) -> tuple[Change, ...]:
    """With Holm's correction and the verdict, in the order of `Drift.changes`."""
    corrected, highest = [], 0.0
    for place, change in enumerate(sorted(found, key=lambda one: one.p)):
        highest = max(highest, min(1.0, change.p * (len(found) - place)))
        changed = highest <= false_alarms and abs(change.shift) >= least_shift
        corrected.append(Change(change.name, change.here, change.usual, change.shift, highest, changed))
    return tuple(sorted(corrected, key=lambda one: (not one.changed, -abs(one.shift))))
