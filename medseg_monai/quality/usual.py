"""How answers are spread on validation: mean and standard deviation of a few numbers per case, to compare a batch with.

The numbers are the uncertainty, of each class the predicted Dice and how large it is, and of volumes the sides of a voxel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.quality.stored import from_json

SIDES = ("finest side of a voxel", "middle side of a voxel", "coarsest side of a voxel")
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
        return from_json(cls, content, "usual")


def answer_numbers(uncertainty: float, predicted: Mapping[str, float], sizes: Mapping[str, float]) -> dict[str, float]:
    """The numbers of one answer, by what they are in words.

    Args:
        uncertainty: of the case.
        predicted: class -> predicted Dice.
        sizes: see `found_sizes`.
    """
    return {
        "uncertainty": uncertainty,
        **{f"predicted Dice of {name}": dice for name, dice in predicted.items()},
        **sizes,
    }


def found_sizes(mask: NDArray[np.uint8], classes: Sequence[str], voxel_mm: Sequence[float] = ()) -> dict[str, float]:
    """How large each class is, as the root of its share of the image: shares themselves are skewed; of volumes also the voxels' sides.

    Args:
        mask: as `medseg_monai.predictor.Prediction` has it: class numbers, or a channel for each class.
        classes: their names.
        voxel_mm: sides of a voxel; none for photographs.

    >>> found_sizes(np.array([[1, 0], [0, 0]], np.uint8), ["lesion"])
    {'size of lesion': 0.5}
    """
    own_channels = mask.ndim > (3 if voxel_mm else 2)
    planes = [mask[n] > 0 if own_channels else mask == n + 1 for n in range(len(classes))]
    found = {f"size of {name}": float(np.mean(plane)) ** 0.5 for name, plane in zip(classes, planes, strict=True)}
    return found | dict(zip(SIDES, sorted(map(float, voxel_mm)), strict=False))


def _rounded(value: float) -> float:
    return float(f"{float(value):.5g}")
