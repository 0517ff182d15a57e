"""How far random changes to a training picture reach."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

PROBABILITIES = ("flip_x", "flip_y", "quarter_turn", "warp_probability", "colour_probability")
LIMITS = {**dict.fromkeys(PROBABILITIES, 1.0), "rotate_degrees": 180.0, "shear": 0.5, "bend": 1.0, "sharpness": 1.0}


@dataclass(frozen=True)
class Augmentation:
    """How far random changes reach; 0 switches one off. Each is drawn evenly from minus to plus its value.

    Args:
        flip_x, flip_y: probability of mirroring left-right and top-bottom.
        quarter_turn: probability of a turn by 90 degrees, square inputs only (with flips: all eight positions).
        rotate_degrees: turn by up to this angle.
        scale: enlarge or shrink by up to a factor of 1 + scale.
        shift: move by up to this share of width and height.
        shear: slant, as a tangent.
        warp_probability: share of the samples that are rotated, scaled, shifted and slanted; the others
            keep sharp pixels.
        brightness: added to values of 0..1.
        contrast: factor of up to 1 + contrast, or its inverse, about middle grey.
        bend: middle grey moves by up to bend / 4, black and white stay (much as a gamma does, at a seventh
            of the time).
        saturation, hue_degrees, tint: colour pictures only: strength of colour, turn of hue, gain per
            channel.
        colour_probability: share of the samples whose colour and light change.
        sharpness: detail (what differs from the mean of 5 x 5 pixels) becomes up to 1 + sharpness times as strong, or weaker by as
            much: 1 reaches from that mean, a blur, to detail twice as strong.
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

    def __post_init__(self) -> None:
        """Refuse values that have no meaning."""
        for item in fields(self):
            value, most = getattr(self, item.name), LIMITS.get(item.name, math.inf)
            if not 0 <= value <= most:
                limit = "0 or more" if most == math.inf else f"0 to {most:g}"
                raise ValueError(f"augmentation {item.name} is {value}; it must be {limit}")

    def scaled(self, factor: float) -> Augmentation:
        """All ranges times `factor`, up to their limits; probabilities stay, but 0 switches everything off."""
        if not 0 <= factor < math.inf:
            raise ValueError(f"augmentation strength is {factor}; it must be 0 or more")
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in values:
            if factor == 0 or name not in PROBABILITIES:
                values[name] = min(factor * values[name], LIMITS.get(name, math.inf))
        return Augmentation(**values)

    @classmethod
    def of(cls, strength: float | str | Mapping[str, float] | Augmentation) -> Augmentation:
        """The augmentation that a number, a name or a mapping of changed values stands for (see `medseg_monai.transforms.augment`)."""
        if isinstance(strength, Augmentation):
            return strength
        if isinstance(strength, Mapping):
            return cls(**strength)
        if strength == "upright":
            return cls(flip_x=0.0, flip_y=0.0, quarter_turn=0.0, rotate_degrees=15.0)
        named = {"off": 0.0, "light": 0.5, "default": 1.0, "strong": 1.6}
        if isinstance(strength, str) and strength not in named:
            raise ValueError(f"augmentation strength {strength!r} is not one of {', '.join([*named, 'upright'])}")
        return cls().scaled(named[strength] if isinstance(strength, str) else strength)
