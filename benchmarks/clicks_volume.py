"""How long a click takes in a large volume, by itself and as `Prediction.correct` does it, on a generated scan.

    python benchmarks/clicks_volume.py [--shape 512 512 200] [--classes 2]

prints a table in Markdown: processor time and wall clock of the first and of a second click, for a small and for a large object.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medseg_monai.clicks import Click, correct
from medseg_monai.dataset.spec import Task
from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.volume import VolumeGrid
from medseg_monai.prediction import Prediction

SPACING_MM = (0.8, 0.8, 2.5)
NETWORK_MM = (1.6, 1.6, 2.5)
RADII_MM = {"small": 10.0, "large": 75.0}


def ball(shape: tuple[int, ...], radius_mm: float) -> NDArray[np.float32]:
    """Distance to the surface of a ball in the middle, positive inside, in mm."""
    axes = [
        (np.arange(side, dtype=np.float32) - side // 2) * step for side, step in zip(shape, SPACING_MM, strict=True)
    ]
    squares = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2
    return np.asarray(radius_mm - np.sqrt(squares))


def scan(shape: tuple[int, ...], radius_mm: float, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.float16], Any]:
    """A mask, its probabilities, and the image as the network saw it."""
    depth = ball(shape, radius_mm)
    found = 1 / (1 + np.exp(-depth / 3))
    probabilities = np.zeros((classes, *shape), np.float16)
    probabilities[0] = found
    mask = (found > 0.5).astype(np.uint8)
    grid = VolumeGrid.whole(Geometry(shape, np.diag([*SPACING_MM, 1.0])), NETWORK_MM)
    smooth = torch.from_numpy(depth).clamp(-20, 20)[None]
    seen = torch.nn.functional.interpolate(smooth[None], size=grid.network_shape, mode="trilinear")[0]
    noisy = seen + torch.randn(seen.shape, generator=torch.Generator().manual_seed(0))
    return mask, probabilities, (grid, noisy)


def timed(action: Callable[[], Any]) -> tuple[str, Any]:
    """``1.23 (1.25)``: processor time and wall clock, in seconds; and what it returns."""
    processor, clock = time.process_time(), time.perf_counter()
    found = action()
    return f"{time.process_time() - processor:.2f} ({time.perf_counter() - clock:.2f})", found


def measure(shape: tuple[int, ...], classes: int) -> None:
    names = tuple(f"organ {number}" for number in range(1, classes + 1))
    task: Task = "multiclass" if classes > 1 else "binary"
    print("| object | first click | second click | `correct` without an image |\n|---|---|---|---|")
    for what, radius in RADII_MM.items():
        mask, probabilities, (grid, seen) = scan(shape, radius, classes)
        found = Prediction(mask, probabilities, 0.1, names, grid=grid, task=task, network_image=seen)
        middle = [side // 2 for side in shape]
        edge = round(radius / SPACING_MM[0])
        beside = Click(middle[1], middle[0] + edge + 5, True, slice=middle[2], class_name=names[0])
        inside = Click(middle[1] - edge + 3, middle[0], False, slice=middle[2], class_name=names[0])
        first, one = timed(lambda found=found, click=beside: found.correct([click]))
        second, _ = timed(lambda one=one, click=inside: one.correct([click]))
        alone, _ = timed(
            lambda m=mask, p=probabilities, c=beside: correct(m, p, [c], classes=names, task=task, spacing=SPACING_MM)
        )
        print(f"| {what}, radius {radius:g} mm | {first} | {second} | {alone} |", flush=True)


def main() -> None:
    """Parse the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=[512, 512, 200])
    parser.add_argument("--classes", type=int, default=2)
    chosen = parser.parse_args()
    measure(tuple(chosen.shape), chosen.classes)


if __name__ == "__main__":
    main()
