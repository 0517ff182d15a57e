"""How good a training may be expected to become: a rule of thumb by which a plan weighs size, network and time against each other.

The numbers follow what was measured on ISIC 2017 and the hippocampus (docs/results). Only differences mean something: the score of an
easier or harder data set is another, what a finer picture or more passes bring is alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from medseg_monai.planning.candidates import Candidate
from medseg_monai.planning.fingerprint import Fingerprint
from medseg_monai.planning.kinds import planner_of

BEST = 0.87
IMAGENET = 6.0
"""A pretrained encoder learns as if from so many times as many pictures: 0.835 after 12,700."""
OUTLINE = 0.35
"""Cells of the network's finest map by which an outline is off, in all: a disc of 18 cells loses 0.02."""
WORST_OUTLINE = 0.6
PER_DOUBLING = 0.006
"""What twice as many channels bring."""
CONTEXT = 0.02
"""What a patch half as long on each side costs."""


def expected_score(
    facts: Fingerprint, candidate: Candidate, size: Sequence[int], pictures: float, *, coarser: float = 1.0
) -> float:
    """The score to compare plans by; grows with time, size and width.

    Args:
        facts: of the data set.
        candidate: the network.
        size: of its input, per axis.
        pictures: how many it sees in all, repetitions counted; 0 for none.
        coarser: volumes: voxels on the network's grid are so many times as long as those of the fingerprint.
    """
    if pictures <= 0:
        return 0.0
    planner = planner_of(facts)
    shown = planner.share_seen(facts, size, coarser)
    seen = pictures * (IMAGENET if candidate.pretrained else 1.0)
    shortage = planner.shortage / math.sqrt(seen * math.sqrt(shown))
    context = CONTEXT * -math.log2(shown) / 3
    score = BEST - shortage - context - outline_loss(facts, candidate, size, coarser=coarser)
    return max(0.0, score + PER_DOUBLING * math.log2(candidate.width / 16))


def outline_loss(facts: Fingerprint, candidate: Candidate, size: Sequence[int], *, coarser: float = 1.0) -> float:
    """What is lost because the network's finest map has cells as large as they are."""
    cells = planner_of(facts).cells(size, coarser)
    losses = []
    for shown in facts.classes.values():
        if shown.cases > 0:
            typical, smallest = (
                thickness * cells / candidate.stride for thickness in (shown.thickness, shown.smallest)
            )
            losses.append(min(WORST_OUTLINE, OUTLINE * (0.7 / typical + 0.3 / smallest)))
    return sum(losses) / len(losses) if losses else 0.0
