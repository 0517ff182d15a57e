"""What neighbouring slices as channels (2.5D) cost: milliseconds of processor time for each case, and bytes in the cache.

OMP_NUM_THREADS=1 python benchmarks/stacks.py
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medseg_monai.images.masks import write_bands
from medseg_monai.images.slices import stack_in
from medseg_monai.prepare.abdomen import Patient, draw_abdomen
from medseg_monai.prepare.uwmadison import uwmadison_spec
from medseg_monai.training.cache import CachedDataset
from medseg_monai.transforms import load
from medseg_monai.transforms.stacks import _recent_slice

SLICES, SIZE = 80, (266, 266)


def draw_scan(folder: Path) -> list[dict[str, Any]]:
    """A drawn scan in the competition's layout, as cases of stacks of three."""
    place = folder / "case1_day0" / "scans"
    place.mkdir(parents=True)
    patient = Patient.draw(np.random.default_rng(0))
    for number in range(1, SLICES + 1):
        pixels, masks = draw_abdomen(patient, number / (SLICES + 1), SIZE)
        Image.fromarray(pixels).save(place / f"slice_{number:04d}_266_266_1.50_1.50.png")
        write_bands(masks.transpose(0, 2, 1), folder / f"{number}.png")
    scan = stack_in(place)
    return [
        {
            "image": [str(path) for path in scan.neighbours(slice.number, count=3, stride=2)],
            "label": str(folder / f"{slice.number}.png"),
        }
        for slice in scan.slices
    ]


def milliseconds(load_case: Callable[[Any], object], cases: Iterable[Any]) -> float:
    """Of processor time for each case, the better of two rounds."""
    rounds = []
    for _ in range(2):
        _recent_slice.cache_clear()
        began = time.process_time()
        for case in cases:
            load_case(case)
        rounds.append(1000 * (time.process_time() - began) / SLICES)
    return min(rounds)


def forgetful(load_case: Callable[[Any], object]) -> Callable[[Any], object]:
    """The same without memory of the last slices."""

    def forget_and_load(case: Any) -> object:
        _recent_slice.cache_clear()
        return load_case(case)

    return forget_and_load


def main() -> None:
    """Draw, measure, print."""
    with tempfile.TemporaryDirectory() as name:
        cases = draw_scan(Path(name))
        stacks, one = load(uwmadison_spec()), load(uwmadison_spec(channels=1))
        middles = [{**case, "image": case["image"][1]} for case in cases]
        data = CachedDataset(cases, stacks, cache_dir=Path(name) / "cache")
        order = random.Random(0).sample(range(SLICES), SLICES)
        data.fill()
        print(f"one slice                   {milliseconds(one, middles):5.1f} ms")
        print(f"stack of three, in order    {milliseconds(stacks, cases):5.1f} ms")
        print(f"the same, nothing remembered {milliseconds(forgetful(stacks), cases):4.1f} ms")
        print(f"stack of three, from cache  {milliseconds(data.loaded, order):5.1f} ms")
        print(f"cache, for each case        {data.cache.size_bytes() / SLICES / 1000 if data.cache else 0:5.0f} kB")


if __name__ == "__main__":
    main()
