"""Random changes to a photograph and its label: drawn first (`draw`), then applied (`Drawn.apply`), hence
replayable.

All geometry is one matrix, so that the image is interpolated once (bilinear) and the label never (nearest);
what a warp brings in from outside is the mirror image, in both alike. All colour and light is one lookup
table (gamma) and one matrix.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.transforms.transform import MapTransform, Randomizable
from torch import Tensor

from medseg_monai.intensity import normalised, per_channel, unit_values
from medseg_monai.readers import Array
from medseg_monai.spec import DatasetSpec, Intensity

SEED_KEY = "augment_seed"
LUMINANCE = np.asarray([0.299, 0.587, 0.114], np.float32)  # ITU-R 601


@dataclass(frozen=True)
class Augmentation:
    """How far random changes reach; 0 switches one off. Each is drawn evenly from minus to plus its value.

    Args:
        flip_x, flip_y: probability of mirroring left-right and top-bottom.
        quarter_turn: probability of a turn by 90 degrees (with both flips: all eight positions).
        rotate_degrees: turn by up to this angle.
        scale: enlarge or shrink by up to a factor of 1 + scale.
        shift: move by up to this share of width and height.
        shear: slant, as a tangent.
        warp_probability: share of the samples that are rotated, scaled, shifted and slanted; the others
            keep sharp pixels.
        brightness: added to values of 0..1.
        contrast, gamma: factor and exponent of up to 1 + value, or its inverse.
        saturation, hue_degrees, tint: colour pictures only: strength of colour, turn of hue, gain per
            channel.
        colour_probability: share of the samples whose colour and light change.
    """

    flip_x: float = 0.5
    flip_y: float = 0.5
    quarter_turn: float = 0.5
    rotate_degrees: float = 30.0
    scale: float = 0.2
    shift: float = 0.08
    shear: float = 0.08
    warp_probability: float = 0.8
    brightness: float = 0.1
    contrast: float = 0.2
    gamma: float = 0.2
    saturation: float = 0.2
    hue_degrees: float = 8.0
    tint: float = 0.05
    colour_probability: float = 0.8

    def __post_init__(self) -> None:
        """Refuse negative values and probabilities above 1."""
        for item in fields(self):
            value = getattr(self, item.name)
            chance = item.name in ("flip_x", "flip_y", "quarter_turn") or item.name.endswith("probability")
            if value < 0 or (chance and value > 1):
                raise ValueError(
                    f"augmentation {item.name} is {value}; it must be 0 or more" + ", at most 1" * chance
                )

    def scaled(self, factor: float) -> Augmentation:
        """All ranges times `factor`; probabilities stay, except that 0 switches everything off."""
        if factor < 0:
            raise ValueError(f"augmentation strength is {factor}; it must be 0 or more")
        if factor == 0:
            return Augmentation(**{item.name: 0.0 for item in fields(self)})
        ranges = (
            "rotate_degrees",
            "scale",
            "shift",
            "shear",
            "brightness",
            "contrast",
            "gamma",
            "saturation",
            "tint",
        )
        changed = {name: factor * getattr(self, name) for name in (*ranges, "hue_degrees")}
        return replace(self, **changed)

    @classmethod
    def of(cls, strength: float | str | Augmentation) -> Augmentation:
        """The augmentation that a number or a name stands for (see `medseg_monai.transforms.augment`)."""
        if isinstance(strength, Augmentation):
            return strength
        if strength == "upright":
            return cls(flip_x=0.0, flip_y=0.0, quarter_turn=0.0, rotate_degrees=15.0)
        named = {"off": 0.0, "light": 0.5, "default": 1.0, "strong": 1.6}
        if isinstance(strength, str) and strength not in named:
            raise ValueError(
                f"augmentation strength {strength!r} is none of {', '.join([*named, 'upright'])}"
            )
        return cls().scaled(named[strength] if isinstance(strength, str) else strength)


@dataclass(frozen=True)
class Drawn:
    """One sample's change.

    Args:
        linear, offset: where an output point takes its value: input = linear @ output + offset, (x, y) in
            pixels from the centre.
        gamma: exponent of values of 0..1.
        colour, light: values after gamma become colour @ value + light: (C, C) and (C,).
    """

    linear: Array
    offset: Array
    gamma: float
    colour: Array
    light: Array

    def apply(
        self, image: Array, label: Array | None, window: Array, intensity: Intensity
    ) -> tuple[Tensor, Tensor | None]:
        """Stored (C, W, H) and uint8 (K, W, H) to the network's float32 image and uint8 label."""
        grid = None if self._is_still() else self._grid(image.shape[1:])
        warped_label = None if label is None else _warp_label(torch.from_numpy(label), grid)
        if grid is None and self._keeps_colour():
            return torch.from_numpy(normalised(image, window, intensity)), warped_label
        values = torch.from_numpy(unit_values(image, window, gamma=self.gamma))
        if grid is not None:
            values = F.grid_sample(
                values[None], grid, mode="bilinear", padding_mode="reflection", align_corners=False
            )[0]
        return self._coloured(values, intensity), warped_label

    def _is_still(self) -> bool:
        return bool(np.array_equal(self.linear, np.eye(2)) and not self.offset.any())

    def _keeps_colour(self) -> bool:
        return (
            self.gamma == 1.0
            and np.array_equal(self.colour, np.eye(len(self.light)))
            and not self.light.any()
        )

    def _grid(self, size: Sequence[int]) -> Tensor:
        """(1, W, H, 2) for grid_sample, whose points are (last axis, first axis) in -1..1: here (y, x)."""
        width, height = size
        x = (np.arange(width) + 0.5 - width / 2)[:, None]
        y = (np.arange(height) + 0.5 - height / 2)[:, None]
        half = np.array([height / 2, width / 2])
        from_x = x * self.linear[::-1, 0] / half  # (W, 2)
        from_y = (y * self.linear[::-1, 1] + self.offset[::-1]) / half  # (H, 2)
        return (
            torch.from_numpy(from_x.astype(np.float32))[:, None] + torch.from_numpy(from_y.astype(np.float32))
        )[None]

    def _coloured(self, values: Tensor, intensity: Intensity) -> Tensor:
        """0..1 through the colour matrix, the limits 0 and 1, and the network's mean and std, in one
        product.
        """
        channels = len(values)
        mean, std = per_channel(intensity.mean, channels), per_channel(intensity.std, channels)
        matrix = torch.from_numpy((self.colour / std[:, None]).astype(np.float32))
        offset = torch.from_numpy(((self.light - mean) / std).astype(np.float32))
        out = torch.addmm(offset[:, None], matrix, values.flatten(1)).view_as(values)
        for plane, low, high in zip(out, -mean / std, (1 - mean) / std, strict=True):
            plane.clamp_(float(low), float(high))
        return out


def _warp_label(label: Tensor, grid: Tensor | None) -> Tensor:
    if grid is None:
        return label.clone()
    warped = F.grid_sample(
        label[None].float(), grid, mode="nearest", padding_mode="reflection", align_corners=False
    )
    return warped[0].to(torch.uint8)


def draw(
    rng: np.random.Generator, augmentation: Augmentation, *, size: Sequence[int], channels: int
) -> Drawn:
    """One sample's change for pictures of `size` (width, height). The same numbers are drawn whatever is
    switched off.
    """
    u = rng.uniform(-1, 1, 16)
    chance = rng.uniform(0, 1, 5)
    linear, offset = _geometry(u[:7], chance[:4], augmentation, size)
    gamma, colour, light = _colour(
        u[7:], augmentation, channels, active=chance[4] < augmentation.colour_probability
    )
    return Drawn(linear=linear, offset=offset, gamma=gamma, colour=colour, light=light)


def _geometry(u: Array, chance: Array, a: Augmentation, size: Sequence[int]) -> tuple[Array, Array]:
    """(2, 2) and (2,): a flip and quarter turn, then a rotation, slant and scale, then a shift, inverted."""
    forward = np.diag([-1.0 if chance[0] < a.flip_x else 1.0, -1.0 if chance[1] < a.flip_y else 1.0])
    if chance[2] < a.quarter_turn:
        forward = np.array([[0.0, -1.0], [1.0, 0.0]]) @ forward
    shift = np.zeros(2)
    if chance[3] < a.warp_probability:
        angle = math.radians(a.rotate_degrees) * u[0]
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        slant = np.array([[1.0, a.shear * u[1]], [a.shear * u[2], 1.0]])
        forward = (1 + a.scale) ** u[3] * turn @ slant @ forward
        shift = a.shift * u[4:6] * np.asarray(size)
    linear = np.linalg.inv(forward)
    return linear, -linear @ shift


def _colour(u: Array, a: Augmentation, channels: int, *, active: bool) -> tuple[float, Array, Array]:
    """Gamma, (C, C) matrix and (C,) offset; contrast turns about middle grey."""
    if not active:
        return 1.0, np.eye(channels), np.zeros(channels)
    colour = np.eye(channels)
    if channels == 3:
        saturation = 1 + a.saturation * u[0]
        gain = np.diag(1 + a.tint * u[1:4])
        grey = np.broadcast_to(LUMINANCE, (3, 3))
        colour = _hue_turn(a.hue_degrees * u[4]) @ (saturation * np.eye(3) + (1 - saturation) * grey) @ gain
    contrast = (1 + a.contrast) ** u[5]
    light = np.full(channels, a.brightness * u[6] + 0.5 * (1 - contrast))
    return float((1 + a.gamma) ** u[7]), contrast * colour, light


def _hue_turn(degrees: float) -> Array:
    """(3, 3): a rotation of RGB about the grey axis (Rodrigues' formula); greys stay."""
    angle = math.radians(degrees)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return math.cos(angle) * np.eye(3) + (1 - math.cos(angle)) / 3 + math.sin(angle) * cross


class AugmentPhotod(MapTransform, Randomizable):
    """`draw` and apply to a loaded case; normalises as `medseg_monai.transforms.normalise` does.

    The draw depends on ``case["augment_seed"]`` alone if it is there (`medseg_monai.cache.CachedDataset`
    sets it), else on the transform's own state, which MONAI's ``set_random_state`` and ``DataLoader`` seed.

    Args:
        keys: the image's key and, if it may have one, the label's.
        spec: the data set.
        strength: see `medseg_monai.transforms.augment`.
    """

    def __init__(
        self, keys: Sequence[str], *, spec: DatasetSpec, strength: float | str | Augmentation = 1.0
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys=True)
        self.spec = spec
        self.augmentation = Augmentation.of(strength)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Needs the ``image_meta_dict`` that `medseg_monai.transforms.load` adds."""
        case = dict(data)
        image_key, *label_keys = self.keys
        seed = case.pop(SEED_KEY, None)
        rng = np.random.default_rng(self.R.randint(2**31) if seed is None else seed)
        image = case[image_key].numpy()
        drawn = draw(rng, self.augmentation, size=image.shape[1:], channels=len(image))
        label_key = next((key for key in label_keys if case.get(key) is not None), None)
        label = None if label_key is None else case[label_key].numpy()
        window = case[f"{image_key}_meta_dict"]["window"].numpy()
        case[image_key], warped = drawn.apply(image, label, window, self.spec.intensity)
        if label_key is not None:
            case[label_key] = warped
        return case
