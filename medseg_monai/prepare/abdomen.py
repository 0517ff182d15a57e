"""Generated MR-like slices of an abdomen with three organs that overlap: stomach, large bowel and small bowel.

They have the difficulties of real ones: 16-bit values on a scale that differs from scan to scan, uneven coil sensitivity, noise,
organs that some slices lack, and pixels that belong to two organs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
    strokes,
)

ORGANS = ("stomach", "large_bowel", "small_bowel")
AIR, MUSCLE, SOFT_TISSUE, FAT = 0.02, 0.28, 0.42, 0.9


@dataclass(frozen=True)
class Patient:
    """Properties that the slices of one scan share.

    Args:
        seed: seeds each slice's random generator.
        breadth, depth: half width and half height of the body, in half sides of the picture.
        brightest: stored value of the brightest tissue.
        coil: (x, y) direction in which the signal falls off.
    """

    seed: int
    breadth: float
    depth: float
    fat: float
    brightest: float
    coil: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Patient:
        """A random patient."""
        angle = rng.uniform(0, 2 * math.pi)
        return cls(
            seed=int(rng.integers(2**31)),
            breadth=rng.uniform(0.78, 0.92),
            depth=rng.uniform(0.56, 0.7),
            fat=rng.uniform(0.03, 0.12),
            brightest=math.exp(rng.uniform(math.log(700), math.log(12000))),
            coil=(0.25 * math.cos(angle), 0.25 * math.sin(angle)),
        )


def draw_abdomen(patient: Patient, level: float, size: Size) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """One slice: the picture, (height, width), and its masks, (3, height, width), in the order of `ORGANS`.

    Args:
        patient: the patient whose slice it is.
        level: 0 (upper abdomen: stomach, liver) to 1 (lower: bowel only).
        size: (width, height).
    """
    rng = np.random.default_rng([patient.seed, round(level * 1000)])
    signal, room = _body(rng, patient, level, size)
    masks = []
    for draw in (_stomach, _large_bowel, _small_bowel):
        signal, mask = draw(rng, level, size, signal, room)
        masks.append(mask)
    x, y = grid(size)
    signal = signal * (1 + patient.coil[0] * x + patient.coil[1] * y + 0.06 * smooth_noise(rng, size, 2))
    signal = ndimage.gaussian_filter(signal, 0.6 * min(size) / 256)
    noise = 0.02 * rng.standard_normal((2, *signal.shape), dtype=np.float32)
    magnitude = np.hypot(signal + noise[0], noise[1])  # an MR picture is a magnitude: its noise is Rician
    return np.clip(magnitude * patient.brightest, 0, 65535).round().astype(np.uint16), np.stack(masks)


def _paint(signal: Array, value: float | Array, depth: Array, edge: float = 0.012) -> Array:
    cover = soft_step(depth, edge)
    return np.asarray(signal + (value - signal) * cover, dtype=np.float32)


def _body(rng: np.random.Generator, patient: Patient, level: float, size: Size) -> tuple[Array, Array]:
    """Skin, fat, muscle, liver, kidneys, spine; and how far inside the belly each pixel is."""
    x, y = grid(size)
    shape = (np.abs(x / patient.breadth) ** 2.4 + np.abs(y / patient.depth) ** 2.4) ** (1 / 2.4)
    inside = ((1 - shape) * patient.depth + 0.01 * smooth_noise(rng, size, 6)).astype(np.float32)
    texture = 1 + 0.08 * fractal_noise(rng, size, 10, octaves=4, fade=0.8)
    signal = _paint(np.full_like(inside, AIR), FAT * texture, inside)
    signal = _paint(signal, MUSCLE * texture, inside - patient.fat)
    mesentery = SOFT_TISSUE * (1 + 0.35 * fractal_noise(rng, size, 9, octaves=3))
    room = np.asarray(inside - patient.fat - 0.06, dtype=np.float32)
    signal = _paint(signal, mesentery, room)
    if level < 0.6:
        liver = blob(rng, size, centre=(-0.42, -0.05), radius=0.36 * (1.1 - level), ragged=0.05, rough=0.015)
        signal = _paint(signal, 0.5 * texture, np.minimum(liver, room))
    for side in (-1, 1):
        kidney = blob(
            rng, size, centre=(side * 0.42, 0.24), radius=0.12, stretch=1.5, ragged=0.03, rough=0.005, octaves=1
        )
        signal = _paint(_paint(signal, 0.66, kidney), 0.45, kidney - 0.06)
        psoas = blob(rng, size, centre=(side * 0.2, 0.34), radius=0.09, ragged=0.03, rough=0.005, octaves=1)
        signal = _paint(signal, 0.24, psoas)
    spine = blob(rng, size, centre=(0, 0.32), radius=0.12, ragged=0.02, rough=0.005, octaves=1)
    canal = blob(rng, size, centre=(0, 0.47), radius=0.045, ragged=0.02, rough=0.003, octaves=1)
    return _paint(_paint(signal, 0.38 * texture, spine), 0.8, canal), room


def _organ(rng: np.random.Generator, size: Size, signal: Array, depth: Array, content: float) -> Array:
    """A wall, darker than the surrounding tissue, and uneven contents."""
    signal = _paint(signal, 0.2, depth)
    filling = content * (1 + 0.3 * fractal_noise(rng, size, 6, octaves=3, fade=0.8))
    return _paint(signal, np.clip(filling, 0.05, 1.2), depth - 0.022)


def _stomach(
    rng: np.random.Generator, level: float, size: Size, signal: Array, room: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Left upper abdomen; absent from the lower slices."""
    radius = 0.27 - 0.34 * max(0.0, level - 0.25)
    if radius < 0.08:
        return signal, np.zeros(signal.shape, bool)
    centre = (0.36 + rng.normal(0, 0.03), -0.16 + rng.normal(0, 0.03))
    depth = blob(rng, size, centre=centre, radius=radius, stretch=1.35, ragged=0.06, rough=0.01)
    depth = np.minimum(depth, room)
    return _organ(rng, size, signal, depth, rng.uniform(0.5, 0.95)), depth > 0


def _large_bowel(
    rng: np.random.Generator, level: float, size: Size, signal: Array, room: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """A tube that rises on the right, crosses below the stomach and descends on the left."""
    width, height = size
    half = min(size) / 2
    frame = np.array([[-0.62, 0.25], [-0.62, -0.42 + 0.25 * level], [0.62, -0.5 + 0.3 * level], [0.62, 0.25]])
    frame = frame + rng.normal(0, 0.04, frame.shape)
    path = bezier(frame * half + np.array([width / 2, height / 2]), steps=60)
    gap = int(rng.integers(14, 46))  # the tube leaves the slice for a while
    parts = [path[: gap - 5], path[gap + 5 :]] if rng.random() < 0.7 else [path]
    thickness = rng.uniform(0.085, 0.125) * half * 2
    cover = strokes(size, [(part, thickness) for part in parts if len(part) > 1])
    inside = ndimage.distance_transform_edt(cover > 0.5) - ndimage.distance_transform_edt(cover <= 0.5)
    smooth = ndimage.gaussian_filter(inside.astype(np.float32) / half, 0.02 * min(size))
    depth = np.minimum(smooth + 0.018 * fractal_noise(rng, size, 9, octaves=2), room)
    signal = _organ(rng, size, signal, depth, rng.uniform(0.25, 0.6))
    gas = soft_step(smooth_noise(rng, size, 7) - 0.6, 0.2)
    return np.asarray(signal * (1 - 0.85 * gas * soft_step(depth - 0.03, 0.01)), dtype=np.float32), depth > 0


def _small_bowel(
    rng: np.random.Generator, level: float, size: Size, signal: Array, room: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Loops in the middle, more of them lower down; some overlap the large bowel."""
    count = int(rng.integers(1, 4)) + round(6 * level)
    mask = np.zeros(signal.shape, bool)
    for _ in range(count if level > 0.12 else 0):
        centre = (rng.normal(0.05, 0.24), rng.normal(0.0, 0.13))
        radius = rng.uniform(0.07, 0.13)
        depth = blob(
            rng, size, centre=centre, radius=radius, stretch=rng.uniform(1, 2.2), ragged=0.05, rough=0.008, octaves=1
        )
        depth = np.minimum(depth, room)
        signal = _organ(rng, size, signal, depth, rng.uniform(0.5, 1.05))
        mask |= depth > 0
    return signal, mask
