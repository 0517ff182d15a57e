"""Skin lesions that nobody photographed: painted with soft edges, noise and hairs, and drawn flat as clip art is.

Other programs' drawings, so to speak: nothing of them comes from `medseg_monai.prepare.dermoscopy`, whose lesions the demo trains on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from medseg_monai.prepare.shapes import fractal_noise

WIDTH, HEIGHT = 640, 480
Pixels = NDArray[np.floating]
Random = np.random.Generator


def smooth_lesion(rng: Random) -> Image.Image:
    """Colour gradients alone."""
    return _finished(rng, _painted(rng))


def noisy_lesion(rng: Random) -> Image.Image:
    """With noise as of a camera, grey or in colours."""
    channels = 3 if rng.random() < 0.5 else 1
    return _finished(rng, _painted(rng) + rng.normal(0, rng.uniform(2, 8), (HEIGHT, WIDTH, channels)))


def textured_lesion(rng: Random) -> Image.Image:
    """With cloudy pigment, skin that varies, and noise."""
    clouds = fractal_noise(rng, (WIDTH, HEIGHT), int(rng.integers(3, 30)))[..., None]
    skin = fractal_noise(rng, (WIDTH, HEIGHT), int(rng.integers(8, 60)))[..., None]
    pixels = _painted(rng, inside=12 * clouds, outside=4 * skin)
    return _finished(rng, pixels + rng.normal(0, rng.uniform(2, 8), (HEIGHT, WIDTH, 1)))


def flat_lesion(rng: Random) -> Image.Image:
    """Discs of one colour within each other, and lines for hairs."""
    skin = tuple(int(value) for value in (rng.integers(220, 250), rng.integers(170, 205), rng.integers(140, 180)))
    picture = Image.new("RGB", (1000, 800), skin)
    draw = ImageDraw.Draw(picture)
    x, y, radius = rng.integers(350, 650), rng.integers(300, 500), rng.integers(100, 250)
    for ring in range(int(rng.integers(1, 5))):
        across, down = radius * (1 - 0.2 * ring), 0.8 * radius * (1 - 0.2 * ring)
        colour = tuple(int(value * (1 - 0.15 * ring)) for value in (150, 95, 70))
        draw.ellipse((x - across, y - down, x + across, y + down), fill=colour)
    for _ in range(int(rng.integers(0, 10))):
        draw.line([int(value) for value in rng.integers(0, (1000, 800, 1000, 800))], fill=(60, 40, 30), width=3)
    return picture.resize((500, 400), Image.Resampling.LANCZOS)


def _painted(rng: Random, inside: Pixels | float = 0.0, outside: Pixels | float = 0.0) -> Pixels:
    """Skin with a slope of light and a lesion with an uneven outline, soft at the edge, darker in the middle: (H, W, 3), 0 to 255."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    red, green, blue = sorted((rng.uniform(180, 235), rng.uniform(130, 190), rng.uniform(110, 175)), reverse=True)
    slope = (x / WIDTH - 0.5)[..., None] * rng.normal(0, 15, 3) + (y / HEIGHT - 0.5)[..., None] * rng.normal(0, 15, 3)
    skin = np.array([red, green, blue]) + slope + outside
    radius = _radius(rng, x, y)[..., None]
    centre = np.array([rng.uniform(60, 130), rng.uniform(35, 80), rng.uniform(25, 70)])
    lesion = centre + rng.uniform(10, 50) * np.clip(radius, 0, 1) + inside
    share = 1 / (1 + np.exp(rng.uniform(8, 30) * (radius - 1)))
    mixed: Pixels = skin * (1 - share) + lesion * share
    return mixed


def _radius(rng: Random, x: Pixels, y: Pixels) -> Pixels:
    """Distance from a lesion's centre, 1 on its outline: an ellipse with waves."""
    off_x, off_y = x - rng.uniform(0.35, 0.65) * WIDTH, y - rng.uniform(0.35, 0.65) * HEIGHT
    turn, long, short = rng.uniform(0, np.pi), rng.uniform(0.12, 0.3) * WIDTH, rng.uniform(0.15, 0.35) * HEIGHT
    along, across = off_x * np.cos(turn) + off_y * np.sin(turn), off_y * np.cos(turn) - off_x * np.sin(turn)
    angle = np.arctan2(across, along)
    waves = [rng.normal(0, 0.05) * np.cos(count * angle + rng.uniform(0, 2 * np.pi)) for count in range(2, 7)]
    found: Pixels = np.hypot(along / long, across / short) / (1 + np.sum(waves, axis=0))
    return found


def _finished(rng: Random, pixels: Pixels) -> Image.Image:
    """Some with hairs, half of them a little out of focus."""
    picture = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(3, 12)) if rng.random() < 0.4 else 0):
        x, y = int(rng.integers(-200, WIDTH)), int(rng.integers(-200, HEIGHT))
        box = (x, y, x + int(rng.integers(200, 900)), y + int(rng.integers(100, 700)))
        start = int(rng.integers(0, 180))
        draw.arc(box, start, start + int(rng.integers(20, 150)), fill=(40, 25, 20), width=int(rng.integers(1, 4)))
    return picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2)))) if rng.random() < 0.5 else picture
