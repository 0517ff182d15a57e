"""From files to the network's input: the sure half (`load`, `normalise`) and the random half (`augment`), from a spec.

Every workflow decodes, resizes and normalises through these factories, so that training, evaluation and
prediction see the same numbers. The way back (probabilities to a mask on the photograph's grid) is
`postprocess.py`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from monai.transforms.compose import Compose
from monai.transforms.transform import MapTransform
from PIL import Image

from medseg_monai.augment import AugmentPhotod
from medseg_monai.augmentation import Augmentation
from medseg_monai.geometry import Box, content_box
from medseg_monai.intensity import normalised, value_window
from medseg_monai.masks import read_mask
from medseg_monai.postprocess import AsMaskd, ClassMasksd, Restored, ToProbabilitiesd, postprocess, restore
from medseg_monai.readers import Array, PhotoHeader, read_header, read_image
from medseg_monai.spec import DatasetSpec
from medseg_monai.volume_augment import AugmentVolumed, VolumeAugmentation
from medseg_monai.volume_transforms import LoadVolumed, NormaliseVolumed

__all__ = [
    "AsMaskd",
    "AugmentPhotod",
    "Augmentation",
    "ClassMasksd",
    "LoadPhotod",
    "NormalisePhotod",
    "Pipeline",
    "Restored",
    "ToProbabilitiesd",
    "augment",
    "load",
    "load_and_augment",
    "normalise",
    "postprocess",
    "restore",
]

LabelSize = Literal["network", "native"]
Strength = float | str | Mapping[str, float] | Augmentation | VolumeAugmentation


class Pipeline(Compose):
    """MONAI's ``Compose``, except that an error in a transform reaches the caller as it is, not as a ``RuntimeError``."""

    def __call__(
        self,
        input_: Any,
        start: int = 0,
        end: int | None = None,
        threading: bool = False,
        lazy: bool | None = None,
    ) -> Any:
        """Apply the transforms in turn."""
        for transform in self.transforms[start:end]:
            input_ = transform(input_)
        return input_


class LoadPhotod(MapTransform):
    """Photograph and mask from their files, upright, at the network's size; without a label if the case has none.

    Adds ``image_meta_dict``: ``filename_or_obj``, ``spatial_shape`` (the upright photograph's own (width,
    height), int64) and ``window`` ((C, 2), the grey values that become 0 and 1).

    Args:
        keys: the image's key and, if labels are wanted, the label's.
        spec: the data set.
        label_size: ``network`` for a label on the network's grid, each pixel the class that covers most of
            it; ``native`` for the label as it was drawn, on the photograph's own grid.
    """

    def __init__(self, keys: Sequence[str], *, spec: DatasetSpec, label_size: LabelSize = "network") -> None:
        super().__init__(keys)
        if label_size not in ("network", "native"):
            raise ValueError(f"label_size is 'network' or 'native', not {label_size!r}")
        self.spec = spec
        self.label_size = label_size
        self.settings = _settings(spec, self.keys, label_size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Paths under the keys become uint8 (or uint16) tensors (C, W, H) and (K, W, H)."""
        case = dict(data)
        image_key, *label_keys = self.keys
        source = case[image_key]
        if not isinstance(source, str | Path | list | tuple):
            raise TypeError(f"{image_key!r} holds a {type(source).__name__}; a path or a list of paths is loaded")
        header = read_header(source[0] if isinstance(source, list | tuple) else source)
        box = content_box(header.size, self.spec)
        image = read_image(source, self.spec.in_channels, size=(box.width, box.height))
        if self.spec.intensity.kind == "uint8" and image.dtype == np.uint16:
            image = np.rint(image / 257).astype(np.uint8)
        case[f"{image_key}_meta_dict"] = {
            "filename_or_obj": str(header.path),
            "spatial_shape": torch.tensor(header.size),
            "window": torch.from_numpy(value_window(image, self.spec.intensity)),
        }
        case[image_key] = torch.from_numpy(_place(image, box, self.spec))
        for key in label_keys:
            if case.get(key) is not None:
                case[key] = torch.from_numpy(self._label(case[key], header, box))
        return case

    def _label(self, source: Any, header: PhotoHeader, box: Box) -> Array:
        label = read_mask(source, self.spec, image=header)
        if self.label_size == "native":
            return np.ascontiguousarray(label)
        return _place(_resize_label(label, (box.width, box.height), self.spec), box, self.spec)


def _settings(spec: DatasetSpec, keys: Sequence[Hashable], label_size: LabelSize) -> dict[str, Any]:
    """All that decides what `LoadPhotod` gives for a file; a cache keeps its entries apart by it."""
    intensity = spec.intensity
    return {
        "transform": "LoadPhotod",
        "keys": [str(key) for key in keys],
        "task": spec.task,
        "classes": len(spec.classes),
        "channels": spec.in_channels,
        "size": spec.size,
        "aspect": spec.aspect,
        "intensity": [intensity.kind, intensity.lower, intensity.upper],
        "label_size": label_size,
    }


def _place(array: Array, box: Box, spec: DatasetSpec) -> Array:
    """(C, w, h) content on a canvas of 0 of the network's size."""
    if spec.size is None or array.shape[1:] == tuple(spec.size):
        return np.ascontiguousarray(array)
    canvas = np.zeros((len(array), *spec.size), array.dtype)
    canvas[:, box.x : box.x + box.width, box.y : box.y + box.height] = array
    return canvas


def _resize_label(label: Array, size: tuple[int, int], spec: DatasetSpec) -> Array:
    """(K, W, H) labels on a grid of `size`: each pixel takes the class that covers most of it."""
    if label.shape[1:] == size:
        return label
    if spec.task == "multiclass":
        planes = [_coverage(label[0] == number, size) for number in range(len(spec.classes) + 1)]
        numbers: Array = np.argmax(planes, axis=0).astype(np.uint8)
        return numbers[None]
    return np.stack([_coverage(plane > 0, size) >= 128 for plane in label]).astype(np.uint8)


def _coverage(plane: Array, size: tuple[int, int]) -> Array:
    """How much of each pixel of the new (w, h) grid a bool (W, H) plane covers, 0 to 255.

    With the weights that images are resized with. Pillow's BOX would count whole pixels by their centres,
    and so shift outlines at ratios that are no whole numbers.
    """
    picture = Image.fromarray(plane.T.astype(np.uint8) * 255)  # in Pillow's order, (h, w): that is how masks lie
    covered: Array = np.asarray(picture.resize(size, Image.Resampling.BILINEAR)).T
    return covered


class NormalisePhotod(MapTransform):
    """uint8 or uint16 (C, W, H) to the network's float32: window to 0..1, then (value - mean) / std per channel."""

    def __init__(self, keys: Sequence[str], *, spec: DatasetSpec) -> None:
        super().__init__(keys)
        self.spec = spec

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Needs the ``image_meta_dict`` that `load` adds."""
        case = dict(data)
        for key in self.keys:
            case[key] = normalised(case[key], case[f"{key}_meta_dict"]["window"], self.spec.intensity)
        return case


def load(spec: DatasetSpec, *, keys: Sequence[str] = ("image", "label"), label_size: LabelSize = "network") -> Pipeline:
    """Decode and resize: the half that is the same every time and can be cached; see `LoadPhotod` and, for 3D, `LoadVolumed`."""
    if spec.spatial_dims == 3:
        return Pipeline([LoadVolumed(keys, spec=spec, label_size=label_size)])
    return Pipeline([LoadPhotod(keys, spec=spec, label_size=label_size)])


def normalise(spec: DatasetSpec, *, key: str = "image") -> Pipeline:
    """The sure end after `load`, where nothing random is wanted: validation, inference, explanation."""
    if spec.spatial_dims == 3:
        return Pipeline([NormaliseVolumed((key,), spec=spec)])
    return Pipeline([NormalisePhotod((key,), spec=spec)])


def augment(
    spec: DatasetSpec, *, strength: Strength = 1.0, keys: Sequence[str] = ("image", "label"), foreground: float = 0.67
) -> Pipeline:
    """The random half after `load`: one warp, colour and light, and the same normalisation; see `AugmentPhotod`.

    In 3D a patch of ``spec.size`` is cut out first; see `AugmentVolumed`.

    Args:
        spec: the data set.
        strength: 0 (nothing random) to 1 (default) and beyond; ``off``, ``light``, ``default``, ``strong``
            or ``upright`` (no mirroring, for anatomy with fixed sides); a mapping of
            single values; or an `Augmentation` or `VolumeAugmentation`.
        keys: of image and label; the label may be missing in a case.
        foreground: 3D only: share of the patches that are centred on a voxel of a class.
    """
    if spec.spatial_dims == 3:
        if isinstance(strength, Augmentation):
            raise TypeError("augment: an Augmentation is for photographs; volumes take a VolumeAugmentation")
        return Pipeline([AugmentVolumed(keys, spec=spec, strength=strength, foreground=foreground)])
    if isinstance(strength, VolumeAugmentation):
        raise TypeError("augment: a VolumeAugmentation is for volumes; photographs take an Augmentation")
    return Pipeline([AugmentPhotod(keys, spec=spec, strength=Augmentation.of(strength))])


def load_and_augment(
    spec: DatasetSpec, *, strength: Strength = 1.0, keys: Sequence[str] = ("image", "label")
) -> Pipeline:
    """`load` and `augment` in one, for a loop without a cache."""
    return Pipeline([*load(spec, keys=keys).transforms, *augment(spec, strength=strength, keys=keys).transforms])
