"""`medseg federate`: several sites train one network; images stay where they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medseg_monai.api.arguments import check_there, given, square
from medseg_monai.cli.endings import say_end
from medseg_monai.cli.options import BatchSize, BundleName, Out, Seed, Size, StartFrom
from medseg_monai.program.messages import counted

if TYPE_CHECKING:
    from medseg_monai.federated.agreement import Agreement

federate_app = typer.Typer(help="Train one network at several sites: weights travel, images stay where they are.")

Sites = Annotated[
    list[str], typer.Option("--site", help="NAME=FOLDER: a site and its data set's folder; once for each site.")
]
Rounds = Annotated[int, typer.Option(min=1, help="How often the sites' networks are averaged.")]
Epochs = Annotated[int, typer.Option(min=1, help="Passes of a site over its own cases in each round.")]
LearningRate = Annotated[float | None, typer.Option("--lr", help="Highest learning rate of all rounds.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other key of train.json, for all sites: KEY=VALUE. Values are data, never code."),
]


@federate_app.command()
def split(
    dataset_dir: Annotated[Path, typer.Argument(help="Folder with dataset.json.")],
    sites: Annotated[int, typer.Option(min=2, help="Number of sites.")] = 2,
    out: Out = Path("federation"),
    seed: Seed = 0,
) -> None:
    """Divide a data set among pretended sites, by patient, to rehearse: OUT/site-1 …, and OUT/test with the test cases for all."""
    from medseg_monai.dataset import read_dataset
    from medseg_monai.federated.sites import write_sites

    folders = write_sites(read_dataset(dataset_dir), out, sites, seed=seed)
    options = " ".join(f"--site {folder.name}={folder}" for folder in folders)
    say_end(f"{dataset_dir} -> {', '.join(map(str, folders))}", following=f"medseg federate run BUNDLE {options}")


@federate_app.command()
def run(
    bundle: BundleName,
    sites: Sites,
    out: Out = Path("federated"),
    rounds: Rounds = 5,
    epochs: Epochs = 1,
    size: Size = None,
    lr: LearningRate = None,
    batch_size: BatchSize = None,
    start_from: StartFrom = None,
    settings: Settings = None,
) -> None:
    """Rehearse on this machine, by NVFlare's simulator: the sites' data sets are here. The first site's dataset.json is agreed on."""
    from medseg_monai.federated.job import parse_sites

    places = {name: Path(folder) for name, folder in parse_sites(sites).items()}
    check_there(*places.values())
    values = _settings(size=size, lr=lr, batch_size=batch_size, start_from=start_from, settings=settings)
    agreement = _agreement(bundle, next(iter(places.values())), values, rounds, epochs)
    from medseg_monai.bundle.paths import find_bundle, find_named_weights
    from medseg_monai.federated.simulate import simulate

    if start_from is not None:
        find_named_weights(find_bundle(bundle), start_from)

    rows = simulate(out, agreement, places)
    _say_rounds(rows, out, len(places))


@federate_app.command()
def job(
    bundle: BundleName,
    sites: Sites,
    spec: Annotated[
        Path, typer.Option(help="A dataset.json with what all sites agree on: task, classes, channels, size …")
    ],
    out: Out = Path("job"),
    rounds: Rounds = 5,
    epochs: Epochs = 1,
    size: Size = None,
    lr: LearningRate = None,
    batch_size: BatchSize = None,
    start_from: StartFrom = None,
    settings: Settings = None,
    round_minutes: Annotated[
        float, typer.Option(min=0, help="How long a round waits for a site; 0: as long as it takes.")
    ] = 0,
) -> None:
    """Write a job for a running NVFlare server. A site's FOLDER is on its own machine; the job holds settings, no code and no data."""
    from medseg_monai.federated.job import ALLOWED, parse_sites, write_job

    places = parse_sites(sites)
    check_there(spec)
    values = _settings(size=size, lr=lr, batch_size=batch_size, start_from=start_from, settings=settings)
    agreement = _agreement(bundle, spec, values, rounds, epochs)
    write_job(out, agreement, places, name=agreement.bundle, round_minutes=round_minutes)
    say_end(
        f"{counted(len(places), 'site')}, {counted(rounds, 'round')} -> {out}",
        following=f"each site allows {ALLOWED} in its NVFlare's class_allow_list; then nvflare job submit -j {out}",
    )


def _settings(
    *,
    size: int | None,
    lr: float | None,
    batch_size: int | None,
    start_from: str | None,
    settings: list[str] | None,
) -> dict[str, Any]:
    from medseg_monai.bundle.assignments import parse_assignments

    sides = None if size is None else list(square(size) or ())
    named = given(size=sides, lr=lr, batch_size=batch_size, start_from=start_from)
    return {**named, **parse_assignments(settings or [])}


def _agreement(bundle: str, data: Path, settings: Mapping[str, Any], rounds: int, epochs: int) -> Agreement:
    """What all sites have in common, checked as far as it can be here.

    Raises:
        FileNotFoundError, ValueError: the bundle, a setting or the data set cannot be used.
    """
    from medseg_monai.bundle.paths import find_bundle, list_bundles
    from medseg_monai.dataset import read_dataset

    folder = find_bundle(bundle)
    from medseg_monai.federated.agreement import Agreement

    if folder.resolve() not in [known.resolve() for known in list_bundles()]:
        raise ValueError(
            f"{bundle}: sites know a bundle by its name, and run their own copy of it: put it into ./bundles"
        )
    agreement = Agreement(folder.name, read_dataset(data).spec, settings, rounds=rounds, epochs=epochs)
    from monai.bundle import ConfigParser

    from medseg_monai.bundle.workflow import check_overrides

    # a mistyped setting is refused here, not at every site
    check_overrides(ConfigParser.load_config_file(folder / "configs" / "train.json"), settings)
    return agreement


def _say_rounds(rows: list[dict[str, str]], out: Path, sites: int) -> None:
    """The last lines, and an error if sites were left out.

    Raises:
        SystemExit: some site's weights were left out; the network is that of the others.
    """
    scores = ", ".join(
        f"{row['site']} {row['mean_dice']}" for row in rows if row["round"] == "end" and row["mean_dice"]
    )
    say_end(
        f"{counted(sites, 'site')} -> {out}/model.pt · mean Dice on each site's validation cases: {scores or 'unknown'}",
        look=out / "rounds.csv",
        following=f"medseg evaluate BUNDLE --weights {out} --dataset-dir TEST_DATA",
    )
    if left_out := {row["site"]: row["left_out"] for row in rows if row["left_out"]}:
        reasons = "; ".join(f"{site}: {reason}" for site, reason in left_out.items())
        raise SystemExit(
            f"{len(left_out)} of {sites} sites were left out of a round or more ({reasons}); the network is the others'"
        )
