"""Which cases a person should look at: those of high uncertainty, above a threshold learnt on the validation split.

A failure is a case below a Dice that the user chooses. The threshold is the highest one that flags the required share of the validation
failures; its cost, the share of all cases that are flagged, is stored with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from medseg_monai.program.messages import refuse_unknown_keys

DIGITS = 4
"""Decimals of an uncertainty that are written and compared."""


@dataclass(frozen=True)
class Review:
    """The threshold, and its result on the validation split.

    Args:
        threshold: cases with at least this uncertainty are flagged.
        failure_dice: a case below this Dice is a failure.
        cases: validation cases.
        failures: failures among them.
        flagged: cases that the threshold flags.
        caught: failures that it flags.

    Raises:
        ValueError: a value is invalid.
    """

    threshold: float
    failure_dice: float
    cases: int
    failures: int
    flagged: int
    caught: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.threshold) and 0 <= self.threshold <= 1):
            raise ValueError(f"review: the threshold must be an uncertainty from 0 to 1, not {self.threshold}")
        if not (0 <= self.caught <= self.failures <= self.cases and self.caught <= self.flagged <= self.cases):
            raise ValueError("review: the numbers of cases, failures, flagged and caught are inconsistent")

    def flags(self, uncertainty: float) -> bool:
        """Whether a person should look at a case of this uncertainty."""
        return round(uncertainty, DIGITS) >= self.threshold

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Review:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a key is unknown or missing, or a value is invalid.
        """
        if not isinstance(content, Mapping):
            raise ValueError(f"review: expected a mapping, got {content!r}")
        refuse_unknown_keys(content, [field.name for field in fields(cls)], "review")
        try:
            return cls(**content)
        except TypeError as error:
            raise ValueError(f"review: {error}") from error

    def __str__(self) -> str:
        return (
            f"from uncertainty {self.threshold:.3f}: {self.flagged} of {self.cases} validation cases flagged, including "
            f"{self.caught} of the {self.failures} below Dice {self.failure_dice:g}"
        )


def choose_review(
    uncertainties: Sequence[float], dices: Sequence[float], *, failure_dice: float = 0.7, catch: float = 0.9
) -> Review:
    """The highest threshold at which at least `catch` of the failures are flagged.

    If no validation case failed, the threshold is the highest uncertainty seen: it flags cases at least as uncertain as the most
    uncertain one that went well.

    Args:
        uncertainties: of the validation cases.
        dices: their Dice, the lowest of several classes.
        failure_dice: a case below it is a failure.
        catch: share of the failures, above 0, at most 1.

    Raises:
        ValueError: there are no cases, the lists differ in length, or the share is out of range.

    >>> print(choose_review([0.1, 0.2, 0.3, 0.4], [0.9, 0.6, 0.9, 0.5], catch=0.5))
    from uncertainty 0.400: 1 of 4 validation cases flagged, including 1 of the 2 below Dice 0.7
    """
    if not uncertainties or len(uncertainties) != len(dices):
        raise ValueError(
            f"review: got {len(uncertainties)} uncertainties and {len(dices)} Dice; expected one of each per case"
        )
    if not 0 < catch <= 1:
        raise ValueError(f"review: catch must be a share of failures, above 0 and at most 1, not {catch}")
    failed = sorted((u for u, dice in zip(uncertainties, dices, strict=True) if dice < failure_dice), reverse=True)
    highest = failed[math.ceil(catch * len(failed)) - 1] if failed else max(uncertainties)
    # rounded down: the case stays flagged even if other cases in its batch change its last digits
    threshold = math.floor(highest * 10**DIGITS) / 10**DIGITS
    return Review(
        threshold=float(threshold),
        failure_dice=failure_dice,
        cases=len(dices),
        failures=len(failed),
        flagged=sum(u >= threshold for u in uncertainties),
        caught=sum(u >= threshold for u in failed),
    )
