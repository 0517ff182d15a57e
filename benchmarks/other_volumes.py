"""Volumes of other kinds than hippocampi, to try on whether they are flagged: generated ones, spoilt ones, and crops of other scans.

    python benchmarks/other_volumes.py BUNDLE DATASET_DIR [NAME=FILE ...] [--out FOLDER]

prints how many of each kind are flagged as unlike training's volumes, and how many of the test split's. NAME=FILE are scans, of each of
which some crops of a training volume's size are tried. Volumes are not segmented for it. Kinds with a star played no part when the
description was developed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from medseg_monai.bundle.paths import find_bundle, find_weights
from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset import read_dataset
from medseg_monai.predictor import Predictor
from medseg_monai.quality.familiarity import Familiarity

COUNT = 8
Array = NDArray[np.floating]
Random = np.random.Generator


def noise(rng: Random, shape: tuple[int, ...]) -> Array:
    """White noise."""
    return rng.normal(100, 20, shape)


def clouds(rng: Random, shape: tuple[int, ...]) -> Array:
    """Noise, blurred by one to four voxels."""
    return gaussian_filter(rng.standard_normal(shape), rng.uniform(1, 4))


def ball(rng: Random, shape: tuple[int, ...]) -> Array:
    """A phantom: a ball of one value, half of the time with noise."""
    inside = (_places(shape) ** 2).sum(axis=0) < rng.uniform(0.2, 0.8)
    return 100.0 * inside + rng.choice([0, 3]) * rng.standard_normal(shape)


def ramp(rng: Random, shape: tuple[int, ...]) -> Array:
    """A slope."""
    return np.tensordot(rng.standard_normal(3), _places(shape), axes=1)


def checkers(rng: Random, shape: tuple[int, ...]) -> Array:
    """Cubes, bright and dark in turn."""
    return 100.0 * ((np.indices(shape) // int(rng.integers(2, 9))).sum(axis=0) % 2)


def head_phantom(rng: Random, shape: tuple[int, ...]) -> Array:
    """Ellipsoids within each other, as in Shepp and Logan's phantom, with noise."""
    ellipsoids = [
        (1, (0.69, 0.92, 0.81), (0, 0, 0)),
        (-0.8, (0.66, 0.87, 0.78), (0, -0.018, 0)),
        (-0.2, (0.11, 0.31, 0.22), (0.22, 0, 0)),
        (-0.2, (0.16, 0.41, 0.28), (-0.22, 0, 0)),
        (0.1, (0.21, 0.25, 0.41), (0, 0.35, -0.15)),
    ]
    places = _places((64, 64, 64))
    values = rng.uniform(0, 0.03) * rng.standard_normal((64, 64, 64))
    for value, radii, centre in ellipsoids:
        off = (places - np.reshape(centre, (3, 1, 1, 1))) / np.reshape(radii, (3, 1, 1, 1))
        values += value * ((off**2).sum(axis=0) <= 1)
    return values


GENERATED: dict[str, Callable[[Random, tuple[int, ...]], Array]] = {
    "white noise": noise,
    "clouds": clouds,
    "ball": ball,
    "slope*": ramp,
    "cubes*": checkers,
    "head phantom*": head_phantom,
}
SPOILT: dict[str, Callable[[Random, Array], Array]] = {
    "inverted": lambda rng, values: -values,
    "axes exchanged*": lambda rng, values: values.transpose(2, 0, 1),
    "upside down*": lambda rng, values: values[:, :, ::-1],
    "mirrored left to right*": lambda rng, values: values[::-1],
    "blurred by 1.5 voxels*": lambda rng, values: gaussian_filter(values, 1.5),
    "noise as strong as the contrast*": lambda rng, values: values + rng.normal(0, values.std(), values.shape),
    "voxels shuffled*": lambda rng, values: rng.permutation(values.ravel()).reshape(values.shape),
}
SPACINGS_MM = {"spacing 3 mm instead of 1": 3.0, "spacing 0.4 mm instead of 1*": 0.4}
SLIGHT: dict[str, Callable[[Random, Array], Array]] = {
    "same values, times 7 plus 300": lambda rng, values: 7 * values + 300,
    "two voxels less at each end": lambda rng, values: values[2:-2, 2:-2, 2:-2],
    "noise of a tenth of the contrast": lambda rng, values: values + rng.normal(0, 0.1 * values.std(), values.shape),
    "blurred by 0.4 voxels": lambda rng, values: gaussian_filter(values, 0.4),
    "blurred by 0.7 voxels": lambda rng, values: gaussian_filter(values, 0.7),
    "20 % darker to 20 % brighter, back to front": lambda rng, values: (
        (values - values.min()) * np.linspace(0.8, 1.2, values.shape[1])[None, :, None]
    ),
}
"""Changes that should not matter: flagged ones are false alarms, or nearly."""


def _places(shape: tuple[int, ...]) -> Array:
    """(3, *shape), from -1 to 1."""
    return np.stack(np.meshgrid(*[np.linspace(-1, 1, count) for count in shape], indexing="ij"))


def crops(rng: Random, file: Path, size_mm: Array) -> list[tuple[Array, tuple[float, ...]]]:
    """Parts of a scan of this size that are not mostly background, with their spacing."""
    image = nibabel.load(file)
    values = np.asarray(image.dataobj, np.float32).squeeze()
    spacing = tuple(float(side) for side in image.header.get_zooms()[:3])
    size = np.minimum(np.round(size_mm / spacing).astype(int), values.shape)
    background, found = np.percentile(values, 40), []
    for _ in range(200):
        first = [int(rng.integers(0, most + 1)) for most in np.array(values.shape) - size]
        part = values[tuple(slice(start, start + count) for start, count in zip(first, size, strict=True))]
        if (part > background).mean() > 0.6 and part.std() > 0:
            found.append((part, spacing))
        if len(found) == COUNT:
            break
    return found


class Trial:
    """What is known, and the files to try it on."""

    def __init__(self, predict: Predictor, known: Familiarity, folder: Path) -> None:
        self.predict, self.known, self.folder = predict, known, folder

    def file(self, values: Array, spacing_mm: tuple[float, ...]) -> Path:
        """Values as a NIfTI file."""
        path = self.folder / f"{len(list(self.folder.iterdir())):04d}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.asarray(values, np.float32), np.diag([*spacing_mm, 1.0])), path)
        return path

    def row(self, name: str, files: list[Path]) -> tuple[int, int]:
        """Print how many of the files are unlike training's, and how far off they are; returns both numbers."""
        found = [self.known.unusualness(self.predict.describe(file)) for file in files]
        flagged = sum(one > self.known.threshold for one in found)
        print(f"| {name} | {len(files)} | {flagged} | {min(found):.1f} | {np.median(found):.1f} |", flush=True)
        return len(files), flagged


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("dataset_dir", type=Path)
    parser.add_argument("scans", nargs="*", metavar="NAME=FILE")
    parser.add_argument("--out", type=Path, help="folder for the volumes")
    chosen = parser.parse_args()
    weights = find_weights(find_bundle(chosen.bundle))
    known = Trained.read(weights.parent).familiarity
    if known is None:
        raise ValueError("what is usual is not known for these weights: run medseg review first")
    test = [Path(str(case["image"])) for case in read_dataset(chosen.dataset_dir).cases("test")]
    loaded = [nibabel.load(file) for file in test[:COUNT]]
    usual = [(np.asarray(image.dataobj, np.float32), image.header.get_zooms()[:3]) for image in loaded]
    shape, size_mm = usual[0][0].shape, np.array(usual[0][0].shape) * usual[0][1]
    print("| volumes | number | unlike training's | least unusual | median |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=chosen.out) as folder:
        trial = Trial(Predictor(chosen.bundle, weights=weights), known, Path(folder))
        trial.row("test", test)
        for name, change in SLIGHT.items():
            rng = np.random.default_rng(0)
            trial.row(f"test, {name}", [trial.file(change(rng, values), spacing) for values, spacing in usual])
        totals: dict[bool, list[tuple[int, int]]] = {False: [], True: []}
        for number, (name, draw) in enumerate(GENERATED.items()):
            rng = np.random.default_rng([1, number])
            files = [trial.file(draw(rng, shape), (1, 1, 1)) for _ in range(COUNT)]
            totals[name.endswith("*")].append(trial.row(name, files))
        for name, change in SPOILT.items():
            rng = np.random.default_rng(2)
            files = [trial.file(change(rng, values), spacing) for values, spacing in usual]
            totals[name.endswith("*")].append(trial.row(f"test, {name}", files))
        for name, side in SPACINGS_MM.items():
            files = [trial.file(values, (side,) * 3) for values, _ in usual]
            totals[name.endswith("*")].append(trial.row(f"test, {name}", files))
        for number, (name, _, file) in enumerate(given.partition("=") for given in chosen.scans):
            parts = crops(np.random.default_rng([3, number]), Path(file), size_mm)
            totals[name.endswith("*")].append(trial.row(name, [trial.file(*part) for part in parts]))
    for starred, title in ((False, "all others, developed on"), (True, "all others, held out*")):
        count, flagged = np.sum(totals[starred], axis=0)
        print(f"| {title} | {count} | {flagged} | | |")


if __name__ == "__main__":
    main()
