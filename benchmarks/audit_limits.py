"""Three questions about `medseg audit` that its benchmark leaves open.

    python benchmarks/audit_limits.py twins DATASET_DIR [DATASET_DIR …]
    python benchmarks/audit_limits.py rounded DATASET_DIR BUNDLE [--seeds 10] [--first-seed 100]
    python benchmarks/audit_limits.py temperature DATASET_DIR BUNDLE

``twins``: how far twins lie from other patients' pictures, with every second case for choosing a limit and the others for the result.
``rounded``: what it would bring to look for labels that lack the details of the network's outline, and cost in the common ranking.
``temperature``: what empty labels do to the temperatures, with and without cases whose label and network disagree altogether.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
from audit import ERRORS, SHARE, Bench, Entry, average_precision, once, saved_again
from audit_errors import blurred
from numpy.typing import NDArray
from scipy import ndimage

from medseg_monai.audit.answers import asked_answers
from medseg_monai.audit.evidence import MOST_NATS, evidence_of
from medseg_monai.audit.examine import dices_of
from medseg_monai.audit.findings import LISTED_FROM
from medseg_monai.audit.run import LEAST_AGREEMENT
from medseg_monai.audit.twins import ALIKE, detail_of
from medseg_monai.bundle.paths import find_bundle
from medseg_monai.dataset import read_dataset
from medseg_monai.grids.truth import read_shown
from medseg_monai.quality.calibration import CalibrationCases
from medseg_monai.tuning.cases import network_channels

Array = NDArray[np.float64]
DETAIL = 0.035
"""Scale of an outline's details, as a share of the structure's diameter."""
OUTLINE = 0.05
"""So many diameters count as details that are there anyway: without them smooth lesions would decide."""
FACTORS = (0, 4, 6, 8)
"""Nats of a label that lacks all details."""


def twins(folders: Sequence[Path]) -> None:
    """Print the table."""
    print(
        "| data set | half | pictures | highest of others | lowest of twins | limit | twins found | others taken for twins |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for folder in folders:
        dataset = read_dataset(folder)
        cases = sorted(dataset.cases("test") + dataset.cases("validation"), key=lambda case: str(case["id"]))
        images = [read_shown(case, dataset.spec).image for case in cases]
        halves = {name: _likeness(images[start::2]) for start, name in enumerate(("chosen on", "reported"))}
        others, own = halves["chosen on"]
        for limit in (float(others.max() + own.min()) / 2, ALIKE):
            for name, (other, twin) in halves.items():
                counts = f"{(twin >= limit).sum()} of {len(twin)} | {(other >= limit).sum()}"
                ends = f"{len(twin)} | {other.max():.2f} | {twin.min():.2f}"
                print(f"| {dataset.spec.name} | {name} | {ends} | {limit:.2f} | {counts} |")


def _likeness(images: Sequence[NDArray[np.generic]]) -> tuple[Array, Array]:
    """Of each picture the highest correlation with another one, or another one's copy, and that with its own copy."""
    details = np.stack([detail_of(image) for image in images])
    copies = np.stack([detail_of(saved_again(image)) for image in images])
    among, across = details @ details.T, details @ copies.T
    own = np.diag(across).astype(np.float64)
    np.fill_diagonal(among, -1)
    np.fill_diagonal(across, -1)
    return np.maximum(among.max(axis=1), across.max(axis=1)).astype(np.float64), own


def lacking(entry: Entry) -> float:
    """How many of the details of the network's outline the label lacks, less its own details: at most 1. Of several classes the highest."""
    evidence = evidence_of(entry.looked.masks, entry.looked.probabilities, task="binary")
    found = []
    for label, network in zip(evidence.masks, evidence.expected, strict=True):
        diameter = max(float(label.sum()), 1.0) ** (1 / label.ndim)
        sigma = max(0.8, DETAIL * diameter)
        plain, own = _smooth(network, sigma), np.count_nonzero(label != _smooth(label, sigma))
        details = network != plain
        without = np.count_nonzero(details & (label == plain))
        found.append((without - own) / (np.count_nonzero(details) + OUTLINE * diameter + 1))
    return max(found)


def _smooth(mask: NDArray[np.bool_], sigma: float) -> NDArray[np.bool_]:
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="nearest") > 0.5)


def rounded(bench: Bench, seeds: Sequence[int]) -> None:
    """Print how well rounded outlines are found by `lacking` alone, and what it does to all errors in the common ranking."""
    plain = np.array([lacking(entry) for entry in bench.entries])
    evidence = np.array([_evidence(entry) for entry in bench.entries])
    print(f"{len(plain)} cases; labels as they are: 95 % lack at most {np.quantile(plain, 0.95):.2f}\n")
    print("| error in 5 % | by this alone | " + " | ".join(f"common ranking, {f} nats" for f in FACTORS) + " |")
    print("|---" * (2 + len(FACTORS)) + "|")
    kinds = {"rounded outline": blurred} | {name: error for name, (error, _) in ERRORS.items() if error is not None}
    for name, error in kinds.items():
        if name == "swapped classes":
            continue
        rows = []
        for seed in seeds:
            chance = np.random.default_rng(seed)
            lacks, nats, wrong = plain.copy(), evidence.copy(), np.zeros(len(plain), bool)
            for number in chance.choice(len(plain), max(2, round(SHARE * len(plain))), replace=False):
                changed = bench.with_masks(bench.entries[number], error(bench.entries[number].looked.masks, chance))
                lacks[number], nats[number], wrong[number] = lacking(changed), _evidence(changed), True
            together = [np.maximum(nats, np.minimum(MOST_NATS, f * lacks.clip(0))) for f in FACTORS]
            rows.append([average_precision(list(scores), list(wrong)) for scores in (lacks, *together)])
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in np.mean(rows, axis=0))} |", flush=True)
    listed = [int((np.maximum(evidence, f * plain) >= LISTED_FROM).sum()) for f in FACTORS]
    print(f"| listed of the labels as they are | | {' | '.join(map(str, listed))} |")


def temperature(bench: Bench) -> None:
    """Print temperatures of every fourth case, as they are and with a share of the labels empty."""
    looked = [entry.looked for entry in bench.entries[::4]]
    print("| empty labels | all cases | those that agree |\n|---|---|---|")
    for share in (0, 0.05, 0.2):
        chosen = np.random.default_rng(0).choice(len(looked), round(share * len(looked)), replace=False)
        changed = [replace(one, masks=one.masks & (n not in chosen)) for n, one in enumerate(looked)]
        found = []
        for least in (0.0, LEAST_AGREEMENT):
            cases = CalibrationCases(bench.spec)
            for one in changed:
                if fmean(dices_of(one, bench.spec)) >= least:
                    cases.add(network_channels(one.probabilities, bench.spec), one.masks, one.ignored)
            found.append(", ".join(f"{value:.2f}" for value in cases.learn().temperature))
        print(f"| {len(chosen)} of {len(looked)} | {' | '.join(found)} |")


def _evidence(entry: Entry) -> float:
    return max((one.evidence for one in entry.examined.corrections), default=0.0)


def main() -> None:
    """Parse the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parts = parser.add_subparsers(dest="what", required=True)
    parts.add_parser("twins").add_argument("folders", type=Path, nargs="+")
    plain = parts.add_parser("temperature")
    plain.add_argument("dataset_dir", type=Path)
    plain.add_argument("bundle")
    chosen = parts.add_parser("rounded")
    chosen.add_argument("dataset_dir", type=Path)
    chosen.add_argument("bundle")
    chosen.add_argument("--seeds", type=int, default=10)
    chosen.add_argument("--first-seed", type=int, default=100, help="the scale was chosen on 0 to 3")
    given = parser.parse_args()
    if given.what == "twins":
        twins(given.folders)
        return
    dataset = read_dataset(given.dataset_dir)
    bench = Bench(dataset, once(asked_answers(find_bundle(given.bundle), None, dataset)), rivals=False)
    if given.what == "temperature":
        temperature(bench)
        return
    rounded(bench, range(given.first_seed, given.first_seed + given.seeds))


if __name__ == "__main__":
    main()
