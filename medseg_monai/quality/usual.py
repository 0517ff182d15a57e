"""How answers are spread on validation: mean and standard deviation of a few numbers per case, to compare a batch with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from medseg_monai.dataset.spec import refuse_unknown_keys

SMALLEST = 1e-6
"""Numbers that are the same in all cases have at least this spread."""


@dataclass(frozen=True)
class UsualAnswers:
    """Mean and standard deviation of each number over validation's cases.

    Args:
        numbers: name -> (mean, standard deviation).
        cases: looked at.

    Raises:
        ValueError: values that cannot be.
    """

    numbers: Mapping[str, tuple[float, float]]
    cases: int

    def __post_init__(self) -> None:
        found: dict[str, tuple[float, float]] = {}
        for name, pair in self.numbers.items():
            mean, spread = (float(value) for value in pair)
            if not (math.isfinite(mean) and math.isfinite(spread) and spread > 0):
                raise ValueError(f"usual: {name} is a finite mean and a spread above 0, not {pair!r}")
            found[str(name)] = (mean, spread)
        object.__setattr__(self, "numbers", found)
        if type(self.cases) is not int or self.cases < 1:
            raise ValueError(f"usual: cases is a number of cases, not {self.cases!r}")

    @classmethod
    def of(cls, cases: Sequence[Mapping[str, float]]) -> UsualAnswers | None:
        """What is usual in these; a number that only some of them have is left out. None if there are fewer than two."""
        if len(cases) < 2:
            return None
        names = [name for name in cases[0] if all(name in case for case in cases)]
        columns = {name: np.array([case[name] for case in cases], np.float64) for name in names}
        numbers = {
            name: (_rounded(c.mean()), _rounded(max(float(c.std(ddof=1)), SMALLEST))) for name, c in columns.items()
        }
        return cls(numbers, len(cases))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "numbers": {name: list(pair) for name, pair in self.numbers.items()}}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> UsualAnswers:
        """The inverse of `to_dict`; a ValueError for anything else."""
        if not isinstance(content, Mapping):
            raise ValueError(f"usual: a mapping is expected, got {content!r}")
        refuse_unknown_keys(content, [field.name for field in fields(cls)], "usual")
        try:
            return cls(**content)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"usual: {error}") from error


def _rounded(value: float) -> float:
    return float(f"{float(value):.5g}")
