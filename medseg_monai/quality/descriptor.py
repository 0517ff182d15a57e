"""A photograph, and what was outlined in it, described by a few numbers: light, layout, texture, colours, grain, outline.

Computed from the network's input, so neither a file's size nor its shape matters, and with a few array operations, so it works with every
engine. Inputs are resized to `SIDE` pixels first, because the finest texture reflects the file's format and how it was downsized; of
colours, which JPEG files store at half the resolution, nothing finer than half of that is measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

VERSION = 1
"""Raise it with every change of what a number of `describe` means: what was learnt of earlier ones then no longer judges."""
SIDE = 128
COARSEST_TEXTURE, COARSEST_GRAIN = 16, 8
"""Details of light are measured at SIDE, half of it, and so on, those of colours from half of SIDE, down to these."""
CELLS = 3
"""Number of cells per side for the layout."""
FLAT = 1 / 255
"""A difference to the neighbour below this counts as none: drawings and screenshots have many such pixels, photographs few."""
SMALLEST = 1e-3
"""Replaces 0 in logarithms: a quarter of a grey level."""
MOST_CHANNELS = 3
"""For images with more channels, only the differences between channels are measured."""
QUANTILES = {"darkest": 0.02, "dark": 0.25, "middle": 0.5, "light": 0.75, "lightest": 0.98}


def describe(image: Tensor, foreground: Tensor) -> dict[str, NDArray[np.float64]]:
    """Numbers that describe a picture, grouped into parts.

    Args:
        image: (C, W, H), 0 to 1, without bars.
        foreground: (W, H), the probability of any class, 0 to 1, on the same grid.

    Returns:
        Part -> (numbers,), always the same number for the same C: ``light``, ``layout``, ``texture``, ``colours`` and ``grain`` (not for
        one channel), and ``outline``, on scales on which usual pictures are spread roughly symmetrically (logarithms of non-negative
        quantities).
    """
    pixels, weight = shrunk(image), shrunk(foreground[None], SIDE // 2)[0].clamp(0, 1)
    grey, small = pixels.mean(dim=0), F.avg_pool2d(pixels, 2)
    planes = torch.cat([small.mean(dim=0)[None], _opponents(small)])
    parts = {"light": _light(planes[:1]), "layout": _layout(planes[:1]), "texture": _texture(grey, planes[:1])}
    if len(planes) > 1:
        parts["colours"] = _colours(planes[1:])
        parts["grain"] = _grain(planes)
    parts["outline"] = _outline(planes, weight)
    return {name: numbers.double().numpy() for name, numbers in parts.items()}


def number_names(channels: Sequence[str]) -> dict[str, list[str]]:
    """What each number of `describe` is, in words, by part.

    Args:
        channels: names of the image's channels.
    """
    cells = [f"{row} {column}" for column in ("left", "centre", "right") for row in ("top", "middle", "bottom")]
    names = {
        "light": ["brightness", "contrast", *(f"{name} tones" for name in QUANTILES)],
        "layout": [f"brightness {cell}" for cell in cells],
        "texture": [
            *(f"detail at {scale} pixels a side" for scale in scales(SIDE, COARSEST_TEXTURE)),
            "direction of edges",
            "share of flat areas",
        ],
    }
    opponents = _opponent_names(channels)
    planes = ["brightness", *opponents]
    if opponents:
        names["colours"] = [
            *(f"{what}{name}" for what in ("", "spread of ", "lowest ", "highest ") for name in opponents),
            "strength of colours",
            "variety of colours",
        ]
        pairs = [(one, other) for place, one in enumerate(planes) for other in planes[place + 1 :]]
        names["grain"] = [
            f"{what} at {scale} pixels a side"
            for scale in scales(SIDE // 2, COARSEST_GRAIN)
            for what in (
                *(f"detail of {name}" for name in opponents),
                *(f"agreement of details of {one} and {other}" for one, other in pairs),
            )
        ]
    names["outline"] = [
        "size of the outline",
        "distance of the outline from the centre",
        *(f"{name} inside against outside" for name in planes),
        *(f"{name} inside" for name in opponents),
        *(f"detail {where}" for where in ("inside", "on the edge", "outside")),
    ]
    return names


def shrunk(maps: Tensor, side: int = SIDE) -> Tensor:
    """(C, W, H) as float32 (C, side, side) on the CPU."""
    whole = maps.detach().float().cpu()
    if whole.shape[1:] == (side, side):
        return whole
    return F.interpolate(whole[None], (side, side), mode="bilinear", antialias=True)[0]


def scales(finest: int, coarsest: int) -> list[int]:
    """`finest`, half of it, and so on, down to `coarsest`.

    >>> scales(64, 10)
    [64, 32, 16]
    """
    return [finest >> step for step in range(finest.bit_length()) if finest >> step >= coarsest]


def _opponents(pixels: Tensor) -> Tensor:
    """The mean of the channels before against each further one, (channels - 1, *S): of colours red against green, and both against blue.

    Of many channels their standard deviation; of one nothing.
    """
    if len(pixels) > MOST_CHANNELS:
        return pixels.std(dim=0)[None]
    differences = [pixels[:number].mean(dim=0) - pixels[number] for number in range(1, len(pixels))]
    return torch.stack(differences) if differences else pixels[:0]


def _opponent_names(channels: Sequence[str]) -> list[str]:
    if len(channels) > MOST_CHANNELS:
        return ["difference of the channels"]
    return [f"{' and '.join(channels[:number])} against {channels[number]}" for number in range(1, len(channels))]


def log_of(value: Tensor) -> Tensor:
    """The logarithm of values from 0 on, finite."""
    return (value + SMALLEST).log()


def quantiles(planes: Tensor, shares: Sequence[float]) -> Tensor:
    """Of each plane (N, *S) the values below which these shares of its pixels lie, (shares, N)."""
    places = [round(share * (planes[0].numel() - 1)) for share in shares]
    parted = np.partition(planes.flatten(1).numpy(), sorted(set(places)), axis=1)  # in a fifth of the time of sorting
    return torch.from_numpy(parted[:, places].T.copy())


def _light(grey: Tensor) -> Tensor:
    """Mean, spread and quantiles."""
    return torch.cat(
        [torch.stack([grey.mean(), log_of(grey.std())]), quantiles(grey, list(QUANTILES.values())).flatten()]
    )


def _colours(opponents: Tensor) -> Tensor:
    """Mean, spread and outermost quantiles of each opponent colour, then how colourful the picture is and in how many ways."""
    flat = opponents.flatten(1)
    ends = quantiles(opponents, [QUANTILES["darkest"], QUANTILES["lightest"]])
    strength = opponents.square().sum(dim=0).sqrt()
    return torch.cat(
        [flat.mean(dim=1), log_of(flat.std(dim=1)), *ends, log_of(torch.stack([strength.mean(), strength.std()]))]
    )


def _layout(grey: Tensor) -> Tensor:
    """How much brighter than the mean each cell is."""
    cells = F.adaptive_avg_pool2d(grey, CELLS).flatten()
    return cells - grey.mean()


def details(planes: Tensor, coarser: Tensor) -> Tensor:
    """What planes or volumes (N, *S) have that those of half the size lack."""
    mode = "bilinear" if planes.ndim == 3 else "trilinear"
    return planes - F.interpolate(coarser[None], planes.shape[1:], mode=mode, align_corners=False)[0]


def _texture(grey: Tensor, half: Tensor) -> Tensor:
    """The strength of details at each scale; their direction; the share of pixels without any."""
    numbers: list[Tensor] = []
    here, coarser = grey[None], half
    while min(here.shape[1:]) >= COARSEST_TEXTURE:
        numbers.append(log_of(details(here, coarser).square().mean().sqrt()))
        here, coarser = coarser, F.avg_pool2d(coarser, 2)
    along, across = (grey.diff(dim=axis).abs() for axis in (0, 1))
    flat = ((along < FLAT).float().mean() + (across < FLAT).float().mean()) / 2
    return torch.stack([*numbers, log_of(along.mean()) - log_of(across.mean()), flat.sqrt()])


def _grain(half: Tensor) -> Tensor:
    """At each scale the strength of each opponent colour's details, and how far details of light and colours go together.

    In photographs of one kind both hardly vary: skin, blood and pigment change light and colours in fixed proportions, and so does a
    camera's noise. What was painted, rendered or taken of something else has other proportions.
    """
    rows, columns = torch.triu_indices(len(half), len(half), 1)
    numbers: list[Tensor] = []
    here = half
    while min(here.shape[1:]) >= COARSEST_GRAIN:
        coarser = F.avg_pool2d(here, 2)
        lacking = details(here, coarser).flatten(1)
        covariance = lacking @ lacking.T / lacking.shape[1]
        spread = (covariance.diagonal() + SMALLEST**2).sqrt()
        numbers += [spread[1:].log(), (covariance / (spread[:, None] * spread))[rows, columns]]
        here = coarser
    return torch.cat(numbers)


def _outline(planes: Tensor, weight: Tensor) -> Tensor:
    """Size and position of the outlined region; light and colours inside against outside; texture inside; sharpness of the edge."""
    grey, size = planes[0], weight.mean().clamp(SMALLEST, 1 - SMALLEST)
    detail = F.pad(grey.diff(dim=0).abs(), (0, 0, 0, 1)) + F.pad(grey.diff(dim=1).abs(), (0, 1))
    inside = _share(weight)
    regions = torch.stack([inside, _share(weight * (1 - weight)), _share(1 - weight)]).flatten(1)
    means = torch.cat([planes, detail[None]]).flatten(1) @ regions.T  # (planes and detail, regions)
    places = torch.linspace(-1, 1, len(weight))
    off_centre = math.sqrt(0.5) * torch.hypot((inside.sum(dim=1) * places).sum(), (inside.sum(dim=0) * places).sum())
    return torch.cat(
        [torch.stack([size.logit(), off_centre]), means[:-1, 0] - means[:-1, 2], means[1:-1, 0], log_of(means[-1])]
    )


def _share(weight: Tensor) -> Tensor:
    """Weights that sum to 1; uniform ones if all are 0."""
    weight = weight + SMALLEST / weight.numel()
    return weight / weight.sum()
