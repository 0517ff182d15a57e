"""What a plan decides for photographs: they are seen whole, at a size that the plan chooses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from medseg_monai.dataset import DatasetSpec
from medseg_monai.planning.candidates import Candidate, missing_encoders, photo_candidates
from medseg_monai.planning.fingerprint import ClassFacts, Fingerprint
from medseg_monai.transforms import load
from medseg_monai.transforms.pipeline import Pipeline

SIDES = (96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768)
PROBE_SIDE = 128


class PhotoPlanner:
    """The `medseg_monai.planning.kinds.Planner` of photographs."""

    elements = "pixels"
    grid = "pixels"
    sampled = 64
    relative = True
    cached = False
    shortage = 7.75

    def reader(self, spec: DatasetSpec) -> Pipeline:
        """Masks as they were drawn: the network's size is still to be decided."""
        return load(spec, label_size="native")

    def candidates(self, network: str, spec: DatasetSpec) -> list[Candidate]:
        """See `photo_candidates`."""
        return photo_candidates(network, spec)

    def missing_encoders(self, network: str, spec: DatasetSpec) -> bool:
        """See `medseg_monai.planning.candidates.missing_encoders`."""
        return missing_encoders(network, spec)

    def sizes(self, facts: Fingerprint, spec: DatasetSpec, *, coarsen: bool) -> Iterator[tuple[tuple[int, ...], float]]:
        """See `photo_sizes`; photographs have no grid to be made coarser."""
        yield from ((size, 1.0) for size in photo_sizes(facts, spec))

    def probe_size(self, facts: Fingerprint, spec: DatasetSpec) -> tuple[int, ...]:
        """The largest of the small sizes."""
        small = [size for size in photo_sizes(facts, spec) if max(size) <= PROBE_SIDE]
        return small[-1] if small else tuple(spec.size or facts.median_size)

    def windows(self, facts: Fingerprint, size: Sequence[int], coarser: float) -> int:
        """A photograph is seen whole."""
        return 1

    def loading(self, larger: float) -> float:
        """A photograph is changed at the network's size."""
        return larger

    def first_batch(self, cases: int, most: int) -> int:
        """Few pictures want small batches, so that an epoch has steps enough."""
        return 16 if cases >= 200 else 8 if cases >= 40 else 4

    def patches_per_case(self, cases: int) -> int:
        """Each photograph once in an epoch."""
        return 1

    def cells(self, size: Sequence[int], coarser: float) -> float:
        """Thickness is a share of the longer side."""
        return max(size)

    def share_seen(self, facts: Fingerprint, size: Sequence[int], coarser: float) -> float:
        """All of it."""
        return 1.0

    def augmentation(self, spec: DatasetSpec, passes: int) -> float | str:
        """Strength by passes; without mirroring for slices with several organs, whose sides mean something."""
        if (spec.in_channels != 3 or spec.slice_stride) and len(spec.classes) > 1:
            return "upright"
        return 0.7 if passes < 20 else 1.0 if passes < 60 else 1.6

    def foreground(self, facts: Fingerprint) -> float | None:
        """No patches, so nothing to centre."""
        return None

    def class_balance(self, facts: Fingerprint) -> float | None:
        """Not measured for pictures."""
        return None

    def thickness(self, shown: ClassFacts) -> str:
        """In shares."""
        return f"{shown.thickness:.1%} of the longer side thick, the smallest {shown.smallest:.1%}"


def photo_sizes(facts: Fingerprint, spec: DatasetSpec) -> list[tuple[int, ...]]:
    """Sizes of the data set's shape, from small ones up to its own or, if the pictures are larger, to theirs."""
    own = spec.size or facts.median_size
    longest = max(own)
    most = max(longest, min(max(facts.median_size), SIDES[-1]))
    sides = [side for side in SIDES if side <= most and side != longest]
    found = {tuple(max(32, round(side * length / longest / 16) * 16) for length in own) for side in sides}
    return sorted({*found, own}, key=math.prod)
