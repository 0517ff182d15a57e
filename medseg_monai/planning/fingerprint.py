"""What a plan depends on of a data set: how many cases, how large, how bright, and how small the smallest structures are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ClassFacts:
    """One class.

    Attributes:
        cases: share of the cases that show it.
        share: of the picture that it covers where it is shown, in the median case.
        thickness: of its structures (the diameter of the largest disc or ball inside), as a share of the picture's longer side; in
            volumes in voxels of the network's grid. In the median of the cases.
        smallest: the same of the smallest structure of each case, lowest tenth of the cases.
    """

    cases: float
    share: float
    thickness: float
    smallest: float


@dataclass(frozen=True)
class Fingerprint:
    """A data set as far as a plan depends on it.

    Attributes:
        name: of the data set.
        spatial_dims: 2 or 3.
        counts: cases by split.
        groups: of the training cases (patients, lesions).
        sampled: training cases that were read.
        sizes: (smallest, median, largest) of each axis: pixels of the files; in volumes voxels of the network's grid, air cut off.
        spacing_mm: of the network's grid, if the data set says it.
        intensity: percentiles 0.5, 50 and 99.5 of the values between the limits of intensity (0 to 1), median of the cases.
        classes: by name.
        empty: share of the cases that show no class.
        says_present: whether every training case says in dataset.json which classes it shows, which sampling by it needs.
    """

    name: str
    spatial_dims: int
    counts: Mapping[str, int]
    groups: int
    sampled: int
    sizes: tuple[tuple[int, int, int], ...]
    spacing_mm: tuple[float, ...] | None
    intensity: tuple[float, float, float]
    classes: Mapping[str, ClassFacts]
    empty: float
    says_present: bool

    @property
    def median_size(self) -> tuple[int, ...]:
        """Of each axis."""
        return tuple(sizes[1] for sizes in self.sizes)

    def to_dict(self) -> dict[str, Any]:
        """For JSON and YAML."""
        content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Fingerprint:
        """The inverse of `to_dict`."""
        classes = {name: ClassFacts(**facts) for name, facts in content["classes"].items()}
        sizes = tuple((int(low), int(middle), int(high)) for low, middle, high in content["sizes"])
        low, middle, high = content["intensity"]
        spacing = content["spacing_mm"]
        return cls(**{
            **content,
            "classes": classes,
            "sizes": sizes,
            "intensity": (low, middle, high),
            "spacing_mm": None if spacing is None else tuple(spacing),
        })  # fmt: skip
