"""The commands that do the same as the page: shown to be copied, and those that take long are run just as they are shown."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from medseg_monai.app.network import Choice

Command: TypeAlias = list[str]
"""Arguments after ``medseg``."""


def shown(command: Command) -> str:
    """A command as it is typed.

    >>> shown(["predict", "unet", "my moles"])
    "medseg predict unet 'my moles'"
    """
    return shlex.join(["medseg", *command])


def predict(choice: Choice, images: Sequence[str], out: str | Path, *, formats: Sequence[str] = ()) -> Command:
    """`medseg predict` with these weights.

    >>> shown(predict(Choice("unet", "isic2017"), ["a.jpg"], "masks", formats=["png", "geojson"]))
    'medseg predict unet a.jpg --weights isic2017 --format png,geojson --out masks'
    """
    chosen = ["--format", ",".join(formats)] if formats else []
    return ["predict", choice.bundle, *map(_literal, images), *_weights(choice), *chosen, "--out", str(out)]


def explain(choice: Choice, image: str, *, method: str) -> Command:
    """`medseg explain` of one image.

    >>> shown(explain(Choice("unet"), "mole.jpg", method="gradcam"))
    'medseg explain unet mole.jpg --method gradcam'
    """
    return ["explain", choice.bundle, _literal(image), *_weights(choice), "--method", method]


def prepare_corrections(folder: Path, classes: Sequence[str]) -> Command:
    """`medseg prepare` of a folder of corrected images.

    >>> shown(prepare_corrections(Path("corrections"), ["lesion"]))
    'medseg prepare folder corrections --out corrections/dataset --class lesion'
    """
    return ["prepare", "folder", str(folder), "--out", str(folder / "dataset"), *_classes(classes)]


def plan(choice: Choice, folder: Path, *, minutes: float, size: Sequence[int] = ()) -> Command:
    """`medseg plan` for weights that go on from those that were corrected, at the size that they have learnt to see.

    >>> shown(plan(Choice("unet"), Path("corrections"), minutes=10, size=(256, 256)))
    "medseg plan corrections/dataset unet --from unet --minutes 10 --set 'size=[256, 256]' --out corrections/plan.yaml"
    """
    start, out = ["--from", _start(choice)], ["--out", str(folder / "plan.yaml")]
    same = ["--set", f"size={list(size)}"] if size else []
    return ["plan", str(folder / "dataset"), choice.bundle, *start, "--minutes", f"{minutes:g}", *same, *out]


def train(choice: Choice, folder: Path, *, out: Path) -> Command:
    """`medseg train` on them, by the plan, into a folder of its own: earlier weights stay.

    >>> shown(train(Choice("unet"), Path("c"), out=Path("models/unet/c")))
    'medseg train unet --dataset-dir c/dataset --from unet --plan c/plan.yaml --out models/unet/c'
    """
    data = ["--dataset-dir", str(folder / "dataset"), "--from", _start(choice), "--plan", str(folder / "plan.yaml")]
    return ["train", choice.bundle, *data, "--out", str(out)]


def prepare_truths(
    folder: Path, images: str, masks: str, *, kind: str, splits: Path, classes: Sequence[str], out: Path
) -> Command:
    """`medseg prepare` of images and true masks, all of them to be scored.

    Args:
        folder: that holds both.
        images, masks: their folders below it, or elsewhere.
        kind: ``folder`` for photographs, ``nifti`` for volumes.
        splits: a table that puts all of them into the test split.
        classes: of the weights.
        out: folder of the data set.

    >>> truths = prepare_truths(Path("t"), "i", "m", kind="folder", splits=Path("s.csv"), classes=["lesion"], out=Path("d"))
    >>> shown(truths)
    'medseg prepare folder t --images i --masks m --splits s.csv --name dropped-images --out d --class lesion'
    """
    labels = "--masks" if kind == "folder" else "--labels"
    named = ["--images", images, labels, masks, "--splits", str(splits)]
    return ["prepare", kind, str(folder), *named, "--name", "dropped-images", "--out", str(out), *_classes(classes)]


def evaluate(choice: Choice, dataset: Path, out: Path) -> Command:
    """`medseg evaluate` with its page.

    >>> shown(evaluate(Choice("unet", "isic2017"), Path("d"), Path("scores")))
    'medseg evaluate unet --dataset-dir d --weights isic2017 --report --out scores'
    """
    weights = _weights(choice) or ["--weights", str(choice.file)]  # by default those trained on data of this name
    return ["evaluate", choice.bundle, "--dataset-dir", str(dataset), *weights, "--report", "--out", str(out)]


def _weights(choice: Choice) -> Command:
    return ["--weights", choice.weights] if choice.weights else []


def _classes(classes: Sequence[str]) -> Command:
    return [part for name in classes for part in ("--class", name)]


def _start(choice: Choice) -> str:
    return str(choice.file.parent) if choice.weights else choice.bundle


def _literal(path: str) -> str:
    """A path that begins with a dash is not an option.

    >>> _literal("-x.jpg"), _literal("x.jpg")
    ('./-x.jpg', 'x.jpg')
    """
    return f"./{path}" if path.startswith("-") else path
