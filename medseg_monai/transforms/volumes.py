"""From volume files to the network's grid and values: the deterministic half for 3D.

A loaded volume is small enough to be cached: 16-bit steps between its limits of intensity, without the air around the patient.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms.transform import MapTransform
from numpy.typing import NDArray
from torch import Tensor

from medseg_monai.dataset.cases import SOFT_LABEL, as_list
from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.resampling import resample
from medseg_monai.grids.turn import Turn
from medseg_monai.grids.volume import Box, VolumeGrid
from medseg_monai.images.label_volumes import read_label_volume
from medseg_monai.images.photos import Array
from medseg_monai.images.probability_maps import CERTAIN, read_volume_map
from medseg_monai.images.volumes import read_image_volume
from medseg_monai.transforms.intensity import mean_and_std
from medseg_monai.transforms.photos import label_settings

STEPS = 65535
"""Stored values are 0 (the lower limit of intensity) to this (the upper one), uint16."""
PERCENTILES = (0.5, 99.5)
"""Limits for ``zscore``, which would otherwise follow a few bright voxels."""
SAMPLED_VOXELS = 2**22
"""Percentiles of a larger volume are taken from evenly spaced voxels, about this many."""
POSITIONS = 1000
"""Number of voxels of each class to store, as centres for patches."""


class LoadVolumed(MapTransform):
    """Volume and label from their files, on the network's grid; without a label if the case has none.

    Adds ``image_meta_dict``: ``filename_or_obj``; ``spatial_shape`` (I, J, K) and ``affine`` (4, 4), float64, of the scan's own
    grid; ``box`` (3, 2), the part around the patient, see `medseg_monai.grids.volume.VolumeGrid`; ``window`` (C, 2),
    the stored values that become 0 and 1; and with a label ``positions`` (n, 4), int16: class number and voxel, up to 1000 of
    each class.

    Args:
        keys: the image's key and, if labels are needed, theirs: ``soft_label`` for probabilities, any other for a mask.
        spec: the data set.
        label_size: ``network`` for a label on the network's grid, each voxel the class that covers most of it; ``native`` for the
            label as it was drawn.
    """

    def __init__(self, keys: Sequence[str], *, spec: DatasetSpec, label_size: str = "network") -> None:
        super().__init__(keys)
        if label_size not in ("network", "native"):
            raise ValueError(f"label_size must be 'network' or 'native', not {label_size!r}")
        self.spec = spec
        self.label_size = label_size
        intensity = spec.intensity
        self.settings = {  # all that affects the result for a file; part of the key of cache entries
            "transform": "LoadVolumed",
            "keys": [str(key) for key in self.keys if key != SOFT_LABEL],  # as in photos.py
            "task": spec.task,
            "classes": len(spec.classes),
            "channels": spec.in_channels,
            "spacing_mm": spec.spacing_mm,
            "intensity": [intensity.kind, intensity.lower, intensity.upper],
            "label_size": label_size,
            **label_settings(spec),
        }

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Paths under the keys become uint16 (C, i, j, k) and uint8 (1 or classes, i, j, k); probabilities are 0 to 255."""
        case = dict(data)
        image_key, *label_keys = self.keys
        volume = read_image_volume(case[image_key], self.spec.in_channels)
        limits = value_limits(volume.array, self.spec.intensity)
        grid = VolumeGrid(
            volume.geometry, _box(volume.array, limits[:, 0], volume.affine), _tuple(self.spec.spacing_mm)
        )
        stored = _stored(volume.array, limits, grid)
        meta: dict[str, Any] = {
            "filename_or_obj": str(volume.path),
            "spatial_shape": torch.tensor(volume.geometry.shape),
            "affine": torch.from_numpy(volume.geometry.affine.copy()),
            "box": torch.tensor(grid.box),
            "window": torch.from_numpy(_window(stored, self.spec.intensity)),
        }
        case[image_key], case[f"{image_key}_meta_dict"] = torch.from_numpy(stored), meta
        for key in label_keys:
            if case.get(key) is not None and key == SOFT_LABEL:
                case[key] = torch.from_numpy(self._soft_label(case[key], volume.geometry, grid))
            elif case.get(key) is not None:
                label = self._label(case[key], volume.geometry, grid)
                case[key] = torch.from_numpy(label)
                meta["positions"] = torch.from_numpy(class_positions(label))
        return case

    def _label(self, source: Any, geometry: Geometry, grid: VolumeGrid) -> NDArray[np.uint8]:
        label = read_label_volume(source, self.spec, geometry)
        if self.label_size == "native":
            return np.ascontiguousarray(label)
        return label_on_network_grid(label, grid, self.spec)

    def _soft_label(self, source: Any, geometry: Geometry, grid: VolumeGrid) -> NDArray[np.uint8]:
        planes = (read_volume_map(file, geometry) for file in as_list(source))
        if self.label_size == "native":
            return np.stack([_in_255ths(torch.from_numpy(plane.astype(np.float32))) for plane in planes])
        weights = [grid.weights(axis) for axis in range(3)]
        turned = (np.array(grid.turn.apply(plane)[grid.cut], np.float32, order="C") for plane in planes)
        return np.stack([_in_255ths(resample(torch.from_numpy(plane), weights)) for plane in turned])


def _in_255ths(shares: Tensor) -> NDArray[np.uint8]:
    whole: NDArray[np.uint8] = shares.mul(CERTAIN).round_().clamp_(0, CERTAIN).to(torch.uint8).numpy()
    return whole


def _tuple(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(values)


def value_limits(image: Array, intensity: Intensity) -> NDArray[np.float32]:
    """The values at which each channel of (C, I, J, K) is clipped, below and above: (C, 2).

    ``window``: the same for all images. ``percentile`` and ``zscore``: the image's own percentiles.

    Raises:
        ValueError: the intensity rule is one for photographs.
    """
    if intensity.kind == "uint8":
        raise ValueError("intensity kind 'uint8' is for photographs; for volumes use window, percentile or zscore")
    if intensity.kind == "window":
        return np.tile(np.asarray(intensity.bounds, np.float32), (len(image), 1))
    wanted = intensity.bounds if intensity.kind == "percentile" else PERCENTILES
    channels = image.reshape(len(image), -1)
    every = max(1, channels.shape[1] // SAMPLED_VOXELS)
    ends = np.percentile(channels[:, ::every], wanted, axis=1).T
    even = ends[:, 1] <= ends[:, 0]  # a single grey level: becomes 0, not NaN
    limits: NDArray[np.float32] = np.stack([ends[:, 0], ends[:, 1] + even], axis=1).astype(np.float32)
    return limits


def _box(image: Array, lowest: NDArray[np.float32], affine: NDArray[np.float64]) -> Box:
    """The smallest box, after reorientation, outside which all is at or below the lowest value: air, which padding restores."""
    turned = Turn.to_ras(affine).apply(image)
    above = np.zeros(turned.shape[1:], bool)
    for channel, low in zip(turned, lowest, strict=True):
        above |= channel > low
    ends = []
    for axis in range(3):
        occupied = np.flatnonzero(above.any(axis=tuple(other for other in range(3) if other != axis)))
        ends.append((int(occupied[0]), int(occupied[-1]) + 1) if occupied.size else (0, above.shape[axis]))
    return ends[0], ends[1], ends[2]


def _stored(image: Array, limits: NDArray[np.float32], grid: VolumeGrid) -> NDArray[np.uint16]:
    """(C, i, j, k) on the network's grid, from 0 at the lower limit to `STEPS` at the upper one."""
    out = np.empty((len(image), *grid.network_shape), np.uint16)
    weights = [grid.weights(axis) for axis in range(3)]
    for channel, (low, high), target in zip(image, limits.tolist(), out, strict=True):
        part = torch.from_numpy(np.array(grid.turn.apply(channel)[grid.cut], np.float32, order="C"))
        values = resample(part.clamp_(low, high), weights).sub_(low).mul_(STEPS / (high - low))
        target[:] = values.round_().clamp_(0, STEPS).numpy()
    return out


def _window(stored: NDArray[np.uint16], intensity: Intensity) -> NDArray[np.float32]:
    """(C, 2): the stored values that become 0 and 1; for ``zscore`` the mean, and the mean plus one standard deviation."""
    if intensity.kind != "zscore":
        return np.tile(np.asarray([0, STEPS], np.float32), (len(stored), 1))
    channels = stored.reshape(len(stored), -1)
    mean, std = channels.mean(axis=1, dtype=np.float64), channels.std(axis=1, dtype=np.float64)
    return np.stack([mean, mean + np.where(std > 0, std, 1)], axis=1).astype(np.float32)


def label_on_network_grid(label: NDArray[np.uint8], grid: VolumeGrid, spec: DatasetSpec) -> NDArray[np.uint8]:
    """Labels (1 or classes, I, J, K) of a scan on the network's grid: each voxel the class that covers most of it.

    Coverage is computed with the weights that images are resampled with, class by class, so only two maps are in memory at once.
    """
    turned: NDArray[np.uint8] = grid.turn.apply(label)[grid.cut_channels].copy()
    weights = [grid.weights(axis) for axis in range(3)]
    if all(matrix is None for matrix in weights):
        return turned
    if spec.task != "multiclass" and not (turned == IGNORED).any():
        covered = [resample(torch.from_numpy(plane > 0).float(), weights) for plane in turned]
        return np.stack([(plane >= 0.5).numpy().astype(np.uint8) for plane in covered])
    return np.stack([_most_covering(plane, grid, weights) for plane in turned])


def _most_covering(plane: NDArray[np.uint8], grid: VolumeGrid, weights: Sequence[Tensor | None]) -> NDArray[np.uint8]:
    """The number in (i, j, k) that covers most of each voxel of the network's grid."""
    best = torch.full(grid.network_shape, -1.0)
    found = torch.zeros(grid.network_shape, dtype=torch.uint8)
    for number in np.unique(plane).tolist():
        coverage = resample(torch.from_numpy(plane == number).float(), weights)
        found[coverage > best] = number
        best = torch.maximum(best, coverage)
    return found.numpy()


def class_positions(label: NDArray[np.uint8], *, most: int = POSITIONS) -> NDArray[np.int16]:
    """(n, 4): class number and (i, j, k) of up to `most` voxels of each class, evenly spaced among them; without ignored voxels.

    >>> class_positions(np.array([[[[0, 2], [1, 2]]]], np.uint8)).tolist()
    [[1, 0, 1, 0], [2, 0, 0, 1], [2, 0, 1, 1]]
    """
    found = []
    several = len(label) > 1
    numbers = range(1, len(label) + 1) if several else [n for n in np.unique(label).tolist() if n not in (0, IGNORED)]
    planes = ((n, label[n - 1] == 1 if several else label[0] == n) for n in numbers)
    for number, plane in planes:
        flat = np.flatnonzero(plane)
        chosen = flat[np.linspace(0, len(flat) - 1, min(most, len(flat))).round().astype(np.int64)]
        voxels = np.stack(np.unravel_index(chosen, plane.shape), axis=1)
        found.append(np.insert(voxels, 0, number, axis=1))
    return np.concatenate(found).astype(np.int16) if found else np.zeros((0, 4), np.int16)


def normalised_volume(stored: Tensor, window: Tensor, intensity: Intensity) -> Tensor:
    """Stored (C, i, j, k) to the network's float32."""
    low, high = (window[:, end, None, None, None] for end in (0, 1))
    values = stored.float().sub_(low).div_(high - low)
    if intensity.kind == "zscore":
        return values
    mean, std = (torch.from_numpy(part)[:, None, None, None] for part in mean_and_std(intensity, len(stored)))
    return values.clamp_(0, 1).sub_(mean).div_(std)


class NormaliseVolumed(MapTransform):
    """Stored (C, i, j, k) to the network's float32; drops the class positions, which only patches need."""

    def __init__(self, keys: Sequence[str], *, spec: DatasetSpec) -> None:
        super().__init__(keys)
        self.spec = spec

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Needs the ``image_meta_dict`` that ``load`` adds."""
        case = dict(data)
        for key in self.keys:
            meta = {name: value for name, value in case[f"{key}_meta_dict"].items() if name != "positions"}
            case[f"{key}_meta_dict"] = meta
            case[key] = normalised_volume(case[key], meta["window"], self.spec.intensity)
        return case
