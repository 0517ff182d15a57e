"""Whether a network that sites train together is better than each site's own: on common test cases, after equal numbers of steps.

OMP_NUM_THREADS=1 python benchmarks/federated.py data/isic2017 unetpp --cases 48 --size 96 --set "architecture#features=[16,32,64,128]"
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import medseg_monai as mm
from medseg_monai.dataset import Dataset, read_dataset, write_dataset
from medseg_monai.dataset.cases import as_written
from medseg_monai.federated.sites import write_sites


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a data set with a test split")
    parser.add_argument("bundle")
    parser.add_argument("--sites", type=int, default=3, help="the first two of them are also a federation of their own")
    parser.add_argument("--cases", type=int, default=48, help="training cases of each site")
    parser.add_argument("--validation", type=int, default=12, help="validation cases of each site")
    parser.add_argument("--test", type=int, default=100, help="test cases")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="of each round")
    parser.add_argument("--size", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--set", action="append", default=[], help="any key of train.json")
    parser.add_argument("--out", type=Path, help="kept; default: a temporary folder")
    return parser.parse_args()


def smaller(dataset: Dataset, training: int, validation: int, test: int) -> Dataset:
    """A data set with so many cases of each split, spread over all of them."""
    counts = {"training": training, "validation": validation, "test": test}
    kept = {split: dataset.cases(split) for split in counts}
    chosen = {
        split: tuple(as_written(cases[i * len(cases) // count]) for i in range(min(count, len(cases))))
        for (split, count), cases in zip(counts.items(), kept.values(), strict=True)
    }
    return replace(dataset, **chosen)


def medseg(*command: object) -> float:
    """Run a command; returns its seconds."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "medseg_monai", *map(str, command)], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def trained(given: argparse.Namespace, folder: Path) -> dict[str, Path]:
    """The networks by name: of all sites, of the first two, and of each site alone."""
    options: list[object] = [f"--set={text}" for text in given.set]
    options += [f"--size={given.size}"] if given.size else []
    options += [f"--batch-size={given.batch_size}"] if given.batch_size else []
    sites = [folder / f"site-{number}" for number in range(1, given.sites + 1)]
    networks: dict[str, Path] = {}
    for count in sorted({2, given.sites}):
        networks[f"{count} sites together"] = out = folder / f"together-{count}"
        steps = ("--rounds", given.rounds, "--epochs", given.epochs)
        named = [f"--site={site.name}={site}" for site in sites[:count]]
        medseg("federate", "run", given.bundle, *named, "--out", out, *steps, *options)
    for site in sites:
        networks[f"{site.name} alone"] = out = folder / f"alone-{site.name}"
        epochs = given.rounds * given.epochs
        medseg("train", given.bundle, "--dataset-dir", site, "--out", out, "--max-epochs", epochs, *options)
    return networks


def scored(bundle: str, networks: dict[str, Path], test: Path, folder: Path) -> list[Path]:
    """The evaluations of all networks on the common test cases, in folders of the networks' names."""
    found = []
    for name, weights in networks.items():
        found.append(folder / name)
        medseg("evaluate", bundle, "--weights", weights, "--dataset-dir", test, "--out", found[-1])
    return found


def run(given: argparse.Namespace, folder: Path) -> str:
    count = given.sites
    part = smaller(read_dataset(given.data), given.cases * count, given.validation * count, given.test)
    write_dataset(part, folder / "all")
    write_sites(read_dataset(folder / "all"), folder, count)
    evaluations = scored(given.bundle, trained(given, folder), folder / "test", folder / "evaluations")
    return table(evaluations, metric="dice")


def table(evaluations: Sequence[Path], metric: str) -> str:
    """Means, and the paired differences of networks."""
    found = mm.compare(list(evaluations), metric=metric)
    return found.markdown


def main() -> None:
    given = arguments()
    if given.out is not None:
        print(run(given, given.out))
        return
    with tempfile.TemporaryDirectory() as folder:
        print(run(given, Path(folder)))


if __name__ == "__main__":
    main()
