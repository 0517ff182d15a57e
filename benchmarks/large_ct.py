"""Generated CT scans as large as real ones, 512 x 512 x 200 voxels of 0.8 x 0.8 x 2 mm, with five structures, one of them small: for plans.

python benchmarks/large_ct.py FOLDER --scans 5
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

SHAPE, SPACING_MM = (512, 512, 200), (0.8, 0.8, 2.0)
BODY, MUSCLE = ((205, 205, 200), (170, 130, 400)), ((205, 205, 200), (145, 105, 380))
"""Centre and radii in mm."""
Structure = tuple[int, tuple[int, int, int], tuple[int, int, int]]
STRUCTURES: tuple[Structure, ...] = (
    (110, (130, 190, 220), (65, 60, 70)),
    (120, (300, 230, 230), (28, 25, 45)),
    (170, (150, 260, 180), (22, 20, 45)),
    (170, (260, 260, 180), (22, 20, 45)),
    (70, (235, 215, 235), (10, 6, 9)),
)
"""Hounsfield units, centre and radii in mm."""
NOISE_HU = 18


def scan(
    seed: int,
    shape: tuple[int, ...] = SHAPE,
    spacing_mm: tuple[float, ...] = SPACING_MM,
    structures: Sequence[Structure] = STRUCTURES,
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Voxels in Hounsfield units, and labels."""
    rng = np.random.default_rng(seed)
    axes = [np.arange(count, dtype=np.float32) * side for count, side in zip(shape, spacing_mm, strict=True)]
    grid = np.meshgrid(*axes, indexing="ij", sparse=True)

    def about(values: tuple[int, ...]) -> list[float]:
        return [value + rng.normal(0, 0.05 * value) for value in values]

    def ellipsoid(centre: list[float], radii: list[float]) -> NDArray[np.bool_]:
        parts = zip(grid, centre, radii, strict=True)
        inside: NDArray[np.bool_] = sum(((axis - middle) / radius) ** 2 for axis, middle, radius in parts) < 1
        return inside

    voxels, labels = np.full(shape, -1000, np.float32), np.zeros(shape, np.uint8)
    voxels[ellipsoid(about(BODY[0]), about(BODY[1]))] = -80
    muscle = ellipsoid(list(MUSCLE[0]), about(MUSCLE[1]))
    voxels[muscle] = 40
    for number, (units, centre, radii) in enumerate(structures, start=1):
        mask = ellipsoid(about(centre), about(radii)) & muscle & (labels == 0)
        voxels[mask], labels[mask] = units + rng.normal(0, 8), number
    voxels += rng.normal(0, NOISE_HU, shape).astype(np.float32)
    return voxels.astype(np.int16), labels


def main() -> None:
    """Write ``images`` and ``labels`` into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scans", type=int, default=5)
    arguments = parser.parse_args()
    affine = np.diag([-SPACING_MM[0], -SPACING_MM[1], SPACING_MM[2], 1.0])
    for number in range(arguments.scans):
        for kind, values in zip(("images", "labels"), scan(number), strict=True):
            (arguments.folder / kind).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, affine), arguments.folder / kind / f"ct_{number}.nii.gz")


if __name__ == "__main__":
    main()
