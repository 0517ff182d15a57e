"""From files to the network's input: the deterministic half (`load`, `normalise`) and the random half (`augment`), from a spec.

Every workflow decodes, resizes and normalises through these factories, so training, evaluation and
prediction see the same numbers. The way back (probabilities to a mask on the image's grid) is in `postprocessing.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.transforms.augment_ranges import Augmentation, Strength
from medseg_monai.transforms.photo_augment import AugmentPhotod
from medseg_monai.transforms.photos import LabelSize, LoadPhotod, NormalisePhotod
from medseg_monai.transforms.pipeline import Pipeline
from medseg_monai.transforms.postprocessing import (
    AsMaskd,
    ClassMasksd,
    Restored,
    ToProbabilitiesd,
    postprocess,
)
from medseg_monai.transforms.stacks import LoadStackd
from medseg_monai.transforms.volume_augment import AugmentVolumed
from medseg_monai.transforms.volumes import LoadVolumed, NormaliseVolumed

__all__ = [
    "AsMaskd",
    "AugmentPhotod",
    "Augmentation",
    "ClassMasksd",
    "LoadPhotod",
    "LoadStackd",
    "NormalisePhotod",
    "Pipeline",
    "Restored",
    "ToProbabilitiesd",
    "augment",
    "load",
    "load_and_augment",
    "normalise",
    "postprocess",
]


def load(spec: DatasetSpec, *, keys: Sequence[str] = ("image", "label"), label_size: LabelSize = "network") -> Pipeline:
    """Decode and resize: the deterministic half, which can be cached.

    See `LoadPhotod`, for neighbouring slices (2.5D) `LoadStackd`, for 3D `LoadVolumed`.
    """
    if spec.spatial_dims == 3:
        return Pipeline([LoadVolumed(keys, spec=spec, label_size=label_size)])
    if spec.slice_stride:
        return Pipeline([LoadStackd(keys, spec=spec, label_size=label_size)])
    return Pipeline([LoadPhotod(keys, spec=spec, label_size=label_size)])


def normalise(spec: DatasetSpec, *, key: str = "image") -> Pipeline:
    """The deterministic steps after `load`, for validation, inference and explanation."""
    if spec.spatial_dims == 3:
        return Pipeline([NormaliseVolumed((key,), spec=spec)])
    return Pipeline([NormalisePhotod((key,), spec=spec)])


def augment(
    spec: DatasetSpec, *, strength: Strength = 1.0, keys: Sequence[str] = ("image", "label"), foreground: float = 0.67
) -> Pipeline:
    """The random half after `load`: one warp, colour and brightness, and the same normalisation; see `AugmentPhotod`.

    In 3D a patch of ``spec.size`` is cropped first; see `AugmentVolumed`.

    Args:
        spec: the data set.
        strength: 0 (nothing random) to 1 (default) and beyond; ``off``, ``light``, ``default``, ``strong``
            or ``upright`` (no mirroring, for anatomy with fixed sides); a mapping of
            individual values; or an `Augmentation` or `VolumeAugmentation`.
        keys: keys of image and label; the label may be missing in a case.
        foreground: 3D only: share of the patches that are centred on a voxel of a class.
    """
    if spec.spatial_dims == 3:
        return Pipeline([AugmentVolumed(keys, spec=spec, strength=strength, foreground=foreground)])
    return Pipeline([AugmentPhotod(keys, spec=spec, strength=strength)])


def load_and_augment(
    spec: DatasetSpec, *, strength: Strength = 1.0, keys: Sequence[str] = ("image", "label")
) -> Pipeline:
    """`load` and `augment` in one, for a loop without a cache."""
    return Pipeline([*load(spec, keys=keys).transforms, *augment(spec, strength=strength, keys=keys).transforms])
