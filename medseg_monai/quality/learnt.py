"""What `medseg review` has learnt of how far answers are to be trusted: the part ``quality`` of ``spec.json``, plain numbers throughout."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.program.messages import refuse_unknown_keys
from medseg_monai.quality.calibration import Calibration
from medseg_monai.quality.conformal import Margins, Promise
from medseg_monai.quality.dice_estimate import DiceEstimate, is_of_other_numbers
from medseg_monai.quality.usual import UsualAnswers

logger = logging.getLogger(__name__)

OF_PREDICTED_DICE = ("dice", "promise", "usual")
_KINDS: Mapping[str, Any] = {
    "calibration": Calibration,
    "dice": DiceEstimate,
    "promise": Promise,
    "margins": Margins,
    "usual": UsualAnswers,
}


@dataclass(frozen=True)
class Quality:
    """Everything learnt on validation, each part only if it was.

    Attributes:
        calibration: temperatures of the probabilities.
        dice: how the Dice of a mask is predicted.
        promise: from which predicted Dice on a mask may pass unseen.
        margins: of inner and outer masks.
        usual: how answers on validation are spread, to compare a batch with (`medseg drift`).
    """

    calibration: Calibration | None = None
    dice: DiceEstimate | None = None
    promise: Promise | None = None
    margins: Margins | None = None
    usual: UsualAnswers | None = None

    def check(self, spec: DatasetSpec) -> None:
        """Raise a ValueError if a part is not for these classes."""
        if self.calibration is not None:
            self.calibration.check(spec)
        names = None if self.dice is None else tuple(one.name for one in self.dice.classes)
        if names is not None and names != spec.classes:
            raise ValueError(f"quality: dice is for the classes {names}, the weights know {spec.classes}")
        if self.margins is not None and len(self.margins.outer) != len(spec.classes):
            raise ValueError(f"quality: margins of {len(self.margins.outer)} classes, the weights know {spec.classes}")

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the parts that are there."""
        parts = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: part.to_dict() for name, part in parts if part is not None}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Quality:
        """The inverse of `to_dict`, but for what goes by numbers that another version measured: a predicted Dice, and a promise about it.

        Raises:
            ValueError: an unknown key, or a wrong value.
        """
        if not isinstance(content, Mapping):
            raise ValueError(f"quality: a mapping is expected, got {content!r}")
        refuse_unknown_keys(content, list(_KINDS), "quality")
        if is_of_other_numbers(content.get("dice")):
            logger.warning(
                "another version learnt to predict the Dice of masks; until medseg review has run again, it is not known"
            )
            content = {name: part for name, part in content.items() if name not in OF_PREDICTED_DICE}
        return cls(**{name: _KINDS[name].from_dict(part) for name, part in content.items() if part is not None})
