"""Random patches of a volume and its label, and random changes to them: drawn first, then applied.

All geometry is one map from the patch's voxels to the volume's (affine, plus an optional smooth deformation), so the image is
interpolated once (trilinear) and the label never (nearest). Outside the volume there is air: the lowest value, and background.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from monai.transforms.transform import MapTransform, Randomizable
from numpy.typing import NDArray
from torch import Tensor

from medseg_monai.dataset.cases import SOFT_LABEL
from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids import volume_grid_of
from medseg_monai.grids.volume import VolumeGrid
from medseg_monai.transforms.augment_ranges import Strength, VolumeAugmentation
from medseg_monai.transforms.photo_augment import SEED_KEY, each_label, side_by_side_labels
from medseg_monai.transforms.volumes import STEPS, normalised_volume

Vector = NDArray[np.float64]


class Volume(Protocol):
    """(C, i, j, k) values of which parts can be taken: a tensor, or an array that is still on disk (`diskcache.StoredArray`)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, i, j, k)."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: tuple[slice, ...], /) -> Any:
        """A part, as a tensor or an array."""
        ...


@dataclass(frozen=True)
class DrawnVolume:
    """One sample's change.

    Args:
        linear: (3, 3): a point of the patch, in voxels from its centre, is at ``linear @ point`` from the volume's point `centre`.
        centre: (3,), in voxels of the volume; voxel 0 has its centre at 0.
        displaced: (3, 4, 4, 4) further displacements in voxels at evenly spaced points of the patch, or None.
        contrast, brightness, bend, noise: changes of the values, on the scale of 0..1.
        noise_seed: seed of the noise.
    """

    linear: Vector
    centre: Vector
    displaced: NDArray[np.float32] | None = None
    contrast: float = 1.0
    brightness: float = 0.0
    bend: float = 0.0
    noise: float = 0.0
    noise_seed: int = 0

    def patch(
        self, stored: Volume, label: Volume | None, window: Tensor, *, size: Sequence[int], intensity: Intensity
    ) -> tuple[Tensor, Tensor | None]:
        """Stored (C, i, j, k) and uint8 (K, i, j, k) to the network's float32 and uint8 patch of `size`."""
        start = self.centre - (np.asarray(size) - 1) / 2
        if self.displaced is None and np.array_equal(np.abs(self.linear), np.eye(3)) and not (start % 1).any():
            whole = [int(number) for number in start]
            flips = [axis + 1 for axis in range(3) if self.linear[axis, axis] < 0]
            values = cut_patch(stored, whole, size).float().flip(flips)
            cut = None if label is None else cut_patch(label, whole, size).flip(flips).contiguous()
            return self._grey(values, window, intensity), cut
        points = self._points(size)
        moved = None if label is None else _sample(label, points, "nearest").to(torch.uint8)
        return self._grey(_sample(stored, points, "bilinear"), window, intensity), moved

    def _points(self, size: Sequence[int]) -> Tensor:
        """(i, j, k, 3) float32: the position of each voxel of the patch, in voxels of the volume."""
        axes = [(torch.arange(length, dtype=torch.float32) - (length - 1) / 2) for length in size]
        linear = torch.from_numpy(self.linear.astype(np.float32))
        along = [axis[:, None] * linear[:, number] for number, axis in enumerate(axes)]
        points = along[0][:, None, None] + along[1][None, :, None] + along[2][None, None]
        points += torch.from_numpy(self.centre.astype(np.float32))
        if self.displaced is not None:
            coarse = torch.from_numpy(self.displaced)[None]
            smooth = F.interpolate(coarse, size=list(size), mode="trilinear", align_corners=True)
            points += smooth[0].permute(1, 2, 3, 0)
        return points

    def _grey(self, values: Tensor, window: Tensor, intensity: Intensity) -> Tensor:
        """Stored values, as float32, changed and on the network's scale."""
        if self.contrast == 1 and not (self.brightness or self.bend or self.noise):
            return normalised_volume(values, window, intensity)
        values = values.div_(STEPS)
        if self.bend:
            values = (values * (1 + self.bend)).addcmul_(values, values, value=-self.bend)
        mean = values.mean(dim=(1, 2, 3), keepdim=True)
        values = values.sub_(mean).mul_(self.contrast).add_(mean + self.brightness)
        if self.noise:
            generator = torch.Generator().manual_seed(self.noise_seed)
            values = values.add_(torch.randn(values.shape, generator=generator), alpha=self.noise)
        return normalised_volume(values.clamp_(0, 1).mul_(STEPS), window, intensity)


def cut_patch(volume: Volume, start: Sequence[int], size: Sequence[int]) -> Tensor:
    """The part of (C, i, j, k) from `start` of `size`, with 0 beyond the volume."""
    inside = [slice(max(0, s), min(n, s + length)) for s, n, length in zip(start, volume.shape[1:], size, strict=True)]
    part = torch.as_tensor(volume[_part(inside)])
    if tuple(part.shape[1:]) == tuple(size):
        return part
    patch = part.new_zeros((len(volume), *size))
    where = [slice(i.start - s, i.stop - s) for i, s in zip(inside, start, strict=True)]
    patch[_part(where)] = part
    return patch


def _part(slices: Sequence[slice]) -> tuple[slice, slice, slice, slice]:
    """The index of a part of (C, i, j, k)."""
    i, j, k = slices
    return slice(None), i, j, k


def _sample(volume: Volume, points: Tensor, mode: str) -> Tensor:
    """Float32 values of (C, i, j, k) at points (..., 3); 0 outside. Only the part that is needed becomes float."""
    low, high = (extreme.tolist() for extreme in torch.aminmax(points.flatten(0, 2), dim=0))
    shape = volume.shape[1:]
    first = [min(max(0, math.floor(value)), n - 1) for value, n in zip(low, shape, strict=True)]
    last = [max(f + 1, min(n, math.ceil(value) + 1)) for f, value, n in zip(first, high, shape, strict=True)]
    part = torch.as_tensor(volume[_part(list(map(slice, first, last)))]).float()
    scale = torch.tensor([2 / length for length in part.shape[1:]])
    offset = torch.tensor([1 - 2 * f for f in first]) * scale / 2 - 1
    grid = torch.addcmul(offset, points, scale).flip(-1)  # grid_sample has the last axis first
    return F.grid_sample(part[None], grid[None], mode=mode, padding_mode="zeros", align_corners=False)[0]


def choose_centre(
    rng: np.random.Generator, positions: NDArray[np.int16] | None, shape: Sequence[int], *, foreground: float
) -> Vector:
    """A voxel for a patch's centre: with probability `foreground` one of a class, each class of the case equally likely, else any."""
    anywhere = rng.integers(0, np.asarray(shape))
    chance, pick_class, pick_voxel = rng.uniform(size=3)
    if positions is None or not len(positions) or chance >= foreground:
        return anywhere.astype(np.float64)
    numbers = np.unique(positions[:, 0])
    voxels = positions[positions[:, 0] == numbers[int(pick_class * len(numbers))], 1:]
    voxel: Vector = voxels[int(pick_voxel * len(voxels))].astype(np.float64)
    return voxel


def inside(centre: Vector, shape: Sequence[int], size: Sequence[int]) -> Vector:
    """The centre (as a point; half voxels along even sides) of the patch nearest to `centre` that is inside the volume.

    Along an axis along which the volume is smaller, it is centred in the patch.
    """
    length, n = np.asarray(size), np.asarray(shape)
    start = np.clip(np.rint(centre - (length - 1) / 2), 0, np.maximum(n - length, 0))
    start = np.where(n < length, -((length - n) // 2), start)
    point: Vector = start + (length - 1) / 2
    return point


def draw_volume(
    rng: np.random.Generator,
    augmentation: VolumeAugmentation,
    *,
    centre: Vector,
    size: Sequence[int],
    spacing_mm: Sequence[float],
) -> DrawnVolume:
    """One sample's change for a patch of `size` around `centre`; always draws the same number of values.

    Args:
        rng: the random generator.
        augmentation: ranges of the changes.
        centre: (3,), see `inside`.
        size: of the patch, in voxels.
        spacing_mm: of the voxels: rotations are in the patient's millimetres, not on the grid.
    """
    a = augmentation
    u = rng.uniform(-1, 1, 13).tolist()
    chance = rng.uniform(0, 1, 5).tolist()
    coarse = rng.uniform(-1, 1, (3, 4, 4, 4)).astype(np.float32)
    noise_seed = int(rng.integers(2**31))
    linear = np.diag([-1.0 if drawn < a.flip else 1.0 for drawn in chance[:3]])
    displaced = None
    if chance[3] < a.warp_probability and (a.rotate_degrees or a.scale or a.shift or a.bend_mm):
        side = np.asarray(spacing_mm, np.float64)
        scale = np.diag([(1 + a.scale) ** -v for v in u[3:6]])
        turn = rotation([math.radians(a.rotate_degrees) * v for v in u[:3]])
        linear = np.diag(1 / side) @ turn @ scale @ np.diag(side) @ linear
        centre = centre + a.shift * np.asarray(u[6:9]) * np.asarray(size)
        displaced = coarse * (a.bend_mm / side[:, None, None, None]).astype(np.float32) if a.bend_mm else None
    grey = chance[4] < a.grey_probability
    return DrawnVolume(
        linear=linear,
        centre=centre,
        displaced=displaced,
        contrast=(1 + a.contrast) ** u[9] if grey else 1.0,
        brightness=a.brightness * u[10] if grey else 0.0,
        bend=a.bend * u[11] if grey else 0.0,
        noise=a.noise * abs(u[12]) if grey else 0.0,
        noise_seed=noise_seed,
    )


def rotation(angles: Sequence[float]) -> Vector:
    """(3, 3): rotations about the first, second and third axis, in radians, one after another."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[one, one] = turn[other, other] = math.cos(angle)
        turn[one, other], turn[other, one] = -math.sin(angle), math.sin(angle)
        matrix = turn @ matrix
    return matrix


class AugmentVolumed(MapTransform, Randomizable):
    """A random patch of a loaded case, changed at random and normalised.

    The draw depends only on ``case["augment_seed"]`` if it exists (`medseg_monai.training.cache.CachedDataset` sets it), else on the
    transform's own state, which MONAI's ``set_random_state`` and ``DataLoader`` seed.

    Args:
        keys: the image's key and, if it may have some, its labels'.
        spec: the data set; ``spec.size`` is the patch, without one the whole volume is used.
        strength: see `VolumeAugmentation.of`.
        foreground: share of the patches that are centred on a voxel of a class (each class of the case equally likely).

    Attributes:
        taken_in_parts: keys of which it needs only what lies in the patch, so that a cache need not read the rest.
    """

    def __init__(
        self,
        keys: Sequence[str],
        *,
        spec: DatasetSpec,
        strength: Strength = 1.0,
        foreground: float = 0.67,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys=True)
        self.taken_in_parts = {str(key) for key in self.keys if key != SOFT_LABEL}
        if not 0 <= foreground <= 1:
            raise ValueError(f"foreground is {foreground}; it must be a share in [0, 1]")
        self.spec = spec
        self.augmentation = VolumeAugmentation.of(strength)
        self.foreground = foreground

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Needs the ``image_meta_dict`` that ``load`` adds."""
        case = dict(data)
        image_key, *label_keys = self.keys
        seed = case.pop(SEED_KEY, None)
        rng = np.random.default_rng(self.R.randint(2**31) if seed is None else seed)
        image, meta = case[image_key], dict(case[f"{image_key}_meta_dict"])
        positions, shape = meta.pop("positions", None), image.shape[1:]
        size = self.spec.size or tuple(shape)
        near = choose_centre(rng, None if positions is None else positions.numpy(), shape, foreground=self.foreground)
        drawn = draw_volume(
            rng,
            self.augmentation,
            centre=inside(near, shape, size),
            size=size,
            spacing_mm=self.spec.spacing_mm or _native_spacing(volume_grid_of(meta, self.spec)),
        )
        label, channels = side_by_side_labels(case, label_keys)
        patch = drawn.patch(image, label, meta["window"], size=size, intensity=self.spec.intensity)
        case[image_key], case[f"{image_key}_meta_dict"] = patch[0], meta
        return case | each_label(patch[1], channels)


def _native_spacing(grid: VolumeGrid) -> list[float]:
    """Voxel sides after reorientation, if volumes keep their own."""
    return [grid.spacing[axis] for axis in grid.turn.axes]
