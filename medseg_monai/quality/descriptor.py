"""A picture, and what was outlined in it, described by a few numbers: colours, light, layout, texture, outline.

Computed from the network's input, so neither a file's size nor its shape matters, and with a few array operations, so it works with every
engine. Inputs are resized to `SIDE` pixels first, because the finest texture reflects the file's format and how it was downsized.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SIDE = 128
COARSEST = 16
"""Texture is measured at SIDE, half of it, and so on, down to this."""
CELLS = 3
"""Number of cells per side for the layout."""
FLAT = 1 / 255
"""A difference to the neighbour below this counts as none: drawings and screenshots have many such pixels, photographs few."""
SMALLEST = 1e-3
"""Replaces 0 in logarithms: a quarter of a grey level."""
MOST_CHANNELS = 3
"""For images with more channels, only the differences between channels are measured."""


def describe(image: Tensor, foreground: Tensor) -> dict[str, NDArray[np.float64]]:
    """Numbers that describe a picture, grouped into parts.

    Args:
        image: (C, W, H), 0 to 1, without bars.
        foreground: (W, H), the probability of any class, 0 to 1, on the same grid.

    Returns:
        Part -> (numbers,), always the same number for the same C: ``colours`` (not for one channel), ``light``, ``layout``, ``texture``
        and ``outline``, on scales on which usual pictures are spread roughly symmetrically (logarithms of non-negative quantities).
    """
    pixels = _resized(image.detach().float().cpu()).double()
    weight = _resized(foreground.detach().float().cpu()[None])[0].double().clamp(0, 1)
    grey = pixels.mean(dim=0)
    opponents = _opponents(pixels, grey)
    parts = {"light": _light(grey), "layout": _layout(grey), "texture": _texture(grey)}
    if len(opponents):
        parts["colours"] = _colours(opponents)
    parts["outline"] = _outline(grey, opponents, weight)
    return {name: numbers.numpy() for name, numbers in parts.items()}


def number_names(channels: Sequence[str]) -> dict[str, list[str]]:
    """What each number of `describe` is, in words, by part.

    Args:
        channels: names of the image's channels.
    """
    quantiles = ("darkest", "dark", "middle", "light", "lightest")
    cells = [f"{row} {column}" for column in ("left", "centre", "right") for row in ("top", "middle", "bottom")]
    scales = [SIDE // 2**step for step in range(SIDE.bit_length()) if SIDE // 2**step >= COARSEST]
    names = {
        "light": [
            "brightness",
            "contrast",
            *(f"{name} tones" for name in quantiles),
            "share of black",
            "share of white",
        ],
        "layout": [f"brightness {cell}" for cell in cells],
        "texture": [
            *(
                name
                for scale in scales
                for name in (f"detail at {scale} pixels a side", f"rarity of detail at {scale} pixels a side")
            ),
            "direction of edges",
            "share of flat areas",
        ],
    }
    if opponents := _opponent_names(channels):
        names["colours"] = [
            *(f"{what}{name}" for what in ("", "spread of ", "lowest ", "highest ") for name in opponents),
            "strength of colours",
            "variety of colours",
        ]
    planes = ["brightness", *opponents]
    names["outline"] = [
        "size of the outline",
        "distance of the outline from the centre",
        *(f"{name} inside against outside" for name in planes),
        *(f"{name} inside" for name in opponents),
        *(f"detail {where}" for where in ("inside", "on the edge", "outside")),
    ]
    return names


def _opponent_names(channels: Sequence[str]) -> list[str]:
    if len(channels) > MOST_CHANNELS:
        return ["difference of the channels"]
    return [f"{name} against the mean" for name in channels[:-1]]


def _resized(maps: Tensor) -> Tensor:
    """(C, W, H) to (C, SIDE, SIDE)."""
    if maps.shape[1:] == (SIDE, SIDE):
        return maps
    return F.interpolate(maps[None], (SIDE, SIDE), mode="bilinear", antialias=True)[0]


def _opponents(pixels: Tensor, grey: Tensor) -> Tensor:
    """Differences between channels, (channels - 1, SIDE, SIDE); for many channels their standard deviation; for one, nothing."""
    if len(pixels) > MOST_CHANNELS:
        return pixels.std(dim=0)[None]
    return pixels[:-1] - grey


def _log(value: Tensor) -> Tensor:
    return (value + SMALLEST).log()


def _light(grey: Tensor) -> Tensor:
    """Mean, spread and quantiles; shares of nearly black and nearly white pixels."""
    quantiles = grey.flatten().quantile(grey.new_tensor([0.02, 0.25, 0.5, 0.75, 0.98]))
    ends = torch.stack([(grey < 0.02).double().mean(), (grey > 0.98).double().mean()]).sqrt()
    return torch.cat([torch.stack([grey.mean(), _log(grey.std())]), quantiles, ends])


def _colours(opponents: Tensor) -> Tensor:
    """Mean, spread and quantiles of each opponent colour, then how colourful the picture is and in how many ways."""
    flat = opponents.flatten(1)
    quantiles = flat.quantile(flat.new_tensor([0.02, 0.98]), dim=1)
    strength = opponents.square().sum(dim=0).sqrt()
    return torch.cat(
        [flat.mean(dim=1), _log(flat.std(dim=1)), *quantiles, _log(torch.stack([strength.mean(), strength.std()]))]
    )


def _layout(grey: Tensor) -> Tensor:
    """How much brighter than the mean each cell is."""
    cells = F.adaptive_avg_pool2d(grey[None], CELLS).flatten()
    return cells - grey.mean()


def _texture(grey: Tensor) -> Tensor:
    """At each scale the strength of details and the rarity of strong ones; their direction; the share of pixels without any."""
    numbers: list[Tensor] = []
    here = grey
    while min(here.shape) >= COARSEST:
        coarser = F.avg_pool2d(here[None], 2)
        band = here - F.interpolate(coarser[None], here.shape, mode="bilinear", align_corners=False)[0, 0]
        power = band.square().mean()
        numbers += [_log(power.sqrt()), (band.square().square().mean() / (power.square() + SMALLEST**4)).add(1).log()]
        here = coarser[0]
    along, across = (grey.diff(dim=axis) for axis in (0, 1))
    flat = torch.cat([along.flatten(), across.flatten()]).abs() < FLAT
    return torch.stack([*numbers, _log(along.abs().mean()) - _log(across.abs().mean()), flat.double().mean().sqrt()])


def _outline(grey: Tensor, opponents: Tensor, weight: Tensor) -> Tensor:
    """Size and position of the outlined region; light and colours inside against outside; texture inside; sharpness of the edge."""
    inside, outside = _share(weight), _share(1 - weight)
    planes = torch.cat([grey[None], opponents])
    differ = (planes * inside).sum(dim=(1, 2)) - (planes * outside).sum(dim=(1, 2))
    own = (opponents * inside).sum(dim=(1, 2))
    detail = F.pad(grey.diff(dim=0).abs(), (0, 0, 0, 1)) + F.pad(grey.diff(dim=1).abs(), (0, 1))
    edge = _share(weight * (1 - weight))
    places = torch.linspace(-1, 1, SIDE, dtype=grey.dtype)
    off_centre = math.sqrt(0.5) * torch.hypot((inside.sum(dim=1) * places).sum(), (inside.sum(dim=0) * places).sum())
    strengths = torch.stack([(detail * inside).sum(), (detail * edge).sum(), (detail * outside).sum()])
    size = weight.mean().clamp(SMALLEST, 1 - SMALLEST)
    return torch.cat([torch.stack([size.logit(), off_centre]), differ, own, _log(strengths)])


def _share(weight: Tensor) -> Tensor:
    """Weights that sum to 1; uniform ones if all are 0."""
    weight = weight + SMALLEST / weight.numel()
    return weight / weight.sum()
