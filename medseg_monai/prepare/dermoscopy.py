"""Generated pictures of pigmented skin through a dermatoscope: skin, one lesion, hair, light and artefacts.

Colour follows absorption, as in skin: light that has passed a pigment of density d is the skin's light times
exp(-d * absorption), so thick pigment turns black and thin pigment brown.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medseg_monai.prepare.shapes import (
    Array,
    Size,
    bezier,
    blob,
    fractal_noise,
    grid,
    smooth_noise,
    soft_step,
    solid,
    strokes,
)


def _rgb(*values: float) -> Array:
    """Red, green and blue, 0 to 1; or the absorption of each."""
    return np.array(values, dtype=np.float32)


SKINS = np.array(
    [
        [0.93, 0.80, 0.74],
        [0.88, 0.70, 0.63],
        [0.84, 0.64, 0.50],
        [0.78, 0.66, 0.68],
        [0.90, 0.86, 0.74],
        [0.60, 0.42, 0.31],
    ],
    dtype=np.float32,
)
MELANIN = _rgb(0.55, 1.0, 1.45)
BLOOD = _rgb(0.12, 0.95, 0.75)
BLUE_VEIL = _rgb(0.46, 0.48, 0.58)
HAIRS = np.array([[0.16, 0.10, 0.08], [0.30, 0.18, 0.11], [0.45, 0.32, 0.20], [0.35, 0.33, 0.34]], dtype=np.float32)
STICKERS = np.array([[0.95, 0.55, 0.10], [0.10, 0.50, 0.78], [0.85, 0.10, 0.15], [0.40, 0.75, 0.68]], dtype=np.float32)


def draw_dermoscopy(rng: np.random.Generator, size: Size) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A photograph, (height, width, 3), and its lesion, (height, width)."""
    lesion, mask, edge = _outline(rng, size)
    picture = _skin(rng, size) * np.exp(-_pigment(rng, size, lesion, edge))
    picture = _veil(rng, size, picture, lesion)
    for draw, chance in ((_hairs, 0.55), (_ink, 0.06), (_ruler, 0.25), (_sticker, 0.08), (_bubbles, 0.3)):
        if rng.random() < chance:
            picture = draw(rng, size, picture)
    picture = _light(rng, size, picture)
    blur = rng.uniform(0.25, 0.7) * min(size) / 256
    picture = ndimage.gaussian_filter(picture, (blur, blur, 0))
    picture += rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(rng.uniform(0.004, 0.012))
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8), mask


def _outline(rng: np.random.Generator, size: Size) -> tuple[Array, NDArray[np.bool_], Array]:
    """Depth inside the lesion, its mask, and the width over which its border fades."""
    centre = (float(rng.normal(0, 0.14)), float(rng.normal(0, 0.14)))
    radius = float(np.clip(rng.lognormal(np.log(0.36), 0.38), 0.14, 0.8))
    rough = rng.uniform(0.01, 0.06)
    stretch, ragged = rng.uniform(1, 1.7), rng.uniform(0.02, 0.11)
    depth = blob(rng, size, centre=centre, radius=radius, stretch=stretch, ragged=ragged, rough=rough)
    mask = solid(depth > 0)
    depth = np.where(mask == (depth > 0), depth, -np.abs(depth)).astype(np.float32)
    sharpness = rng.uniform(0.02, 0.12) * (0.6 + 0.4 * soft_step(smooth_noise(rng, size, 3), 0.7))
    return depth, mask, sharpness.astype(np.float32)


def _skin(rng: np.random.Generator, size: Size) -> Array:
    """Bare skin: tone, blotches, fine lines."""
    first, second = rng.choice(len(SKINS), 2, replace=False)
    mix = rng.uniform(0, 0.5)
    tone = SKINS[first] * (1 - mix) + SKINS[second] * mix
    tone = (tone * rng.normal(1, 0.03, 3)).astype(np.float32)
    blotches = fractal_noise(rng, size, 4, octaves=4, fade=0.6)[..., None]
    freckles = np.clip(fractal_noise(rng, size, 24, octaves=2) - 1.9, 0, 1)[..., None]
    lines = -np.abs(smooth_noise(rng, size, 40))[..., None] + 0.6
    absorbed = (
        rng.uniform(0.02, 0.075) * blotches * BLOOD
        + (rng.uniform(0, 0.6) if rng.random() < 0.3 else 0.06) * freckles * MELANIN
    )
    return np.asarray(tone * np.exp(-absorbed) * (1 + rng.uniform(0.005, 0.03) * lines), dtype=np.float32)


def _pigment(rng: np.random.Generator, size: Size, depth: Array, edge: Array) -> Array:
    """The lesion's absorption, (height, width, 3): two pigments of uneven density, a network, dark globules."""
    inside = soft_step(depth, edge)
    density = rng.uniform(0.25, 1.1) * np.exp(
        rng.uniform(0.15, 0.5) * fractal_noise(rng, size, 3, octaves=5, fade=0.65)
    )
    core = soft_step(depth - rng.uniform(0.05, 0.3) + 0.12 * smooth_noise(rng, size, 4), 0.08)
    density = density + rng.uniform(-0.2, 0.9) * core
    cells = int(rng.integers(26, 44))
    network = np.clip(0.8 - np.abs(smooth_noise(rng, size, cells)), 0, 1) * soft_step(smooth_noise(rng, size, 3), 0.6)
    globules = soft_step(smooth_noise(rng, size, int(rng.integers(18, 40))) - 1.7, 0.3)
    density = density * (1 + rng.uniform(0, 0.5) * network) + rng.uniform(-0.2, 0.8) * globules
    red = rng.uniform(0, 0.55) * soft_step(smooth_noise(rng, size, 4), 0.6) * inside
    return np.asarray(
        (np.maximum(density, 0.12) * inside)[..., None] * MELANIN + red[..., None] * BLOOD, dtype=np.float32
    )


def _veil(rng: np.random.Generator, size: Size, picture: Array, depth: Array) -> Array:
    """In some lesions, a blue-white patch."""
    if rng.random() > 0.2:
        return picture
    patch = soft_step(smooth_noise(rng, size, 3) - 0.4, 0.4) * soft_step(depth - 0.06, 0.05) * rng.uniform(0.2, 0.55)
    return np.asarray(picture * (1 - patch[..., None]) + BLUE_VEIL * patch[..., None], dtype=np.float32)


def _over(picture: Array, colour: NDArray[np.floating], cover: Array) -> Array:
    """`colour` laid over the picture, `cover` 0 to 1."""
    return np.asarray(picture + (colour - picture) * cover[..., None], dtype=np.float32)


def _hairs(rng: np.random.Generator, size: Size, picture: Array) -> Array:
    width, height = size
    unit = min(size) / 256
    count = int(rng.integers(2, 12)) if rng.random() < 0.7 else int(rng.integers(20, 45))
    lay = rng.uniform(0, 2 * np.pi)
    curves = []
    for _ in range(count):
        angle = lay + rng.normal(0, 0.5)
        step = np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(20, 70) * unit
        start = rng.uniform(-0.1, 1.1, 2) * (width, height)
        bend = rng.normal(0, 9 * unit, (4, 2)) * [[0], [1], [2], [3]]
        curves.append((bezier(start + step * np.arange(4)[:, None] + bend), rng.uniform(0.7, 1.9) * unit))
    colour = HAIRS[rng.integers(len(HAIRS))] * rng.uniform(0.8, 1.2)
    return _over(picture, colour, strokes(size, curves) * np.float32(rng.uniform(0.65, 0.92)))


def _ink(rng: np.random.Generator, size: Size, picture: Array) -> Array:
    """The violet dashes of a skin marker around the lesion."""
    unit = min(size) / 256
    turns = np.linspace(0, 2 * np.pi, 60)
    radius = rng.uniform(0.75, 0.95) * min(size) / 2 * (1 + 0.05 * np.cos(2 * turns + rng.uniform(0, 6)))
    ring = np.stack([np.cos(turns), np.sin(turns)], 1) * radius[:, None] + np.array(size) / 2
    gaps = soft_step(smooth_noise(rng, size, 12) + 0.3, 0.3)
    return _over(picture, _rgb(0.30, 0.22, 0.55), strokes(size, [(ring, 4 * unit)]) * gaps * np.float32(0.7))


def _ruler(rng: np.random.Generator, size: Size, picture: Array) -> Array:
    """A scale with a long tick every five millimetres."""
    width, height = size
    unit = min(size) / 256
    angle = rng.normal(0, 0.2)
    along, up = np.array([np.cos(angle), np.sin(angle)]), np.array([np.sin(angle), -np.cos(angle)])
    start = np.array([rng.uniform(0.2, 0.35) * width, rng.uniform(0.84, 0.92) * height])
    gap = rng.uniform(5, 6.5) * unit
    curves = [(np.stack([start, start + along * gap * 20]), unit)]
    for tick in range(21):
        foot = start + along * gap * tick
        curves.append((np.stack([foot, foot + up * unit * (8 if tick % 5 == 0 else 4.5)]), 0.8 * unit))
    return _over(picture, _rgb(0.22, 0.20, 0.22), strokes(size, curves) * np.float32(0.75))


def _sticker(rng: np.random.Generator, size: Size, picture: Array) -> Array:
    """A coloured sticker, as photographers put beside children's lesions."""
    x, y = grid(size)
    side = rng.choice([-1, 1])
    edge = size[0] / min(size)
    distance = np.hypot(x - side * edge * rng.uniform(1.0, 1.15), y - rng.uniform(-0.8, 0.8))
    cover = soft_step((rng.uniform(0.3, 0.45) - distance).astype(np.float32), 0.01)
    return _over(picture, STICKERS[rng.integers(len(STICKERS))], cover)


def _bubbles(rng: np.random.Generator, size: Size, picture: Array) -> Array:
    """Air in the immersion gel: bright rims with a highlight."""
    x, y = grid(size)
    cover = np.zeros((size[1], size[0]), np.float32)
    for _ in range(int(rng.integers(1, 7))):
        dx, dy, radius = x - rng.uniform(-1, 1), y - rng.uniform(-1, 1), rng.uniform(0.015, 0.06)
        cover += 0.22 * np.exp(-(((np.hypot(dx, dy) - radius) / 0.008) ** 2))
        cover += 0.5 * np.exp(-((np.hypot(dx + radius * 0.4, dy + radius * 0.4) / (radius * 0.3)) ** 2))
    return _over(picture, np.ones(3, np.float32), np.minimum(cover, 1))


def _light(rng: np.random.Generator, size: Size, picture: Array) -> Array:
    """Uneven light, a colour cast, and the dark rim of the instrument."""
    x, y = grid(size)
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.16)
    light = 1 + slope * (math.cos(angle) * x + math.sin(angle) * y) + 0.03 * smooth_noise(rng, size, 2)
    distance = np.hypot(x + rng.normal(0, 0.06), y + rng.normal(0, 0.06))
    light = light * (1 - rng.uniform(0.02, 0.22) * distance**2)
    picture = picture * light[..., None] * rng.normal(rng.uniform(0.92, 1.06), 0.02, 3).astype(np.float32)
    if rng.random() < 0.2:  # a round field of view
        rim = soft_step((distance - rng.uniform(1.0, 1.25)).astype(np.float32), rng.uniform(0.015, 0.06))
        picture = _over(picture.astype(np.float32), _rgb(0.05, 0.04, 0.05), rim)
    return np.asarray(picture, dtype=np.float32)
