"""From files to the network's input: the deterministic half (`load`, `normalise`) and the random half (`augment`), from a spec.

Every workflow decodes, resizes and normalises through these factories, so training, evaluation and
prediction see the same numbers. The way back (probabilities to a mask on the image's grid) is in `postprocessing.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from monai.transforms.transform import MapTransform

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


@dataclass(frozen=True)
class Steps:
    """The transforms of one kind of image; see `load`, `normalise` and `augment` for their arguments."""

    load: Callable[[DatasetSpec, Sequence[str], LabelSize], MapTransform]
    normalise: Callable[[DatasetSpec, str], MapTransform]
    augment: Callable[[DatasetSpec, Sequence[str], Strength, float], MapTransform]


def _load_photo(spec: DatasetSpec, keys: Sequence[str], label_size: LabelSize) -> MapTransform:
    loads = LoadStackd if spec.slice_stride else LoadPhotod
    return loads(keys, spec=spec, label_size=label_size)


STEPS: Mapping[int, Steps] = {
    2: Steps(
        load=_load_photo,
        normalise=lambda spec, key: NormalisePhotod((key,), spec=spec),
        augment=lambda spec, keys, strength, _: AugmentPhotod(keys, spec=spec, strength=strength),
    ),
    3: Steps(
        load=lambda spec, keys, label_size: LoadVolumed(keys, spec=spec, label_size=label_size),
        normalise=lambda spec, key: NormaliseVolumed((key,), spec=spec),
        augment=lambda spec, keys, strength, foreground: AugmentVolumed(
            keys, spec=spec, strength=strength, foreground=foreground
        ),
    ),
}
"""By number of spatial axes, as `medseg_monai.grids.kinds.KINDS`."""


def load(spec: DatasetSpec, *, keys: Sequence[str] = ("image", "label"), label_size: LabelSize = "network") -> Pipeline:
    """Decode and resize: the deterministic half, which can be cached.

    See `LoadPhotod`, for neighbouring slices (2.5D) `LoadStackd`, for 3D `LoadVolumed`.
    """
    return Pipeline([STEPS[spec.spatial_dims].load(spec, keys, label_size)])


def normalise(spec: DatasetSpec, *, key: str = "image") -> Pipeline:
    """The deterministic steps after `load`, for validation, inference and explanation."""
    return Pipeline([STEPS[spec.spatial_dims].normalise(spec, key)])


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
    return Pipeline([STEPS[spec.spatial_dims].augment(spec, keys, strength, foreground)])


def load_and_augment(
    spec: DatasetSpec, *, strength: Strength = 1.0, keys: Sequence[str] = ("image", "label")
) -> Pipeline:
    """`load` and `augment` in one, for a loop without a cache."""
    return Pipeline([*load(spec, keys=keys).transforms, *augment(spec, strength=strength, keys=keys).transforms])
