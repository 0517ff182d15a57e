"""Generated CT volumes of a torso with a liver, kidneys and a vertebra: a large, a medium and a small structure.

Shapes are in millimetres and in RAS (x to the patient's right, y to the front, z to the head), so any voxel grid can be laid over
them. Values are in Hounsfield units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medseg_monai.grids.geometry import Geometry

STRUCTURES = ("liver", "kidney", "vertebra")
"""Classes 1, 2 and 3."""
EXTENT_MM = (256.0, 224.0, 160.0)
"""Approximate extent of a generated volume."""
AIR, FAT, MUSCLE, LIVER, KIDNEY, BONE = -1000.0, -100.0, 45.0, 105.0, 170.0, 350.0
NOISE = 18.0
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Ellipsoid:
    """A round shape: centre and half axes in millimetres."""

    centre: Vector
    half: Vector

    def inside(self, points: Vector) -> Vector:
        """Above 0 inside, 1 at the centre, for points (..., 3)."""
        distance: Vector = 1 - np.linalg.norm((points - self.centre) / self.half, axis=-1)
        return distance


@dataclass(frozen=True)
class Torso:
    """One patient's shapes."""

    body: Ellipsoid
    liver: Ellipsoid
    kidneys: tuple[Ellipsoid, Ellipsoid]
    vertebra: Ellipsoid
    seed: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Torso:
        """A patient of random build."""

        def shape(centre: tuple[float, float, float], half: tuple[float, float, float]) -> Ellipsoid:
            return Ellipsoid(np.array(centre) + rng.normal(0, 5, 3), np.array(half) * rng.uniform(0.85, 1.15, 3))

        return cls(
            body=Ellipsoid(np.zeros(3), np.array([116.0, 96.0, 400.0]) * rng.uniform(0.92, 1.0)),
            liver=shape((45, 15, 15), (52, 50, 44)),
            kidneys=(shape((48, -48, -22), (17, 16, 32)), shape((-48, -46, -12), (17, 16, 32))),
            vertebra=shape((0, -52, 0), (19, 17, 15)),
            seed=int(rng.integers(2**31)),
        )


def draw_torso(torso: Torso, geometry: Geometry) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """(I, J, K) values and class numbers of a patient on a grid."""
    indices = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    points = indices @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]
    rng = np.random.default_rng(torso.seed)
    rough = _smooth_noise(rng, geometry, 20.0) * 0.1
    body = torso.body.inside(points)
    label = np.zeros(geometry.shape, np.uint8)
    values = np.select([body > 0.08, body > 0], [MUSCLE, FAT], AIR)
    shapes = [(1, LIVER, torso.liver), *((2, KIDNEY, k) for k in torso.kidneys), (3, BONE, torso.vertebra)]
    for number, value, shape in shapes:
        inside = shape.inside(points) + rough > 0
        label[inside] = number
        values[inside] = value
    values += NOISE * (rng.standard_normal(geometry.shape) + _smooth_noise(rng, geometry, 12.0)) / 2
    return np.rint(values).astype(np.int16), label


def _smooth_noise(rng: np.random.Generator, geometry: Geometry, width_mm: float) -> Vector:
    """Noise of standard deviation 1, with spots of about the given width."""
    sigma = [width_mm / 2 / side for side in geometry.spacing_mm]
    noise: Vector = ndimage.gaussian_filter(rng.standard_normal(geometry.shape), sigma, mode="wrap")
    scaled: Vector = noise / noise.std()
    return scaled


def torso_grid(rng: np.random.Generator, spacing_mm: tuple[float, ...]) -> Geometry:
    """A voxel grid around the torso: spacing within 20 % of the given one, and one of four orientations, as scanners differ."""
    sides = np.array(spacing_mm) * rng.uniform(0.85, 1.2, 3)
    axes = [(0, 1, 2), (0, 1, 2), (0, 1, 2), (2, 0, 1)][pick := int(rng.integers(4))]
    signs = np.array([(1, 1, 1), (-1, -1, 1), (-1, 1, 1), (1, 1, -1)][pick])
    counts = np.maximum(np.rint(np.array(EXTENT_MM) / sides), 4).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = (np.diag(signs) @ np.diag(sides))[:, list(axes)]
    shape = counts[list(axes)]
    affine[:3, 3] = -affine[:3, :3] @ (shape - 1) / 2
    return Geometry((int(shape[0]), int(shape[1]), int(shape[2])), affine)
