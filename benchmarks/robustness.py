"""Jaccard of trained weights on photographs that were made worse: compressed hard, with drawn hairs, with a cast of colour.

    python benchmarks/robustness.py unet DATASET --work FOLDER --of none-0=TRAINED/none-0/weights --of jpeg-0=TRAINED/jpeg-0/weights

TRAINED is the folder of `recipe.py`. Every photograph of the split is changed once, by a generator of its own, and written as a PNG; all
weights see the same files. Each is scored against the mask of the unchanged photograph, on its grid, and compared case by case with the
first. ``NAME=FOLDER,FOLDER`` stands for several seeds: a case's scores are their mean.

The hairs are those that augmentation draws (`transforms/photo_artefacts.py`), at the photographs' own size: weights that were trained with
them are at an advantage here that they do not have with real hairs.
"""

from __future__ import annotations

import argparse
import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import accuracy_ours as ours
import numpy as np
import torch
from accuracy import TITLES, score
from accuracy_report import estimate_of, jaccard_of, machine
from numpy.typing import NDArray
from PIL import Image

from medseg_monai.dataset import read_dataset
from medseg_monai.evaluation.summary import summarise
from medseg_monai.evaluation.tables import write_evaluation
from medseg_monai.files.markdown import markdown_table
from medseg_monai.files.writing import write_whole
from medseg_monai.transforms.photo_artefacts import draw_hairs, shadow

Pixels = NDArray[np.uint8]
QUALITY = 20
HAIRS = (10, 30)
GAIN = 1.3  # of a channel, or its inverse


def through_jpeg(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Quality 20, 4:2:0."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(file))


def with_hairs(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """10 to 30 dark curves."""
    height, width = pixels.shape[:2]
    taken = shadow(draw_hairs(rng, int(rng.integers(*HAIRS)), size=(width, height)), (width, height))
    return np.rint(pixels * (1 - taken.numpy().T[..., None])).astype(np.uint8)


def with_cast(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Red, green and blue each times 1 / 1.3 to 1.3."""
    return np.rint(np.clip(pixels * GAIN ** rng.uniform(-1, 1, 3), 0, 255)).astype(np.uint8)


CHANGES: Mapping[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "unchanged": lambda pixels, _: pixels,
    f"JPEG, quality {QUALITY}": through_jpeg,
    f"{HAIRS[0]} to {HAIRS[1]} drawn hairs": with_hairs,
    "cast of colour": with_cast,
}


def changed(dataset: Path, split: str, out: Path) -> None:
    """Write each case's photograph for each kind of change to a folder of its own under `out`, unless it is there."""
    cases = read_dataset(dataset).cases(split)
    for place, change in enumerate(CHANGES.values()):
        folder = out / str(place)
        folder.mkdir(parents=True, exist_ok=True)
        for number, case in enumerate(cases):
            file = folder / f"{Path(case['image']).stem}.png"
            if not file.is_file():
                with Image.open(case["image"]) as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                Image.fromarray(change(pixels, np.random.default_rng((number, place)))).save(file)


def scores_of(options: argparse.Namespace, name: str, weights: Path, kind: int) -> NDArray[np.float64]:
    """Jaccard per case of one training on one kind of change; kept in the folder of this name."""
    folder: Path = options.work / "scores" / name / str(kind)
    if not (folder / "summary.json").is_file():
        cases = read_dataset(options.dataset).cases(options.split)
        files = [str(options.work / str(kind) / f"{Path(case['image']).stem}.png") for case in cases]
        scores = score(cases, ours.masks_of(options.bundle, files, weights))
        write_evaluation(folder, scores, summarise(scores), run={"bundle": options.bundle, "weights": str(weights)})
    return jaccard_of(folder)


def table(options: argparse.Namespace) -> str:
    """A row per variant, two columns per kind of change: Jaccard, and the paired difference to the first variant."""
    rows: list[list[object]] = []
    first: dict[int, NDArray[np.float64]] = {}
    for given in options.of:
        name, _, folders = given.partition("=")
        row: list[object] = [name]
        for kind in range(len(CHANGES)):
            each = [
                scores_of(options, f"{name}-{seed}", Path(folder), kind)
                for seed, folder in enumerate(folders.split(","))
            ]
            mean = np.mean(each, axis=0)
            row += [f"{mean.mean():.3f}", estimate_of(mean - first[kind]) if kind in first else ""]
            first.setdefault(kind, mean)
        rows.append(row)
        print(*row, sep=" | ", flush=True)
    heads = [head for kind in CHANGES for head in (kind, "difference")]
    return "\n".join(markdown_table(["weights", *heads], rows))


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle", choices=list(TITLES))
    parser.add_argument("dataset", type=Path, help="folder with dataset.json")
    parser.add_argument("--work", type=Path, required=True, help="folder for changed photographs and scores, kept")
    parser.add_argument(
        "--of", action="append", required=True, metavar="NAME=FOLDER[,FOLDER]", help="folders of weights"
    )
    parser.add_argument("--split", default="validation", choices=("validation", "test"))
    return parser.parse_args()


def main() -> None:
    """Change, score, compare."""
    options = parse()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    changed(options.dataset, options.split, options.work)
    text = f"{TITLES[options.bundle]}, split {options.split}. {machine()}.\n\n{table(options)}\n"
    write_whole(options.work / "robustness.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
