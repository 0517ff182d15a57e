"""What a plan decides for volumes: they are cut into patches, on a grid that the plan may make coarser."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from medseg_monai.dataset import DatasetSpec
from medseg_monai.planning.candidates import Candidate, volume_candidates
from medseg_monai.planning.fingerprint import ClassFacts, Fingerprint
from medseg_monai.transforms import load
from medseg_monai.transforms.pipeline import Pipeline

MULTIPLE = 4
LARGEST_PATCH = 128**3
SMALLEST_PATCH_SIDE = 32
PATCH_SHARES = (1.0, 0.75, 0.6, 0.5, 0.4)
LARGEST_GRID = 96**3
"""Voxels of a median volume beyond which a coarser grid is considered: about what a patch can see of it at once."""
COARSE = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0)
LEAST_THICKNESS = 2.0
"""Voxels that the smallest structures keep on a coarser grid."""
LEAST_SAMPLES = 60
"""Patches in an epoch, at least."""
LARGEST_BATCH = 2
PROBE_VOXELS = 32**3
TINY = 0.001
"""Share of a volume below which a class is missed by most patches."""


class VolumePlanner:
    """The `medseg_monai.planning.kinds.Planner` of volumes."""

    elements = "voxels"
    grid = "voxels on the network's grid, air cut off"
    sampled = 12
    relative = False
    cached = True
    shortage = 1.2

    def reader(self, spec: DatasetSpec) -> Pipeline:
        """What training reads from the cache."""
        return load(spec)

    def candidates(self, network: str, spec: DatasetSpec) -> list[Candidate]:
        """See `volume_candidates`."""
        return volume_candidates(network)

    def missing_encoders(self, network: str, spec: DatasetSpec) -> bool:
        """ImageNet is of photographs."""
        return False

    def sizes(self, facts: Fingerprint, spec: DatasetSpec, *, coarsen: bool) -> Iterator[tuple[tuple[int, ...], float]]:
        """See `coarser_grids` and `patch_sizes`."""
        grids = coarser_grids(facts) if coarsen and spec.spacing_mm is not None else [1.0]
        for coarser in grids:
            yield from ((size, coarser) for size in patch_sizes(facts, coarser))

    def probe_size(self, facts: Fingerprint, spec: DatasetSpec) -> tuple[int, ...]:
        """The largest of the small patches, or the smallest."""
        found = patch_sizes(facts, 1.0)
        small = [size for size in found if math.prod(size) <= PROBE_VOXELS]
        return small[-1] if small else found[0]

    def windows(self, facts: Fingerprint, size: Sequence[int], coarser: float) -> int:
        """They overlap by half."""
        counts = [
            max(1, math.ceil((side / coarser - patch) / (patch / 2)) + 1)
            for side, patch in zip(facts.median_size, size, strict=True)
        ]
        return math.prod(counts)

    def loading(self, larger: float) -> float:
        """A patch is cut from a volume that is read whole."""
        return 1.0

    def first_batch(self, cases: int, most: int) -> int:
        """Patches are large."""
        return min(most, LARGEST_BATCH)

    def patches_per_case(self, cases: int) -> int:
        """Few volumes are cut into more patches, so that an epoch is worth its validation."""
        return max(1, math.ceil(LEAST_SAMPLES / cases))

    def cells(self, size: Sequence[int], coarser: float) -> float:
        """Thickness is in voxels of the data set's grid."""
        return 1 / coarser

    def share_seen(self, facts: Fingerprint, size: Sequence[int], coarser: float) -> float:
        """What a patch holds of the median volume."""
        return min(1.0, math.prod(size) / math.prod(side / coarser for side in facts.median_size))

    def augmentation(self, spec: DatasetSpec, passes: int) -> float | str:
        """Sides mean something in a body."""
        return "upright"

    def foreground(self, facts: Fingerprint) -> float | None:
        """More patches than usual are centred on a class if the rarest is tiny."""
        return 0.8 if _has_tiny(facts) else None

    def class_balance(self, facts: Fingerprint) -> float | None:
        """Small classes weigh more if the rarest is tiny (docs/results/planning.md)."""
        return 0.7 if _has_tiny(facts) else None

    def thickness(self, shown: ClassFacts) -> str:
        """In voxels."""
        return f"{shown.thickness:.1f} voxels thick, the smallest {shown.smallest:.1f}"


def _has_tiny(facts: Fingerprint) -> bool:
    """Whether the rarest class covers less than a thousandth of the volumes that show it."""
    return any(shown.share < TINY for shown in facts.classes.values() if shown.cases > 0)


def patch_sizes(facts: Fingerprint, coarser: float) -> list[tuple[int, ...]]:
    """Patches of the volumes' shape: the whole median volume if it is small enough, and smaller ones."""
    whole = [math.ceil(side / coarser / MULTIPLE) * MULTIPLE for side in facts.median_size]
    fits = min(1.0, (LARGEST_PATCH / math.prod(whole)) ** (1 / 3))
    found = set()
    for share in PATCH_SHARES:
        step = MULTIPLE if fits == 1.0 else 16
        patch = [round(side * fits * share / step) * step for side in whole]
        found.add(tuple(min(side, max(SMALLEST_PATCH_SIDE, part)) for side, part in zip(whole, patch, strict=True)))
    return sorted(found, key=math.prod)


def coarser_grids(facts: Fingerprint) -> list[float]:
    """Factors of the voxels' sides: 1, and for large volumes more, as long as the smallest structures keep a few voxels."""
    thin = min((shown.smallest for shown in facts.classes.values() if shown.cases > 0), default=0.0)
    found = [1.0]
    for coarser in COARSE[1:]:
        large = math.prod(facts.median_size) / found[-1] ** 3 > LARGEST_GRID
        if large and thin / coarser >= LEAST_THICKNESS:
            found.append(coarser)
    return found
