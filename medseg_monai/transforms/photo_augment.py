"""Random changes to a photograph and its label: drawn first (`draw`), then applied (`Drawn.apply`).

All geometry is one matrix, so the image is interpolated once (bilinear) and the label never (nearest);
beyond the border both are continued by reflection. All changes of colour and brightness are one curve
and one matrix.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.transforms.transform import MapTransform, Randomizable
from torch import Tensor

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.photos import Array
from medseg_monai.transforms.augment_ranges import Augmentation, Strength
from medseg_monai.transforms.intensity import mean_and_std, normalised, unit_values
from medseg_monai.transforms.photo_artefacts import NONE, Artefacts, draw_artefacts

SEED_KEY = "augment_seed"
LUMINANCE = np.asarray([0.299, 0.587, 0.114], np.float32)  # ITU-R 601


@dataclass(frozen=True)
class Drawn:
    """One sample's change.

    Args:
        linear, offset: map an output point to its source: input = linear @ output + offset, (x, y) in
            pixels from the centre.
        bend: values v of 0..1 become v + bend * v * (1 - v): middle grey moves, black and white stay.
        colour, light: they then become colour @ value + light: (C, C) and (C,).
        sharpness: before all this, detail becomes 1 + sharpness times as strong; -1 leaves the mean of 5 x 5 pixels.
        artefacts: then come hairs, a colour cast and compression.
    """

    linear: Array
    offset: Array
    bend: float
    colour: Array
    light: Array
    sharpness: float = 0.0
    artefacts: Artefacts = NONE

    def apply(
        self, image: Tensor, label: Tensor | None, window: Tensor, intensity: Intensity
    ) -> tuple[Tensor, Tensor | None]:
        """Stored (C, W, H) and uint8 (K, W, H) to the network's float32 image and uint8 label."""
        if self._turns_only(image.shape[1:]):
            moved_label = None if label is None else _turn(label, self.linear).contiguous()
            if self._keeps_colour() and not self.sharpness and not self.artefacts:
                return _turn(normalised(image, window, intensity), self.linear).contiguous(), moved_label
            return self._coloured(_turn(self._values(image, window), self.linear), intensity), moved_label
        grid = self._grid(image.shape[1:])
        moved_label = None if label is None else _sample(label.float(), grid, "nearest").to(torch.uint8)
        return self._coloured(_sample(self._values(image, window), grid, "bilinear"), intensity), moved_label

    def _values(self, image: Tensor, window: Tensor) -> Tensor:
        """0..1, sharpened or blurred, then with its artefacts."""
        values = unit_values(image, window)
        if self.sharpness:
            mean = F.avg_pool2d(values, kernel_size=5, stride=1, padding=2, count_include_pad=False)
            values = values.lerp(mean, -self.sharpness)
        return self.artefacts.apply(values)

    def _turns_only(self, size: Sequence[int]) -> bool:
        """Whether pixels land on pixels: mirroring, and quarter turns of a square."""
        whole = not self.offset.any() and np.array_equal(np.abs(self.linear), np.abs(self.linear) > 0.5)
        return bool(whole and (size[0] == size[1] or self.linear[0, 0] != 0))

    def _keeps_colour(self) -> bool:
        return self.bend == 0 and np.array_equal(self.colour, np.eye(len(self.light))) and not self.light.any()

    def _grid(self, size: Sequence[int]) -> Tensor:
        """(1, W, H, 2) for grid_sample, whose points are (last axis, first axis) in -1..1: here (y, x)."""
        width, height = size
        x = (np.arange(width) + 0.5 - width / 2)[:, None]
        y = (np.arange(height) + 0.5 - height / 2)[:, None]
        half = np.array([height / 2, width / 2])
        from_x = x * self.linear[::-1, 0] / half  # (W, 2)
        from_y = (y * self.linear[::-1, 1] + self.offset[::-1]) / half  # (H, 2)
        # a pair (y, x) is added as one complex number: five times as fast as an inner axis of two
        along_x, along_y = (torch.view_as_complex(torch.from_numpy(a.astype(np.float32))) for a in (from_x, from_y))
        return torch.view_as_real(along_x[:, None] + along_y)[None]

    def _coloured(self, values: Tensor, intensity: Intensity) -> Tensor:
        """0..1 through the bend, the colour matrix with the network's mean and std, and the limits 0 and 1."""
        if self.bend:
            values = (values * (1 + self.bend)).addcmul_(values, values, value=-self.bend)
        mean, std = mean_and_std(intensity, len(values))
        matrix = torch.from_numpy((self.colour / std[:, None]).astype(np.float32))
        offset = torch.from_numpy(((self.light - mean) / std).astype(np.float32))
        out = torch.addmm(offset[:, None], matrix, values.flatten(1)).view(values.shape)
        for plane, low, high in zip(out, (-mean / std).tolist(), ((1 - mean) / std).tolist(), strict=True):
            plane.clamp_(low, high)
        return out


def _sample(values: Tensor, grid: Tensor, mode: str) -> Tensor:
    return F.grid_sample(values[None], grid, mode=mode, padding_mode="reflection", align_corners=False)[0]


def _turn(values: Tensor, linear: Array) -> Tensor:
    """(C, W, H) by a matrix of one 1 or -1 in each row and column."""
    (xx, xy), (yx, yy) = linear.tolist()
    if xx == 0:
        values, xx, yy = values.transpose(1, 2), yx, xy
    return values.flip([axis for axis, sign in ((1, xx), (2, yy)) if sign < 0])


def draw(
    rng: np.random.Generator,
    augmentation: Augmentation,
    *,
    size: Sequence[int],
    channels: int,
    coloured: bool | None = None,
) -> Drawn:
    """One sample's change for pictures of `size` (width, height); always draws the same number of values.

    What is off by default comes last, and so moves no other draw: `sharpness`, then the artefacts.

    `coloured`: whether the channels are red, green and blue (default: if there are three); else all change alike.
    """
    coloured = channels == 3 if coloured is None else coloured
    u = rng.uniform(-1, 1, 14).tolist()
    chance = rng.uniform(0, 1, 5).tolist()
    linear, offset = _geometry(u[:6], chance[:4], augmentation, size)
    active = chance[4] < augmentation.colour_probability
    bend, colour, light = _colour(u[6:], augmentation, channels, active=active, coloured=coloured)
    sharpness = augmentation.sharpness * rng.uniform(-1, 1) if augmentation.sharpness else 0.0
    artefacts = draw_artefacts(rng, augmentation, size=size, coloured=coloured)
    return Drawn(
        linear=linear, offset=offset, bend=bend, colour=colour, light=light, sharpness=sharpness, artefacts=artefacts
    )


def _geometry(u: Sequence[float], chance: Sequence[float], a: Augmentation, size: Sequence[int]) -> tuple[Array, Array]:
    """(2, 2) and (2,): a flip and quarter turn, then shear, rotation and scale, then a shift, inverted."""
    x, y = (
        -1.0 if drawn < probability else 1.0 for drawn, probability in zip(chance, (a.flip_x, a.flip_y), strict=False)
    )
    turned = chance[2] < a.quarter_turn and size[0] == size[1]  # else a third of the picture would be reflected border
    linear = np.array([[0.0, y], [-x, 0.0]] if turned else [[x, 0.0], [0.0, y]])
    if chance[3] >= a.warp_probability:
        return linear, np.zeros(2)
    angle, scale = math.radians(a.rotate_degrees) * u[0], (1 + a.scale) ** u[1]
    slant_x, slant_y = a.shear * u[2], a.shear * u[3]
    back = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    straight = np.array([[1.0, -slant_x], [-slant_y, 1.0]]) / (scale * (1 - slant_x * slant_y))
    linear = linear @ straight @ back
    return linear, -linear @ np.array([a.shift * u[4] * size[0], a.shift * u[5] * size[1]])


def _colour(
    u: Sequence[float], a: Augmentation, channels: int, *, active: bool, coloured: bool
) -> tuple[float, Array, Array]:
    """Bend, (C, C) matrix and (C,) offset; contrast turns about middle grey."""
    if not active:
        return 0.0, np.eye(channels), np.zeros(channels)
    contrast = (1 + a.contrast) ** u[0]
    light = np.full(channels, a.brightness * u[1] + 0.5 * (1 - contrast))
    colour = contrast * np.eye(channels)
    if coloured:
        saturation = 1 + a.saturation * u[3]
        mixed = saturation * np.eye(3) + (1 - saturation) * LUMINANCE  # each row: towards the pixel's luminance
        gain = 1 + a.tint * np.array(u[5:8])
        colour = contrast * _hue_turn(a.hue_degrees * u[4]) @ mixed * gain
    return a.bend * u[2], colour, light


def _hue_turn(degrees: float) -> Array:
    """(3, 3): a rotation of RGB about the grey axis (Rodrigues' formula); greys stay."""
    angle = math.radians(degrees)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return math.cos(angle) * np.eye(3) + (1 - math.cos(angle)) / 3 + math.sin(angle) * cross


class AugmentPhotod(MapTransform, Randomizable):
    """`draw` and apply to a loaded case; normalises as `medseg_monai.transforms.normalise` does.

    The draw depends only on ``case["augment_seed"]`` if it exists (`medseg_monai.training.cache.CachedDataset`
    sets it), else on the transform's own state, which MONAI's ``set_random_state`` and ``DataLoader`` seed.

    Args:
        keys: the image's key and, if it may have some, its labels'.
        spec: the data set.
        strength: see `medseg_monai.transforms.augment`.
    """

    def __init__(self, keys: Sequence[str], *, spec: DatasetSpec, strength: Strength = 1.0) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys=True)
        self.spec = spec
        self.augmentation = Augmentation.of(strength)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Needs the ``image_meta_dict`` that `medseg_monai.transforms.load` adds."""
        case = dict(data)
        image_key, *label_keys = self.keys
        seed = case.pop(SEED_KEY, None)
        rng = np.random.default_rng(self.R.randint(2**31) if seed is None else seed)
        image = case[image_key]
        coloured = len(image) == 3 and self.spec.slice_stride is None
        drawn = draw(rng, self.augmentation, size=image.shape[1:], channels=len(image), coloured=coloured)
        label, channels = side_by_side_labels(case, label_keys)
        window = case[f"{image_key}_meta_dict"]["window"]
        case[image_key], warped = drawn.apply(image, label, window, self.spec.intensity)
        return case | each_label(warped, channels)


def side_by_side_labels(
    case: Mapping[Hashable, Any], keys: Sequence[Hashable]
) -> tuple[Tensor | None, dict[Hashable, int]]:
    """The labels of a case as channels of one tensor, to be warped once (None if there are none), and the number of each key's channels."""
    channels = {key: len(case[key]) for key in keys if case.get(key) is not None}
    labels = [case[key] for key in channels]
    return (labels[0] if len(labels) == 1 else torch.cat(labels) if labels else None), channels


def each_label(labels: Tensor | None, channels: Mapping[Hashable, int]) -> dict[Hashable, Tensor]:
    """The labels by their keys again."""
    if labels is None:
        return {}
    return dict(zip(channels, torch.split(labels, list(channels.values())), strict=True))
