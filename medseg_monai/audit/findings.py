"""What is found in each case: the error that its label most probably has, and the rank among all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from medseg_monai.audit.corrections import Correction, Kind
from medseg_monai.audit.evidence import MOST_NATS

LISTED_FROM: Final = 3.0
"""Evidence, in nats, from which a label is listed as doubtful: odds of 20 to 1 for each pixel that its correction changes."""
SOFT_NATS: Final = math.log(2)
"""Evidence against a label whose file has soft edges: along them both sides are equally likely."""
TWIN: Final = "twin of another patient"
NEARLY = 0.75
"""Kinds with this share of the greatest evidence are candidates for the error's name."""
WHOLE: Final[tuple[Kind, ...]] = ("shifted", "mirrored or turned", "swapped classes", "another picture's mask")
"""Errors of a whole label: one of them explains several regions at once."""
WHOLE_WEIGHT = 1.25
"""Their explanations count for more than a part's."""


@dataclass(frozen=True)
class Finding:
    """What is found in a case.

    Args:
        case: its id.
        kind: the error that its label most probably has; "" if no correction would gain anything.
        classes: that it concerns.
        evidence: nats per pixel that the correction changes, see `Correction.evidence`.
        reason: a sentence.
        dices: of each class, label against network.
        origin: where the probabilities come from.
    """

    case: str
    kind: Kind | str
    classes: tuple[str, ...]
    evidence: float
    reason: str
    dices: tuple[float, ...] = ()
    origin: str = ""

    @property
    def dice(self) -> float:
        """Mean over classes."""
        return sum(self.dices) / len(self.dices)


def judge(
    case: str,
    corrections: Sequence[Correction],
    classes: Sequence[str],
    *,
    soft: bool = False,
    dices: Sequence[float] = (),
    origin: str = "",
) -> Finding:
    """The finding of a case: its evidence is the greatest of all corrections; its name is that of the one which explains most.

    Args:
        case: its id.
        corrections: that would make its label likelier.
        classes: names of all classes.
        soft: whether the label's file has soft edges.
        dices, origin: see `Finding`.

    Only corrections of nearly the greatest evidence can give the name.
    """
    evidence = max((one.evidence for one in corrections), default=0.0)
    if soft and evidence < SOFT_NATS:
        return Finding(
            case, "soft outline", (), SOFT_NATS, "its label has soft edges in its file", tuple(dices), origin
        )
    if not corrections:
        return Finding(case, "", (), 0.0, "no correction would make the label likelier", tuple(dices), origin)
    candidates = [one for one in corrections if one.evidence >= NEARLY * evidence]
    best = max(candidates, key=lambda one: one.explained * (WHOLE_WEIGHT if one.kind in WHOLE else 1))
    return Finding(
        case,
        best.kind,
        tuple(classes[number] for number in best.classes),
        evidence,
        f"its label {best.words}" + ("; its file has soft edges" if soft else ""),
        tuple(dices),
        origin,
    )


def with_twin(finding: Finding, words: str) -> Finding:
    """The finding of a case whose picture is another patient's too: that is certain; what else was found is kept in the reason.

    Args:
        finding: of the label.
        words: which picture it is.
    """
    kept = f"; also, {finding.reason}" if finding.evidence >= LISTED_FROM else ""
    return replace(
        finding, kind=TWIN, classes=(), evidence=MOST_NATS, reason=f"its picture is nearly that of {words}{kept}"
    )


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """The most doubtful first; of equal evidence the one of the lower Dice."""
    return sorted(findings, key=lambda one: (-one.evidence, one.dice if one.dices else 1.0, one.case))


def scores_again(findings: Sequence[Finding], listed: Sequence[Finding]) -> Mapping[str, float]:
    """The mean Dice over all cases that were judged, and over those that are not listed; the second is left out if none is left."""
    names = {one.case for one in listed}
    others = [one.dice for one in findings if one.case not in names]
    scores = {"all": sum(one.dice for one in findings) / len(findings)} if findings else {}
    return {**scores, **({"without those listed": sum(others) / len(others)} if others else {})}
