"""Fingerprints made up for planning's tests, of pictures and of volumes, and the data sets that they are of."""

from medseg_monai.dataset import DatasetSpec, Intensity
from medseg_monai.planning.fingerprint import ClassFacts, Fingerprint

PHOTOS = DatasetSpec("photos", "binary", classes=("lesion",), channels=("red", "green", "blue"), size=(256, 192))
VOLUMES = DatasetSpec(
    "scans",
    "multiclass",
    classes=("liver",),
    channels=("ct",),
    spatial_dims=3,
    spacing_mm=(1.0, 1.0, 2.0),
    intensity=Intensity("window", lower=-160, upper=240),
)


def facts(
    cases: int = 200, *, thickness: float = 0.3, smallest: float = 0.1, share: float = 0.1, volumes: bool = False
) -> Fingerprint:
    """Pictures of 640 x 480 with a lesion, or volumes of about 200 x 200 x 90; thickness is relative to 1, or to 100 voxels."""
    sizes = ((180, 200, 220), (180, 200, 220), (60, 90, 100)) if volumes else ((640, 640, 640), (480, 480, 480))
    scale = 100 if volumes else 1
    return Fingerprint(
        name="drawn",
        spatial_dims=3 if volumes else 2,
        counts={"training": cases, "validation": max(1, cases // 5), "test": 0},
        groups=cases,
        sampled=min(cases, 64),
        sizes=sizes,
        spacing_mm=(1.0, 1.0, 2.0) if volumes else None,
        intensity=(0.0, 0.5, 1.0),
        classes={"lesion": ClassFacts(1.0, share, thickness * scale, smallest * scale)},
        empty=0.0,
        says_present=False,
    )
