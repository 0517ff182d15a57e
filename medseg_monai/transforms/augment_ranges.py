"""Ranges of the random changes to a training case: the meaning of `strength`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, TypeVar

from medseg_monai.program.messages import refuse_unknown_keys

NAMED = {"off": 0.0, "light": 0.5, "default": 1.0, "strong": 1.6}
UPRIGHT = "upright"

Ranges = TypeVar("Ranges", bound="_Ranges")


@dataclass(frozen=True)
class _Ranges:
    """The common part of the ranges for photographs and for volumes.

    Attributes:
        probabilities: fields that are not scaled with the ranges.
        limits: the largest value of a field; fields without one are not limited.
        upright: values of fields for anatomy with fixed sides: no mirroring.
        of_what: the images, as messages name them.
    """

    probabilities: ClassVar[tuple[str, ...]]
    limits: ClassVar[Mapping[str, float]]
    upright: ClassVar[Mapping[str, float]]
    of_what: ClassVar[str]

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        for item in fields(self):
            value, most = getattr(self, item.name), self._limit(item.name)
            if not isinstance(value, int | float) or not 0 <= value <= most:
                limit = "0 or more" if most == math.inf else f"0 to {most:g}"
                raise ValueError(f"augmentation {item.name} is {value!r}; it must be {limit}")

    @classmethod
    def _limit(cls, name: str) -> float:
        return 1.0 if name in cls.probabilities else cls.limits.get(name, math.inf)

    def scaled(self: Ranges, factor: float) -> Ranges:
        """All ranges times `factor`, up to their limits; probabilities stay, but 0 switches everything off.

        Raises:
            ValueError: the factor is negative or not finite.
        """
        if not 0 <= factor < math.inf:
            raise ValueError(f"augmentation strength is {factor}; it must be 0 or more")
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in values:
            if factor == 0 or name not in self.probabilities:
                values[name] = min(factor * values[name], self._limit(name))
        return type(self)(**values)

    @classmethod
    def of(cls: type[Ranges], strength: float | str | Mapping[str, float] | _Ranges) -> Ranges:
        """The ranges for a number (1 is the default, 0 is none), a name or a mapping of changed values.

        ``upright`` is for anatomy with fixed sides; see `medseg_monai.transforms.augment`.

        Raises:
            ValueError: an unknown name of a strength or of a range, or an invalid value.
            TypeError: ranges of the wrong kind: a photograph's for volumes, or vice versa.
        """
        if isinstance(strength, cls):
            return strength
        if isinstance(strength, _Ranges):
            raise TypeError(f"augmentation: {cls.__name__} is needed here, not {type(strength).__name__}")
        if isinstance(strength, Mapping):
            refuse_unknown_keys(strength, [item.name for item in fields(cls)], f"augmentation of {cls.of_what}")
            return cls(**strength)
        if strength == UPRIGHT:
            return cls(**cls.upright)
        if isinstance(strength, str) and strength not in NAMED:
            raise ValueError(f"augmentation strength {strength!r} is not one of {', '.join([*NAMED, UPRIGHT])}")
        factor = NAMED[strength] if isinstance(strength, str) else strength
        if not isinstance(factor, int | float):
            raise ValueError(f"augmentation strength is {factor!r}; it must be a number, a name or a mapping of ranges")
        return cls().scaled(factor)


@dataclass(frozen=True)
class Augmentation(_Ranges):
    """Ranges of random changes to a photograph; 0 switches one off. Each is drawn uniformly from minus to plus its value.

    Args:
        flip_x, flip_y: probability of mirroring left-right and top-bottom.
        quarter_turn: probability of a turn by 90 degrees, square inputs only (with flips: all eight orientations).
        rotate_degrees: rotate by up to this angle.
        scale: enlarge or shrink by up to a factor of 1 + scale.
        shift: move by up to this share of width and height.
        shear: as a tangent.
        warp_probability: share of the samples that are rotated, scaled, shifted and sheared; the others
            keep sharp pixels.
        brightness: added to values of 0..1.
        contrast: factor of up to 1 + contrast, or its inverse, about middle grey.
        bend: middle grey moves by up to bend / 4, black and white stay (much like a gamma, in a seventh
            of the time).
        saturation, hue_degrees, tint: colour pictures only: strength of colour, rotation of hue, gain per
            channel.
        colour_probability: share of the samples whose colour and brightness change.
        sharpness: detail (the difference from the mean of 5 x 5 pixels) is multiplied by 1 - sharpness to 1 + sharpness: 1 ranges from
            that mean, a blur, to detail twice as strong.
        constancy: colour pictures only: share of the colour cast that is removed (by shades of grey); below 0 it becomes stronger.
        hairs: largest number of hairs, drawn over the picture as dark curves of varying width; the label stays.
        hair_probability: share of the samples that may get hairs.
        jpeg: largest loss of JPEG quality: the picture goes through a JPEG file of quality 100 - jpeg to 100.
        jpeg_probability: share of the samples that do.
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
    bend: float = 0.2
    saturation: float = 0.2
    hue_degrees: float = 8.0
    tint: float = 0.05
    colour_probability: float = 0.8
    sharpness: float = 0.0
    constancy: float = 0.0
    hairs: float = 0.0
    hair_probability: float = 0.5
    jpeg: float = 0.0
    jpeg_probability: float = 0.5

    probabilities = (
        "flip_x",
        "flip_y",
        "quarter_turn",
        "warp_probability",
        "colour_probability",
        "hair_probability",
        "jpeg_probability",
    )
    limits: ClassVar[Mapping[str, float]] = {
        "rotate_degrees": 180.0,
        "shear": 0.5,
        "bend": 1.0,
        "sharpness": 1.0,
        "constancy": 1.0,
        "hairs": 100.0,
        "jpeg": 95.0,
    }
    upright: ClassVar[Mapping[str, float]] = {"flip_x": 0.0, "flip_y": 0.0, "quarter_turn": 0.0, "rotate_degrees": 15.0}
    of_what = "photographs"


@dataclass(frozen=True)
class VolumeAugmentation(_Ranges):
    """Ranges of random changes to a volume; 0 switches one off. Each is drawn uniformly from minus to plus its value.

    Args:
        flip: probability of mirroring along each axis.
        rotate_degrees: rotate about each axis by up to this angle.
        scale: enlarge or shrink by up to a factor of 1 + scale, independently for each axis.
        shift: move by up to this share of the patch.
        bend_mm: smooth displacement of up to about this much, along each axis.
        warp_probability: share of the samples that are rotated, scaled, shifted and deformed; the others keep sharp voxels.
        brightness: added to values of 0..1.
        contrast: factor of up to 1 + contrast, or its inverse, about the patch's mean.
        bend: middle grey moves by up to bend / 4, black and white stay.
        noise: largest standard deviation of added noise, on the scale of 0..1.
        grey_probability: share of the samples whose values change.
    """

    flip: float = 0.5
    rotate_degrees: float = 15.0
    scale: float = 0.2
    shift: float = 0.05
    bend_mm: float = 0.0
    warp_probability: float = 0.8
    brightness: float = 0.1
    contrast: float = 0.25
    bend: float = 0.3
    noise: float = 0.03
    grey_probability: float = 0.8

    probabilities = ("flip", "warp_probability", "grey_probability")
    limits: ClassVar[Mapping[str, float]] = {"bend": 1.0}
    upright: ClassVar[Mapping[str, float]] = {"flip": 0.0}
    of_what = "volumes"


Strength = float | str | Mapping[str, float] | Augmentation | VolumeAugmentation
"""Arguments of `of`."""
