"""Slices of a scan with their neighbours as channels (2.5D), from their files to the network's input."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms.transform import MapTransform
from torch import Tensor

from medseg_monai.dataset.cases import as_list, main_file
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.state import FileState, state_of
from medseg_monai.images.slices import neighbour_files
from medseg_monai.transforms.photos import LabelSize, LoadPhotod

logger = logging.getLogger(__name__)

RECENT_SLICES = 64
"""Number of decoded slices to keep in memory, 130 kB each at 256x256."""


class LoadStackd(MapTransform):
    """A slice and its neighbours as channels (2.5D), each loaded separately, so that a cache stores each slice of a scan once.

    An image may be the list of files, or the slice's own file: its name and ``spec.slice_stride`` then give the neighbours.
    All channels share one window, the median of the slices' own: the same tissue keeps its brightness from slice to slice, and
    a slice with an artefact does not dim the others. Adds ``image_meta_dict`` as `LoadPhotod` does, for the middle slice.

    Args:
        keys: the image's key and, if labels are needed, the label's.
        spec: the data set, with ``slice_stride``.
        label_size: see `LoadPhotod`.
    """

    def __init__(self, keys: Sequence[str], *, spec: DatasetSpec, label_size: LabelSize = "network") -> None:
        super().__init__(keys)
        self.spec = spec
        self._one = LoadPhotod(keys, spec=one_slice(spec), label_size=label_size)
        self.settings = self._one.settings

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Paths under the keys become uint8 (or uint16) tensors (C, W, H) and (K, W, H)."""
        return self.join(data, [self.load_part(part) for part in self.parts(data)])

    def parts(self, case: Mapping[Hashable, Any]) -> list[dict[Hashable, Any]]:
        """Cases for `load_part`: one for each slice, and one for the labels if there are any."""
        image_key, *label_keys = self.keys
        files = [str(file) for file in as_list(case[image_key])]
        if len(files) == 1:
            files = self._stack_around(files[0])
        labels = {key: case[key] for key in label_keys if case.get(key) is not None}
        slices: list[dict[Hashable, Any]] = [{image_key: file} for file in files]
        return slices + ([{image_key: main_file(files), **labels}] if labels else [])

    def _stack_around(self, file: str) -> list[str]:
        """The files of a slice and its neighbours; a neighbour that cannot be read counts as missing, and the log says so."""
        count, stride, unusable = self.spec.in_channels, self.spec.slice_stride or 1, set[Path]()
        while True:
            files = neighbour_files(file, count=count, stride=stride, without=unusable)
            for neighbour in files:
                try:
                    self.load_part({self.keys[0]: str(neighbour)})
                except (OSError, ValueError) as error:
                    if neighbour == Path(file):
                        raise
                    _say_once(f"{error}; for its neighbours it counts as missing")
                    unusable.add(neighbour)
                    break
            else:
                return [str(path) for path in files]

    def load_part(self, part: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """A loaded slice, or labels."""
        image_key = self.keys[0]
        file = part[image_key]
        if len(part) > 1:
            return {key: self._one.load_label(key, label, file) for key, label in part.items() if key != image_key}
        return dict(_recent_slice(file, _state(file), image_key, self._one.spec))

    def join(self, case: Mapping[Hashable, Any], parts: Sequence[Mapping[Hashable, Any]]) -> dict[Hashable, Any]:
        """The case assembled from the loaded parts.

        Raises:
            ValueError: the slices differ in size or in bits.
        """
        image_key = self.keys[0]
        meta_key = f"{image_key}_meta_dict"
        slices = [(part[image_key], part[meta_key]) for part in parts if meta_key in part]
        middle = slices[len(slices) // 2]
        for slice in slices:
            _check_alike(slice, middle)
        window = np.median([meta["window"].numpy() for _, meta in slices], axis=0)  # (1, 2)
        labels = {key: part[key] for part in parts if meta_key not in part for key in self.keys[1:] if key in part}
        # numpy copies in this thread; torch would wake a thread per core for it
        image = torch.from_numpy(np.concatenate([image.numpy() for image, _ in slices]))
        meta = {**middle[1], "window": torch.from_numpy(np.repeat(window, len(image), axis=0))}
        return {**case, **labels, image_key: image, meta_key: meta}


def one_slice(spec: DatasetSpec) -> DatasetSpec:
    """The spec of a single slice of a stack: one grey channel."""
    intensity = replace(spec.intensity, mean=(0.5,), std=(0.25,))
    return replace(spec, channels=("slice",), slice_stride=None, intensity=intensity)


@lru_cache(maxsize=RECENT_SLICES)
def _recent_slice(file: str, state: FileState | None, key: str, spec: DatasetSpec) -> dict[Hashable, Any]:
    """A loaded slice; the latest ones are kept in memory, since the next stack contains most of them again."""
    return LoadPhotod((key,), spec=spec)({key: file})


@lru_cache(maxsize=256)
def _say_once(text: str) -> None:
    logger.warning(text)


def _state(file: str) -> FileState | None:
    try:
        return state_of(file)
    except OSError:
        return None  # any fault is reported when it is read


def _check_alike(slice: tuple[Tensor, Mapping[str, Any]], middle: tuple[Tensor, Mapping[str, Any]]) -> None:
    image, meta = slice
    files = f"{middle[1]['filename_or_obj']} and its neighbour {meta['filename_or_obj']}"
    if not torch.equal(meta["spatial_shape"], middle[1]["spatial_shape"]):
        sizes = ["x".join(map(str, one["spatial_shape"].tolist())) for one in (middle[1], meta)]
        raise ValueError(f"{files} differ in size: {sizes[0]} and {sizes[1]}")
    if image.dtype != middle[0].dtype:
        bits = [8 * one.element_size() for one in (middle[0], image)]
        raise ValueError(f"{files} differ in depth: {bits[0]} and {bits[1]} bits")
