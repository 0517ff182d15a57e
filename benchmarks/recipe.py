"""Variants of a bundle's recipe, trained in equal processor time and compared case by case on validation.

    python benchmarks/recipe.py unet DATASET --work FOLDER --like lite0 --try none --try weaker augmentation=0.3 --try small batch_size=4

A variant is a name and what it sets, as ``medseg train --set`` takes it; the first one is what the others are compared with. Each is
trained as in `accuracy.py` (a process on one thread, the learning rate's cycle by the processor's clock, the last weights) once per
seed. Where there are several seeds, a case's scores are their mean: the interval is that of other cases, not of other seeds, which the
columns show. Finished trainings in FOLDER are kept.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import accuracy_ours as ours
import numpy as np
import torch
from accuracy import REPOSITORY, STARTS, TITLES, score
from accuracy_report import estimate_of, jaccard_of, machine
from numpy.typing import NDArray

from medseg_monai.bundle.assignments import parse_assignments
from medseg_monai.dataset import read_dataset
from medseg_monai.evaluation.significance import paired_permutation_p
from medseg_monai.evaluation.summary import summarise
from medseg_monai.evaluation.tables import read_evaluation, write_evaluation
from medseg_monai.files.markdown import markdown_table
from medseg_monai.files.writing import write_whole

Scores = NDArray[np.float64]


def folder_of(options: argparse.Namespace, name: str, seed: int) -> Path:
    """Of one training."""
    found: Path = options.work / f"{'-'.join(name.split())}-{seed}"
    return found


def settings_of(options: argparse.Namespace, sets: list[str], seed: int) -> dict[str, Any]:
    """What a variant sets over the bundle's train.json."""
    like = ours.SETTINGS[options.bundle, options.like] if options.like else {}
    return {**like, **parse_assignments(options.set), **parse_assignments(sets), "seed": seed}


def work(options: argparse.Namespace) -> None:
    """One training, scored; the rest of a process of its own."""
    torch.set_num_threads(1)
    name, *sets = options.tries[options.worker[0]]
    seed = options.seeds[options.worker[1]]
    out = folder_of(options, name, seed)
    precisions = ["fp32", "bf16"] if options.precision == "auto" else [options.precision]
    settings = settings_of(options, sets, seed)
    used, seen, precision, _ = ours.train(
        options.bundle,
        settings,
        options.dataset,
        options.size,
        seconds=options.seconds,
        precisions=precisions,
        out=out,
    )
    cases = read_dataset(options.dataset).cases(options.split)
    scores = score(cases, ours.masks_of(options.bundle, [str(case["image"]) for case in cases], out / "weights"))
    run = {"bundle": options.bundle, "seconds": used, "seen": seen, "precision": precision, "set": sets}
    write_evaluation(out / options.split, scores, summarise(scores), run=run)


def run_all(options: argparse.Namespace) -> None:
    """Each variant, seed by seed, in a process of its own on one thread, unless it is finished."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    for seed_index, seed in enumerate(options.seeds):
        for index, (name, *_) in enumerate(options.tries):
            out = folder_of(options, name, seed)
            if (out / options.split / "summary.json").is_file():
                continue
            command = [sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--worker", str(index), str(seed_index)]
            with out.with_suffix(".log").open("w") as log:
                subprocess.run(command, check=True, env=environment, stdout=log, stderr=subprocess.STDOUT)
            print(f"{out.name}: Jaccard {jaccard_of(out / options.split).mean():.3f}", flush=True)


def table(options: argparse.Namespace) -> str:
    """A row per variant: pictures seen, Jaccard by seed, and the paired difference to the first."""
    rows, first = [], None
    for name, *sets in options.tries:
        folders = [folder_of(options, name, seed) / options.split for seed in options.seeds]
        by_seed = [jaccard_of(folder) for folder in folders]
        runs = [read_evaluation(folder).run for folder in folders]
        mean: Scores = np.mean(by_seed, axis=0)
        row = [name, " ".join(sets), "/".join(sorted({run["precision"] for run in runs}))]
        row += [f"{np.mean([run['seen'] for run in runs]):,.0f}", *(f"{scores.mean():.3f}" for scores in by_seed)]
        if first is None:
            first, compared = mean, ["", ""]
        else:
            compared = [str(estimate_of(mean - first)), f"{paired_permutation_p(mean - first):.4f}"]
        rows.append([*row, *compared])
    seeds = [f"seed {seed}" for seed in options.seeds]
    return "\n".join(
        markdown_table(["variant", "sets", "precision", "pictures seen", *seeds, "difference to the first", "p"], rows)
    )


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("bundle", choices=list(TITLES))
    parser.add_argument("dataset", type=Path, help="folder with dataset.json")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is trained, kept")
    parser.add_argument("--like", choices=list(STARTS), help="the settings of accuracy.py for this start")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="for all variants")
    parser.add_argument("--try", nargs="+", action="append", dest="tries", required=True, metavar="NAME KEY=VALUE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--seconds", type=float, default=60, help="processor time of a training")
    parser.add_argument("--size", type=int, default=96, help="width and height that networks see, a multiple of 32")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="auto: the faster")
    parser.add_argument("--split", default="validation", choices=("validation", "test"))
    parser.add_argument("--worker", nargs=2, type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Train, score, compare."""
    options = parse()
    warnings.simplefilter("ignore")
    if options.worker:
        work(options)
        return
    options.work.mkdir(parents=True, exist_ok=True)
    run_all(options)
    facts = f"{TITLES[options.bundle]}, {options.size} x {options.size} pixels, {options.seconds:g} s of processor time each, "
    text = f"{facts}split {options.split}. {machine()}.\n\n{table(options)}\n"
    write_whole(options.work / "recipe.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
