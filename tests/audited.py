"""A tiny data set of discs, and networks that answer as they are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medseg_monai.audit.answers import Answer
from medseg_monai.dataset import Dataset, DatasetSpec, read_dataset, write_dataset
from medseg_monai.dataset.cases import Case

SPEC = DatasetSpec("discs", "binary", classes=("disc",), channels=("red", "green", "blue"), size=(48, 48))
WIDTH, HEIGHT = 60, 48
Mask = NDArray[np.bool_]


def disc(x: float, y: float, radius: float, *, shape: Sequence[int] = (WIDTH, HEIGHT)) -> Mask:
    """A disc, (W, H)."""
    columns, rows = np.ogrid[: shape[0], : shape[1]]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def sure(mask: Mask, *, certainty: float = 0.98) -> NDArray[np.float32]:
    """Probabilities of a network that is that certain of a mask, whatever its axes."""
    return np.where(mask, certainty, 1 - certainty).astype(np.float32)


def true_disc(number: int) -> Mask:
    """The disc that a case shows."""
    return disc(22 + 3 * (number % 5), 20 + 2 * (number % 4), 8 + number % 3)


def write_discs(
    folder: Path,
    labels: Mapping[int, Mask | bytes] | None = None,
    *,
    count: int = 12,
    split: Callable[[int], str] | None = None,
) -> Dataset:
    """Pictures ``case00`` … with their discs as labels, or other ones, and dataset.json in the folder."""
    given = labels or {}
    by_split: dict[str, list[Case]] = {"training": [], "validation": [], "test": []}
    for number in range(count):
        name = f"case{number:02d}"
        noise = np.random.default_rng(number).integers(60, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{name}.png")
        label = given.get(number, true_disc(number))
        if isinstance(label, bytes):
            (folder / f"{name}_mask.png").write_bytes(label)
        else:
            Image.fromarray(label.T.astype(np.uint8) * 255).save(folder / f"{name}_mask.png")
        by_split[split(number) if split else "training"].append({"image": f"{name}.png", "label": f"{name}_mask.png"})
    write_dataset(Dataset(SPEC, folder, **{key: tuple(cases) for key, cases in by_split.items()}), folder)
    return read_dataset(folder)


def right_answers(dataset: Dataset) -> dict[str, Answer]:
    """A network that sees the true discs."""

    def read(case: Case) -> NDArray[np.float32]:
        return sure(true_disc(int(case["id"][4:])))[None]

    return {
        case["id"]: Answer("fold 1", read)
        for split in ("training", "validation", "test")
        for case in dataset.cases(split)
    }
