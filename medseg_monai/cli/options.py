"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg_monai.program.console import say_technical

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; created.")]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
Size = Annotated[int | None, typer.Option(help="Width and height of the network's input, in pixels.")]


def _bundle_names() -> list[str]:
    """For the shell's completion."""
    from medseg_monai.bundle.paths import list_bundles

    return [bundle.name for bundle in list_bundles()]


def _known_bundle(context: typer.Context, name: str) -> str:
    """Refuse what is no bundle before the arguments that follow are missed: ``medseg predict PHOTOGRAPHS`` lacks a bundle, not images."""
    from medseg_monai.bundle.paths import find_bundle

    if not context.resilient_parsing:  # the shell's completion, while the name is being typed
        find_bundle(name)
    return name


def _verbose(asked: bool) -> bool:
    say_technical(asked)
    return asked


BundleName = Annotated[
    str,
    typer.Argument(
        help="A bundle's name (`medseg list`) or folder.", autocompletion=_bundle_names, callback=_known_bundle
    ),
]
DatasetDir = Annotated[
    Path | None, typer.Option("--dataset-dir", "-d", help="Folder with dataset.json; default: generated demo data.")
]
LabelledData = Annotated[
    Path | None,
    typer.Option(
        "--dataset-dir", "-d", help="Folder with dataset.json; may be left out for weights trained on the demo data."
    ),
]
MaybeBundle = Annotated[
    str | None,
    typer.Argument(
        help="A bundle's name (`medseg list`) or folder; default: the plan's, else unet, for volumes unet3d.",
        autocompletion=_bundle_names,
    ),
]
Minutes = Annotated[
    float | None,
    typer.Option(help="Minutes that training may take; default: 10 to 60, by the number of cases; on a GPU no limit."),
]
Hours = Annotated[float | None, typer.Option(help="The same in hours.")]
StartFrom = Annotated[
    str | None,
    typer.Option("--from", help="Weights to start from: a bundle's name, a folder or a file; what fits is kept."),
]
Quick = Annotated[
    bool, typer.Option("--quick", help="Three minutes, to see whether images and masks are right; not for use.")
]
Best = Annotated[
    bool, typer.Option("--best", help="Five times the default time; training: by five folds, for their ensemble.")
]
MemoryGb = Annotated[
    float | None,
    typer.Option(help="Memory limit in GB: the patch of volumes, then the batch, are made small enough to fit."),
]
Weights = Annotated[
    str | None, typer.Option("--weights", "-w", help="Weights file, its folder, or the data set's name.")
]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="Any key of the config: KEY=VALUE, a#b for nested keys.")
]
PlanFile = Annotated[Path | None, typer.Option("--plan", help="A plan to follow, as `medseg plan` writes it.")]
MaxEpochs = Annotated[
    int | None, typer.Option("--max-epochs", "--epochs", min=1, help="Passes over the training cases.")
]
LearningRate = Annotated[float | None, typer.Option("--lr", help="Highest learning rate of the schedule.")]
Augmentation = Annotated[float | None, typer.Option(min=0, help="Strength of random changes: 0 none, 1 as designed.")]
TrainingSeed = Annotated[int | None, typer.Option("--seed", help="Seed of every random choice.")]
Overlays = Annotated[list[Path] | None, typer.Option(help="Further config files merged over train.json.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Images (or patches of volumes) per batch.")]
Workers = Annotated[int | None, typer.Option(min=0, help="Processes or threads that read images.")]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", callback=_verbose, help="Also log details of the computation: engine, precision."),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 …, mps; default: a GPU if there is one.")]
