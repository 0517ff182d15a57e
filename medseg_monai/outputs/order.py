"""In which order a person should look at predictions: what is likely to be wrong first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FLAGGED, EMPTY, FINE = "look at this", "nothing found", ""
UNLIKE = "unlike"
"""How the reason of a case begins that is of another kind than training's: what is predicted of its Dice says nothing."""


@dataclass(frozen=True)
class PredictedCase:
    """What was predicted in one case.

    Attributes:
        case: its id.
        pixels: by class; voxels of volumes.
        uncertainty: None if unknown.
        flagged: None if nothing says which cases a person should look at.
        reason: why it is flagged; "" if it is not.
        predicted_dice: by class; empty if unknown.
    """

    case: str
    pixels: Mapping[str, int]
    uncertainty: float | None
    flagged: bool | None
    reason: str = ""
    predicted_dice: Mapping[str, float] | None = None

    @classmethod
    def of(cls, case: str, rows: list[dict[str, str]]) -> PredictedCase:
        """From its rows in ``predictions.csv``, by column.

        Raises:
            KeyError, ValueError: they are none.
        """
        first = rows[0]
        known = [row for row in rows if row.get("predicted_dice")]
        return cls(
            case,
            {row["class"]: int(row["pixels"]) for row in rows},
            float(first["uncertainty"]) if first["uncertainty"] else None,
            first["flagged"] == "yes" if first["flagged"] else None,
            first.get("reason", ""),
            {row["class"]: float(row["predicted_dice"]) for row in known},
        )

    @property
    def empty(self) -> bool:
        """Whether nothing was found."""
        return not any(self.pixels.values())

    @property
    def mark(self) -> str:
        """What is to be seen first: a doubtful case, or one in which nothing was found."""
        return FLAGGED if self.flagged else EMPTY if self.empty else FINE

    @property
    def why(self) -> str:
        """Why a person should look at it, or how sure the network is if nothing says that one should."""
        if self.mark == EMPTY:
            return EMPTY
        if self.flagged:
            return self.reason
        sure = [] if self.lowest_dice is None else [f"predicted Dice {self.lowest_dice:.2f}"]
        sure += [] if self.uncertainty is None else [f"uncertainty {self.uncertainty:.2f}"]
        return ", ".join(["not flagged" if self.flagged is False else "not known whether a person should look", *sure])

    @property
    def lowest_dice(self) -> float | None:
        """The lowest predicted Dice of its classes; None if unknown."""
        return min(self.predicted_dice.values()) if self.predicted_dice else None

    @property
    def urgency(self) -> tuple[int, bool, float, float, str]:
        """Sorts cases: flagged ones first (unlike pictures before others), then empty ones; of each the lowest predicted Dice first."""
        place = (FLAGGED, EMPTY, FINE).index(self.mark)
        dice = 1.0 if self.lowest_dice is None else self.lowest_dice
        return place, not self.reason.startswith(UNLIKE), dice, -(self.uncertainty or 0.0), self.case
