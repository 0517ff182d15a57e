"""Noise, shapes and light for generated pictures: small, seeded and reproducible.

All arrays are (height, width), float32; positions run from -1 to 1 along the shorter side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

Array = NDArray[np.float32]
Size = tuple[int, int]


def grid(size: Size) -> tuple[Array, Array]:
    """X (1, width) and y (height, 1) of the pixels' centres, -1 to 1 along the shorter side."""
    width, height = size
    scale = 2 / min(size)
    x = ((np.arange(width, dtype=np.float32) + 0.5) - width / 2) * np.float32(scale)
    y = ((np.arange(height, dtype=np.float32) + 0.5) - height / 2) * np.float32(scale)
    return x[None, :].astype(np.float32), y[:, None].astype(np.float32)


def smooth_noise(rng: np.random.Generator, size: Size, cells: int) -> Array:
    """Random values at about `cells` points per side, interpolated smoothly; mean about 0, standard deviation about 1."""
    width, height = size
    short = min(size)
    shape = (max(2, round(cells * height / short)) + 1, max(2, round(cells * width / short)) + 1)
    coarse = Image.fromarray(rng.standard_normal(shape).astype(np.float32))
    fine = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float32)
    return np.asarray(fine * np.float32(1.35), dtype=np.float32)


def fractal_noise(rng: np.random.Generator, size: Size, cells: int, *, octaves: int = 4, fade: float = 0.5) -> Array:
    """`smooth_noise` at `cells`, twice as many, and so on, each `fade` times as strong; standard deviation about 1."""
    strengths = [fade**i for i in range(octaves)]
    total = sum(s * smooth_noise(rng, size, cells * 2**i) for i, s in enumerate(strengths))
    return np.asarray(total / math.sqrt(sum(s * s for s in strengths)), dtype=np.float32)


def blob(
    rng: np.random.Generator,
    size: Size,
    *,
    centre: tuple[float, float],
    radius: float,
    stretch: float = 1.0,
    ragged: float = 0.12,
    rough: float = 0.04,
    octaves: int = 4,
) -> Array:
    """How far inside an irregular round shape each pixel is: above 0 inside, in units of the shorter half side.

    Args:
        rng: the random generator.
        size: (width, height).
        centre: (x, y), each -1 to 1.
        radius: mean radius.
        stretch: length over breadth.
        ragged: how far large lobes deviate, as a share of the radius.
        rough: how far the fine outline deviates.
        octaves: how fine that is.
    """
    x, y = grid(size)
    turn = rng.uniform(0, np.pi)
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    along = (math.cos(turn) * dx + math.sin(turn) * dy) / math.sqrt(stretch)
    across = (math.cos(turn) * dy - math.sin(turn) * dx) * math.sqrt(stretch)
    outline = _lobes(rng, ragged)
    bearing = np.arctan2(across, along) * np.float32(len(outline) / (2 * np.pi))
    reach = np.take(outline, bearing.astype(np.int32), mode="wrap")
    fine = rough * fractal_noise(rng, size, 7, octaves=octaves, fade=0.6)
    return np.asarray(radius * reach - np.hypot(along, across) + fine, dtype=np.float32)


def _lobes(rng: np.random.Generator, ragged: float) -> Array:
    """Relative radius of an irregular outline at 2048 bearings."""
    angle = np.linspace(0, 2 * np.pi, 2048, endpoint=False)
    outline = np.ones_like(angle)
    for lobes in range(2, 7):
        phase, strength = rng.uniform(0, 2 * np.pi), rng.normal() * ragged / lobes**0.5
        outline += strength * np.cos(lobes * angle + phase)
    return np.maximum(outline, 0.35).astype(np.float32)


def solid(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece, its holes filled."""
    pieces, count = ndimage.label(inside)
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        inside = pieces == sizes.argmax()
    return np.asarray(ndimage.binary_fill_holes(inside), dtype=bool)


def soft_step(value: Array, width: float | Array) -> Array:
    """0 well below 0, 0.5 at 0, 1 well above, over about `width` to each side."""
    return np.asarray(0.5 + 0.5 * np.tanh(value / width), dtype=np.float32)


def strokes(size: Size, curves: Sequence[tuple[NDArray[np.float64], float]], *, oversample: int = 3) -> Array:
    """Coverage, 0 to 1, of smooth-edged lines.

    Args:
        size: (width, height).
        curves: points (n, 2) as (x, y) in pixels, and the line's width in pixels, for each.
        oversample: lines are drawn this many times larger, then averaged.
    """
    width, height = size
    canvas = Image.new("L", (width * oversample, height * oversample))
    draw = ImageDraw.Draw(canvas)
    for points, thickness in curves:
        flat = [tuple(point) for point in (points * oversample).tolist()]
        draw.line(flat, fill=255, width=max(1, round(thickness * oversample)), joint="curve")
    reduced = canvas.reduce(oversample)
    return np.asarray(np.asarray(reduced, dtype=np.float32) / np.float32(255), dtype=np.float32)


def bezier(points: NDArray[np.float64], *, steps: int = 24) -> NDArray[np.float64]:
    """(steps, 2) points on the cubic Bézier curve of four control points (4, 2)."""
    t = np.linspace(0, 1, steps)[:, None]
    a, b, c, d = points
    return np.asarray((1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d)
