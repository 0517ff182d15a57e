"""What a plan decides by the kind of images: one contract, met by `PhotoPlanner` and by `VolumePlanner`; nothing else asks which it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from medseg_monai.dataset import DatasetSpec
from medseg_monai.planning.candidates import Candidate
from medseg_monai.planning.fingerprint import ClassFacts, Fingerprint
from medseg_monai.planning.photos import PhotoPlanner
from medseg_monai.planning.volumes import VolumePlanner
from medseg_monai.transforms.pipeline import Pipeline


class Planner(Protocol):
    """What differs between photographs and volumes.

    Attributes:
        elements: of an image, for people.
        grid: what sizes in a fingerprint are counted in, for people.
        sampled: so many training cases are read for a fingerprint.
        relative: whether thickness is a share of the longer side; else it is in elements of the network's grid.
        cached: whether `reader` reads what training does, which the cache of decoded images then holds.
        shortage: what is missing from the best score after n images or patches is this over the root of n: for photographs 0.069
            after 12,700, 0.034 after 51,000 (U-Net from nothing).
    """

    elements: str
    grid: str
    sampled: int
    relative: bool
    cached: bool
    shortage: float

    def reader(self, spec: DatasetSpec) -> Pipeline:
        """Reads cases for a fingerprint."""

    def candidates(self, network: str, spec: DatasetSpec) -> list[Candidate]:
        """The forms of a network, by its class's name, the cheapest first; only as it is if it is not one of ours."""

    def missing_encoders(self, network: str, spec: DatasetSpec) -> bool:
        """Whether ImageNet weights would be tried if a package with them were installed."""

    def sizes(self, facts: Fingerprint, spec: DatasetSpec, *, coarsen: bool) -> Iterator[tuple[tuple[int, ...], float]]:
        """Sizes of the network's input that come into question, and how much coarser the grid is made, which `coarsen` allows."""

    def probe_size(self, facts: Fingerprint, spec: DatasetSpec) -> tuple[int, ...]:
        """A small size of those that come into question, for the timed trial."""

    def windows(self, facts: Fingerprint, size: Sequence[int], coarser: float) -> int:
        """How many a whole case is seen in."""

    def loading(self, larger: float) -> float:
        """How much longer it takes to make a sample `larger` times as large."""

    def first_batch(self, cases: int, most: int) -> int:
        """The batch before memory is looked at, for so many training cases; the bundle's own is `most`."""

    def patches_per_case(self, cases: int) -> int:
        """Samples of each case in an epoch, for so many training cases."""

    def cells(self, size: Sequence[int], coarser: float) -> float:
        """By what thickness in a fingerprint is multiplied to be in elements of the network's input."""

    def share_seen(self, facts: Fingerprint, size: Sequence[int], coarser: float) -> float:
        """The part of a median case that the network sees at once."""

    def augmentation(self, spec: DatasetSpec, passes: int) -> float | str:
        """Strength of random changes: the more often a case is seen, the stronger; no mirroring if sides mean something."""

    def foreground(self, facts: Fingerprint) -> float | None:
        """Share of the patches that are centred on a class; None for the bundle's own."""

    def class_balance(self, facts: Fingerprint) -> float | None:
        """How much more the pixels of small classes weigh in the loss; None for the bundle's own."""

    def thickness(self, shown: ClassFacts) -> str:
        """A class's thickness, for people."""


PLANNERS: Mapping[int, Planner] = {2: PhotoPlanner(), 3: VolumePlanner()}
"""By number of spatial axes, as `medseg_monai.grids.kinds.KINDS`."""


def planner_of(about: DatasetSpec | Fingerprint) -> Planner:
    """The planner for a data set.

    >>> planner_of(DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(4, 4))).elements
    'pixels'
    """
    return PLANNERS[about.spatial_dims]
