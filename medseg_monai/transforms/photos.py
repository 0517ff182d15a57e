"""Photographs from files to the network's input, and grey values to network values, as MONAI transforms."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from monai.transforms.transform import MapTransform
from PIL import Image
from torch import Tensor

from medseg_monai.dataset.cases import SOFT_LABEL, as_list, main_file
from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.photo import Box, PhotoGrid
from medseg_monai.images.masks import read_mask
from medseg_monai.images.photos import DRAFT_FACTOR, Array, PathLike, PhotoHeader, read_header, read_image
from medseg_monai.images.probability_maps import read_photo_map
from medseg_monai.images.slices import check_size, slice_file
from medseg_monai.transforms.intensity import normalised, value_window

LabelSize = Literal["network", "native"]


class LoadPhotod(MapTransform):
    """Photograph and mask from their files, upright, at the network's size; without a label if the case has none.

    Adds ``image_meta_dict``: ``filename_or_obj``, ``spatial_shape`` (the upright photograph's own (width,
    height), int64) and ``window`` ((C, 2), the grey values that become 0 and 1).

    Args:
        keys: the image's key and, if labels are needed, theirs: ``soft_label`` for probabilities, any other for a mask.
        spec: the data set.
        label_size: ``network`` for a label on the network's grid, each pixel the class that covers most of
            it; ``native`` for the label as it was drawn, on the photograph's own grid.
    """

    def __init__(self, keys: Sequence[str], *, spec: DatasetSpec, label_size: LabelSize = "network") -> None:
        super().__init__(keys)
        if label_size not in ("network", "native"):
            raise ValueError(f"label_size must be 'network' or 'native', not {label_size!r}")
        self.spec = spec
        self.label_size = label_size
        self.settings = _settings(spec, self.keys, label_size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Paths under the keys become uint8 (or uint16) tensors (C, W, H) and (K, W, H); probabilities are 0 to 255."""
        case = dict(data)
        image_key, *label_keys = self.keys
        source = case[image_key]
        if not isinstance(source, str | Path | list | tuple):
            raise TypeError(f"{image_key!r} is a {type(source).__name__}; expected a path or a list of paths")
        header, box = self._place_of(main_file(source))
        deep = self.spec.intensity.kind != "uint8"
        image = read_image(source, self.spec.in_channels, size=(box.width, box.height), deep=deep)
        case[f"{image_key}_meta_dict"] = {
            "filename_or_obj": str(header.path),
            "spatial_shape": torch.tensor(header.size),
            "window": torch.from_numpy(value_window(image, self.spec.intensity)),
        }
        case[image_key] = torch.from_numpy(_place(image, box, self.spec))
        for key in label_keys:
            if case.get(key) is not None:
                case[key] = self._label(key, case[key], header, box)
        return case

    def load_label(self, key: Hashable, label: Any, image: PathLike) -> Tensor:
        """The label under a key alone, of a photograph that is not decoded."""
        return self._label(key, label, *self._place_of(image))

    def _place_of(self, image: PathLike) -> tuple[PhotoHeader, Box]:
        header = read_header(image)
        if slice := slice_file(image):
            check_size(slice, header.size)
        return header, PhotoGrid.of(header.size, self.spec).box

    def _label(self, key: Hashable, source: Any, header: PhotoHeader, box: Box) -> Tensor:
        soft = key == SOFT_LABEL
        if soft:
            label = np.stack([read_photo_map(file, size=header.size) for file in as_list(source)])
        else:
            label = read_mask(source, self.spec, image=header)
        if self.label_size == "native":
            return torch.from_numpy(np.ascontiguousarray(label))
        size = (box.width, box.height)
        sized = np.stack([_resized(plane, size) for plane in label]) if soft else _resize_label(label, size, self.spec)
        return torch.from_numpy(_place(sized, box, self.spec))


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


def _settings(spec: DatasetSpec, keys: Sequence[Hashable], label_size: LabelSize) -> dict[str, Any]:
    """All settings that affect the result of `LoadPhotod` for a file; part of the key of cache entries."""
    intensity = spec.intensity
    return {
        "transform": "LoadPhotod",
        "keys": [
            str(key) for key in keys if key != SOFT_LABEL
        ],  # a case without soft labels is the same with and without the key
        "task": spec.task,
        "classes": len(spec.classes),
        "channels": spec.in_channels,
        "size": spec.size,
        "aspect": spec.aspect,
        "intensity": [intensity.kind, intensity.lower, intensity.upper],
        "label_size": label_size,
        "draft": DRAFT_FACTOR,
        **label_settings(spec),
    }


def label_settings(spec: DatasetSpec) -> dict[str, Any]:
    """Settings for reading label files, beyond task and classes; empty for class numbers without ignored values."""
    values = {"label_values": spec.label_values.to_dict()} if spec.label_values else {}
    return {**values, "ignore": list(spec.ignore)} if spec.ignore else values


def _place(array: Array, box: Box, spec: DatasetSpec) -> Array:
    """(C, w, h) content on a canvas of 0 of the network's size."""
    if spec.size is None or array.shape[1:] == tuple(spec.size):
        return np.require(array, requirements=("C", "W"))
    canvas = np.zeros((len(array), *spec.size), array.dtype)
    canvas[:, box.x : box.x + box.width, box.y : box.y + box.height] = array
    return canvas


def _resize_label(label: Array, size: tuple[int, int], spec: DatasetSpec) -> Array:
    """(K, W, H) labels on a grid of `size`: each pixel takes the class that covers most of it, or is ignored if ignored pixels do."""
    if label.shape[1:] == size:
        return label
    numbers = [0, *range(1, len(spec.classes) + 1)] if spec.task == "multiclass" else [0, 1]
    if (label == IGNORED).any():
        numbers.append(IGNORED)
    elif spec.task != "multiclass":
        return np.stack([_coverage(plane > 0, size) >= 128 for plane in label]).astype(np.uint8)
    return np.stack([_most_covering(plane, numbers, size) for plane in label])


def _most_covering(plane: Array, numbers: Sequence[int], size: tuple[int, int]) -> Array:
    """The number that covers most of each pixel of the new grid, (w, h) uint8; the first of equals."""
    covered = np.stack([_coverage(plane == number, size) for number in numbers])
    chosen: Array = np.asarray(numbers, np.uint8)[covered.argmax(axis=0)]
    return chosen


def _coverage(plane: Array, size: tuple[int, int]) -> Array:
    """How much of each pixel of the new (w, h) grid a bool (W, H) plane covers, 0 to 255."""
    return _resized(plane.astype(np.uint8) * 255, size)


def _resized(plane: Array, size: tuple[int, int]) -> Array:
    """A uint8 (W, H) plane on a grid of `size` (w, h), with the weights that images are resized with.

    Pillow's BOX would count whole pixels by their centres, and so shift outlines at ratios that are not whole numbers.
    """
    picture = Image.fromarray(np.ascontiguousarray(plane.T))  # in Pillow's order, (h, w)
    resized: Array = np.asarray(picture.resize(size, Image.Resampling.BILINEAR)).T
    return resized
