"""The command that does the same as the page, to be copied."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from medseg_monai.app.network import Choice


def predict_command(choice: Choice, images: Sequence[str], out: str | Path, *, formats: Sequence[str] = ()) -> str:
    """`medseg predict` with these weights.

    >>> predict_command(Choice("unet", "isic2017"), ["my moles"], "masks", formats=["png", "geojson"])
    "medseg predict unet 'my moles' --weights isic2017 --format png,geojson --out masks"
    """
    weights = ["--weights", choice.weights] if choice.weights else []
    chosen = ["--format", ",".join(formats)] if formats else []
    return shlex.join(["medseg", "predict", choice.bundle, *images, *weights, *chosen, "--out", str(out)])


def explain_command(choice: Choice, image: str, *, method: str) -> str:
    """`medseg explain` of one image.

    >>> explain_command(Choice("unet"), "mole.jpg", method="gradcam")
    'medseg explain unet mole.jpg --method gradcam'
    """
    weights = ["--weights", choice.weights] if choice.weights else []
    return shlex.join(["medseg", "explain", choice.bundle, image, *weights, "--method", method])


def train_commands(choice: Choice, folder: Path, classes: Sequence[str]) -> list[str]:
    """`medseg prepare` and `medseg train` on a folder of corrected photographs, starting from the weights that were corrected.

    >>> for line in train_commands(Choice("unet"), Path("corrections"), ["lesion"]): print(line)
    medseg prepare folder corrections --out corrections/dataset --class lesion
    medseg train unet --dataset-dir corrections/dataset --from unet
    """
    dataset = str(folder / "dataset")
    named = [part for name in classes for part in ("--class", name)]
    start = str(choice.file.parent) if choice.weights else choice.bundle
    return [
        shlex.join(["medseg", "prepare", "folder", str(folder), "--out", dataset, *named]),
        shlex.join(["medseg", "train", choice.bundle, "--dataset-dir", dataset, "--from", start]),
    ]
