"""What hides or alters a photograph without moving anything: hairs over the skin, the colour of the light, lossy compression.

Drawn first (`draw_artefacts`), then applied (`Artefacts.apply`), in the order in which they happen to a photograph. The label stays.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from medseg_monai.images.photos import Array
from medseg_monai.transforms.augment_ranges import Augmentation

MINKOWSKI = 6  # Finlayson and Trezzi, Shades of Gray and Colour Constancy, Color Imaging Conference 2004
STRONGEST_CAST = 2.0  # no channel is divided or multiplied by more, however dark it is
LEAST_QUALITY = 5
FINER = 4  # hairs are drawn this many times as large and reduced, which smooths their edges
PIECES = 12  # straight ones of a hair


@dataclass(frozen=True)
class Hair:
    """A curved line (quadratic Bézier) that gets thinner from root to tip.

    Args:
        points: root, control point and tip, (3, 2), each (x, y) in pixels.
        width: at the root, in pixels; a third of it at the tip.
        darkness: share of the light that is lost: 1 is black.
    """

    points: Array
    width: float
    darkness: float

    def draw_on(self, canvas: ImageDraw.ImageDraw) -> None:
        """Onto a canvas `FINER` times as large as the picture."""
        t = np.linspace(0, 1, PIECES + 1)[:, None]
        curve = FINER * ((1 - t) ** 2 * self.points[0] + 2 * t * (1 - t) * self.points[1] + t**2 * self.points[2])
        for place, (start, end) in enumerate(zip(curve[:-1].tolist(), curve[1:].tolist(), strict=True)):
            width = FINER * self.width * (1 - 2 / 3 * place / (PIECES - 1))
            canvas.line([*start, *end], fill=round(255 * self.darkness), width=max(1, round(width)))


@dataclass(frozen=True)
class Artefacts:
    """One sample's artefacts; `NONE` changes nothing.

    Args:
        hairs: drawn over the picture, in all channels alike.
        constancy: share of the colour cast that is removed (1: all; below 0 it becomes stronger), see `balanced`.
        quality: of the JPEG file that the picture goes through, 1 to 100; None for no file.
        coloured: whether the channels are red, green and blue.
    """

    hairs: Sequence[Hair] = ()
    constancy: float = 0.0
    quality: int | None = None
    coloured: bool = True

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return bool(self.hairs or self.constancy or self.quality)

    def apply(self, values: Tensor) -> Tensor:
        """(C, W, H) of 0..1 to the same; the argument is left alone."""
        if self.hairs:
            values = values * (1 - shadow(self.hairs, values.shape[1:]))
        if self.constancy:
            values = balanced(values, self.constancy)
        if self.quality:
            values = compressed(values, self.quality, coloured=self.coloured)
        return values


NONE = Artefacts()


def draw_artefacts(
    rng: np.random.Generator, augmentation: Augmentation, *, size: Sequence[int], coloured: bool
) -> Artefacts:
    """One sample's artefacts for pictures of `size` (width, height).

    Nothing is drawn if all are off; otherwise each has a generator of its own, so that switching one on moves no other draw.
    """
    a = augmentation
    if not (a.hairs or a.jpeg or (a.constancy and coloured)):
        return NONE
    of_hair, of_light, of_file = (np.random.default_rng(seed) for seed in rng.integers(2**32, size=3))
    hairy = of_hair.uniform() < a.hair_probability
    in_file = of_file.uniform() < a.jpeg_probability and a.jpeg > 0
    return Artefacts(
        hairs=draw_hairs(of_hair, round(of_hair.uniform(0, a.hairs)), size=size) if hairy else (),
        constancy=a.constancy * of_light.uniform(-1, 1) if coloured else 0.0,
        quality=max(LEAST_QUALITY, round(100 - a.jpeg * of_file.uniform())) if in_file else None,
        coloured=coloured,
    )


def draw_hairs(rng: np.random.Generator, count: int, *, size: Sequence[int]) -> list[Hair]:
    """So many hairs that cross a picture of `size` (width, height): mostly one way, as they grow, and of one person's colour.

    Widths are 0.3 to 1.2 % of the shorter side, lengths 30 to 120 %.
    """
    side, way, darkness = min(size), rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 0.9)
    return [_draw_hair(rng, size, side=side, way=way + rng.normal(0, 0.5), darkness=darkness) for _ in range(count)]


def _draw_hair(rng: np.random.Generator, size: Sequence[int], *, side: int, way: float, darkness: float) -> Hair:
    along = np.array([np.cos(way), np.sin(way)]) * side * rng.uniform(0.3, 1.2)
    middle = rng.uniform(0, 1, 2) * size
    bow = np.array([-along[1], along[0]]) * rng.uniform(-0.4, 0.4)
    points = np.stack([middle - along / 2, middle + bow, middle + along / 2])
    return Hair(points, width=side * rng.uniform(0.003, 0.012), darkness=min(1.0, darkness * rng.uniform(0.8, 1.1)))


def shadow(hairs: Sequence[Hair], size: Sequence[int]) -> Tensor:
    """The share of each pixel's light that hairs take, (W, H) of 0..1, for a picture of `size` (width, height)."""
    width, height = size
    drawn = Image.new("L", (FINER * width, FINER * height))
    canvas = ImageDraw.Draw(drawn)
    for hair in hairs:
        hair.draw_on(canvas)
    taken = np.asarray(drawn.reduce(FINER), np.float32) / 255  # (H, W)
    return torch.from_numpy(np.ascontiguousarray(taken.T))


def balanced(values: Tensor, share: float) -> Tensor:
    """Red, green and blue without so much of their cast: grey by the picture's Minkowski norms (shades of grey, p = 6).

    Args:
        values: (3, W, H) of 0..1.
        share: 1 makes the three norms equal, 0 changes nothing, -1 makes the cast twice as strong (in logarithms).
    """
    norms = values.pow(MINKOWSKI).mean((1, 2)).pow(1 / MINKOWSKI).clamp_min(1 / 255)
    gain = (norms.mean() / norms).clamp(1 / STRONGEST_CAST, STRONGEST_CAST) ** share
    return (values * gain[:, None, None]).clamp_(0, 1)


def compressed(values: Tensor, quality: int, *, coloured: bool) -> Tensor:
    """(C, W, H) of 0..1 after a JPEG file of this quality (8 bits): one file for red, green and blue, else one per channel."""
    stored = (values * 255).round_().to(torch.uint8).numpy().T  # (H, W, C)
    pictures = [stored] if coloured else [stored[..., channel] for channel in range(stored.shape[-1])]
    read = np.dstack([_through_jpeg(np.ascontiguousarray(picture), quality) for picture in pictures])
    return torch.from_numpy(np.ascontiguousarray(read.T).astype(np.float32) / 255)


def _through_jpeg(picture: Array, quality: int) -> Array:
    """(H, W, 3) or (H, W), uint8."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    with Image.open(file) as opened:
        return np.asarray(opened)
