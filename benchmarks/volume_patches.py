"""What a training's patch of a large CT costs: from the disk cache, of which a patch reads its part, from all of the entry, from memory.

    OMP_NUM_THREADS=1 python benchmarks/volume_patches.py

The scan is that of large_ct.py, kept at several spacings; a patch is drawn, read, changed at random and normalised as in training. A
train step of two patches stands beside. Milliseconds of processor time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel
import numpy as np
import torch
from large_ct import SHAPE, SPACING_MM, STRUCTURES, scan
from networks import cpu_name, instruction_set

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines.precision import PrecisionInferer
from medseg_monai.networks import UNet
from medseg_monai.training.cache import CachedDataset
from medseg_monai.training.losses import segmentation_loss
from medseg_monai.transforms import augment, load

PATCH = (96, 80, 48)
SPACINGS = ((1.6, 1.6, 4.0), (1.6, 1.6, 2.0), SPACING_MM)
FEATURES = (8, 16, 32, 64)
"""Patch and network as `medseg plan` chose them for these scans and ten minutes."""


def write_scan(folder: Path, shape: tuple[int, ...]) -> dict[str, str]:
    """A case."""
    sides = tuple(side * full / count for side, full, count in zip(SPACING_MM, SHAPE, shape, strict=True))
    case = {}
    for key, values in zip(("image", "label"), scan(0, shape, sides), strict=True):
        case[key] = str(folder / f"{key}.nii")
        nibabel.save(nibabel.Nifti1Image(values, np.diag([-sides[0], -sides[1], sides[2], 1.0])), case[key])
    return case


def spec_of(spacing_mm: Sequence[float], patch: Sequence[int]) -> DatasetSpec:
    """Its data set."""
    return DatasetSpec(
        "benchmark", "multiclass", classes=tuple(f"structure {n + 1}" for n in range(len(STRUCTURES))), channels=("ct",),
        spatial_dims=3, size=tuple(patch), spacing_mm=tuple(spacing_mm), intensity=Intensity("window", lower=-160, upper=240),
    )  # fmt: skip


def milliseconds(run: Callable[[int], object], times: int) -> float:
    """Processor time of a call with a number from 2 on: the first two, which make the entry and check it, are not counted."""
    for number in range(2):
        run(number)
    start = time.process_time()
    for number in range(2, 2 + times):
        run(number)
    return 1000 * (time.process_time() - start) / times


def row(case: dict[str, str], spacing_mm: Sequence[float], patch: Sequence[int], folder: Path, times: int) -> str:
    """A line of the table."""
    spec = spec_of(spacing_mm, patch)
    at_once = augment(spec)
    at_once.transforms[0].taken_in_parts = set()  # type: ignore[union-attr]
    in_parts = CachedDataset([case], load(spec), augment(spec), cache_dir=folder)
    whole = CachedDataset([case], load(spec), at_once, cache_dir=folder)
    in_memory = CachedDataset([case], load(spec), augment(spec), in_memory=True)
    costs = [milliseconds(data.__getitem__, times) for data in (in_parts, whole, in_memory)]
    shape = " x ".join(map(str, in_parts.loaded(0)["image"].shape[1:]))
    megabytes = in_parts.cache.size_bytes() / 1e6 if in_parts.cache is not None else 0
    spacing = " x ".join(f"{side:g}" for side in spacing_mm)
    return f"| {spacing} | {shape} | {megabytes:.0f} | " + " | ".join(f"{cost:.1f}" for cost in costs) + " |"


def step(patch: Sequence[int], times: int) -> float:
    """Milliseconds of a train step of two patches, without reading them."""
    network = UNet(1, 1 + len(STRUCTURES), features=FEATURES, spatial_dims=3, norm="instance")
    network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimiser, loss_of = torch.optim.AdamW(network.parameters()), segmentation_loss("multiclass")
    inferer = PrecisionInferer("auto", "cpu")
    images = torch.randn(2, 1, *patch).contiguous(memory_format=torch.channels_last_3d)
    labels = torch.randint(0, len(STRUCTURES), (2, 1, *patch), dtype=torch.uint8)

    def run(_: int) -> None:
        logits = inferer(images, network)
        optimiser.zero_grad()
        loss_of(logits, labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return milliseconds(run, times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--times", type=int, default=20, help="patches per figure")
    options = parser.parse_args()
    patch = " x ".join(map(str, PATCH))
    print(
        f"Patches of {patch}; {cpu_name()}, {instruction_set()}, {torch.get_num_threads()} threads. A train step of two of them with a "
    )
    print(f"U-Net {FEATURES[0]}-{FEATURES[-1]} and instance norm takes {step(PATCH, 3):.0f} ms besides.\n")
    print(
        "| spacing (mm) | voxels | entry (MB) | a patch from its part of the entry, ms | from all of it | from memory |"
    )
    print("|---|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as temporary:
        case = write_scan(Path(temporary), SHAPE)
        for number, spacing_mm in enumerate(SPACINGS):
            print(row(case, spacing_mm, PATCH, Path(temporary) / str(number), options.times), flush=True)


if __name__ == "__main__":
    main()
