"""Milliseconds per training image and mask, one thread: this package beside MONAI and albumentations on the
same files.

    python benchmarks/datapath.py                                    # generated photographs
    python benchmarks/datapath.py --images DIR --masks DIR --write docs/benchmarks.md

Each path does the same work: from case to batch, with mirroring, quarter turns, one affine warp of image
and mask, changes of brightness, contrast, gamma (and colour, where the library has it), and normalisation.
"Kept" paths have decoded pictures at hand (ours on disk, the others in memory), as after the first epoch.
Paths take turns batch by batch, so that whatever else the machine does hits all alike; medians are given.
"""

from __future__ import annotations

import argparse
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
from albumentations.pytorch import ToTensorV2
from monai.data import CacheDataset, list_data_collate
from monai.data import Dataset as MonaiDataset
from monai.transforms import (
    Compose,
    LoadImaged,
    NormalizeIntensityd,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandRotate90d,
    RandScaleIntensityd,
    RandShiftIntensityd,
    Resized,
)
from PIL import Image
from torch.utils.data import default_collate

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.training.cache import CachedDataset
from medseg_monai.transforms import augment, load
from medseg_monai.transforms.batches import collate

BOTH = ("image", "label")
HEADING = "## Data path"
Case = dict[str, str]
MakeBatch = Callable[[Sequence[int]], Any]


def generated_cases(folder: Path, *, count: int, width: int, height: int) -> list[Case]:
    """Photograph-like JPEGs (slow waves and grain) with a disc as mask."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    cases = []
    for number in range(count):
        waves = [np.sin(x / width * rng.uniform(3, 9)) * np.cos(y / height * rng.uniform(3, 9)) for _ in range(3)]
        photo = 128 + 90 * np.stack(waves, axis=-1) + rng.normal(0, 6, (height, width, 3))
        mask = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) * rng.uniform(0.15, 0.4)) ** 2
        case = {"image": str(folder / f"{number}.jpg"), "label": str(folder / f"{number}.png"), "id": str(number)}
        Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(case["image"], quality=92)
        Image.fromarray(mask.astype(np.uint8) * 255).save(case["label"])
        cases.append(case)
    return cases


def given_cases(images: Path, masks: Path, *, count: int) -> list[Case]:
    """The first images of a folder, and the masks whose names begin alike."""
    cases = []
    for image in sorted(images.glob("*.jpg"))[:count]:
        cases.append({"image": str(image), "label": str(next(masks.glob(f"{image.stem}*"))), "id": image.stem})
    return cases


def ours(cases: list[Case], spec: DatasetSpec, *, cache_dir: Path | None = None, in_memory: bool = False) -> MakeBatch:
    """`CachedDataset` and `collate`; with a folder or in memory, as after the first epoch."""
    data = CachedDataset(cases, load(spec), augment(spec), cache_dir=cache_dir, in_memory=in_memory)
    if cache_dir or in_memory:
        data.fill()
    return lambda numbers: collate([data[number] for number in numbers])


def monai(cases: list[Case], spec: DatasetSpec, *, kept: bool) -> MakeBatch:
    """``LoadImaged``, ``Resized`` and a random chain; kept: after ``CacheDataset`` holds what is not
    random.
    """
    sure = [
        LoadImaged(BOTH, ensure_channel_first=True),
        Resized(BOTH, spec.size, mode=("bilinear", "nearest"), anti_aliasing=(True, False)),
    ]
    chance = [
        RandFlipd(BOTH, prob=0.5, spatial_axis=0),
        RandFlipd(BOTH, prob=0.5, spatial_axis=1),
        RandRotate90d(BOTH, prob=0.5, max_k=1),
        RandAffined(
            BOTH,
            prob=0.8,
            rotate_range=np.pi / 6,
            scale_range=0.2,
            translate_range=20,
            shear_range=0.08,
            mode=("bilinear", "nearest"),
            padding_mode="reflection",
        ),
        RandScaleIntensityd("image", factors=0.2, prob=0.8),
        RandShiftIntensityd("image", offsets=25, prob=0.8),
        RandAdjustContrastd("image", prob=0.8, gamma=(0.8, 1.2)),
        NormalizeIntensityd("image", subtrahend=127.5, divisor=63.75),
    ]
    every = Compose(sure + chance)
    data = CacheDataset(cases, every, progress=False, num_workers=1) if kept else MonaiDataset(cases, every)
    return lambda numbers: list_data_collate([data[number] for number in numbers])


def albumentation(cases: list[Case], spec: DatasetSpec, *, kept: bool) -> MakeBatch:
    """OpenCV and albumentations; kept: decoded and resized pictures in memory."""
    resize = A.Resize(spec.size[1], spec.size[0], interpolation=cv2.INTER_AREA)
    change = A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.VerticalFlip(p=0.5),
            A.RandomRotate90(p=0.5),
            A.Affine(
                rotate=(-30, 30),
                scale=(0.83, 1.2),
                translate_percent=(-0.08, 0.08),
                shear=(-5, 5),
                border_mode=cv2.BORDER_REFLECT,
                p=0.8,
            ),
            A.ColorJitter(brightness=0.1, contrast=0.2, saturation=0.2, hue=0.02, p=0.8),
            A.RandomGamma(gamma_limit=(80, 120), p=0.8),
            A.Normalize(mean=(0.5,) * 3, std=(0.25,) * 3),
            ToTensorV2(),
        ]
    )

    def read(case: Case) -> dict[str, np.ndarray]:
        image = cv2.cvtColor(cv2.imread(case["image"]), cv2.COLOR_BGR2RGB)
        mask = (cv2.imread(case["label"], cv2.IMREAD_GRAYSCALE) > 127).astype(np.uint8)
        return resize(image=image, mask=mask)

    held = [read(case) for case in cases] if kept else None
    return lambda numbers: default_collate([change(**(held[n] if held else read(cases[n]))) for n in numbers])


def measure(paths: dict[str, MakeBatch], *, count: int, batch_size: int, rounds: int) -> dict[str, float]:
    """Median milliseconds per image of each path; paths take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in paths}
    for turn in range(rounds + 2):
        numbers = [(turn * batch_size + n) % count for n in range(batch_size)]
        for name, make_batch in paths.items():
            began = time.perf_counter()
            make_batch(numbers)
            if turn >= 2:  # the first two warm up
                seconds[name].append((time.perf_counter() - began) / batch_size)
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def table(milliseconds: dict[str, float]) -> str:
    """Markdown, with ratios to this package's path that keeps (on disk) or decodes."""
    lines = ["| path | ms per image and mask | relative |", "|---|---:|---:|"]
    for name, value in milliseconds.items():
        base = next(
            v for key, v in milliseconds.items() if key.startswith("medseg") and ("kept" in key) == ("kept" in name)
        )
        lines.append(f"| {name} | {value:.2f} | {value / base:.1f} |")
    return "\n".join(lines)


def cpu_name() -> str:
    """The processor's name, where the system tells it."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found.group(1) if found else platform.processor()


def write_section(file: Path, section: str) -> None:
    """Put the section into the file in place of the one of the same heading, or at its end."""
    before = file.read_text(encoding="utf-8") if file.exists() else "# Benchmarks\n"
    pattern = re.compile(rf"^{re.escape(HEADING)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    after = (
        pattern.sub(lambda _: section + "\n", before) if pattern.search(before) else f"{before.rstrip()}\n\n{section}"
    )
    file.write_text(after.rstrip() + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, help="folder of JPEGs (default: generated)")
    parser.add_argument("--masks", type=Path, help="folder of their masks")
    parser.add_argument(
        "--photo", type=int, nargs=2, action="append", help="width and height of generated ones; may be repeated"
    )
    parser.add_argument("--count", type=int, default=32, help="pictures")
    parser.add_argument("--size", type=int, default=256, help="network input, pixels a side")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--write", type=Path, help="Markdown file whose section is brought up to date")
    return parser.parse_args()


def measured_table(cases: list[Case], scratch: Path, options: argparse.Namespace) -> str:
    """All paths on the same cases."""
    size = (options.size, options.size)
    spec = DatasetSpec("benchmark", "binary", classes=("lesion",), channels=("red", "green", "blue"), size=size)
    paths = {
        "medseg_monai, kept on disk": ours(cases, spec, cache_dir=scratch / "cache"),
        "medseg_monai, kept in memory": ours(cases, spec, in_memory=True),
        "albumentations, kept in memory": albumentation(cases, spec, kept=True),
        "MONAI CacheDataset, kept in memory": monai(cases, spec, kept=True),
        "medseg_monai, decoding": ours(cases, spec),
        "albumentations + OpenCV, decoding": albumentation(cases, spec, kept=False),
        "MONAI LoadImaged + Resized + chain, decoding": monai(cases, spec, kept=False),
    }
    result = measure(paths, count=len(cases), batch_size=options.batch, rounds=options.rounds)
    width, height = Image.open(cases[0]["image"]).size
    origin = "given photographs, the first" if options.images else "generated photographs of"
    return f"{len(cases)} {origin} {width}x{height}:\n\n{table(result)}\n"


def main() -> None:
    """Measure, print, and write if asked to."""
    options = parse()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    tables = []
    for width, height in [(0, 0)] if options.images else options.photo or [(256, 256), (1600, 1200)]:
        with tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            if options.images:
                cases = given_cases(options.images, options.masks, count=options.count)
            else:
                cases = generated_cases(scratch, count=options.count, width=width, height=height)
            tables.append(measured_table(cases, scratch, options))
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "monai", "albumentations", "pillow"))
    section = (
        f"{HEADING}\n\n```bash\n{' '.join(['python', 'benchmarks/datapath.py', *sys.argv[1:]])}\n```\n\n"
        f"From case to batch at {options.size}x{options.size}: batches of {options.batch}, one thread, wall-clock medians of "
        f"{options.rounds} batches, the paths taking turns. {cpu_name()}; Python {platform.python_version()}, {libraries}. "
        "Relative to this package's path of the same kind.\n\n" + "\n".join(tables)
    )
    print(section)
    if options.write:
        write_section(options.write, section)


if __name__ == "__main__":
    main()
