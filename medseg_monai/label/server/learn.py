"""Training from saved labels: the bundle's own train.json, starting from the weights in use, which are kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monailabel.tasks.train.bundle import BundleTrainTask

from medseg_monai.label.labels import training_cases
from medseg_monai.trained import SPEC_FILE, WEIGHTS_FILE, Trained, write_weights

FINAL = "final"
"""Tag of labels that an annotator has finished: what is trained on."""
NEW = "training"
"""Folder below ``models`` that a training writes to: the weights in use stay until it has ended."""
PUBLISHED = (
    SPEC_FILE,
    "history.csv",
    "training.png",
    WEIGHTS_FILE,
)  # the weights last: they are what the server watches
DEFAULTS = {"max_epochs": 20, "lr": 0.0005, "batch_size": 4, "val_split": 0.2}
"""For few labels and a network that knows something already: a tenth to a quarter of a whole training's rate."""
IMPORTS = ("$from medseg_monai.bundle import find_trained", "$from medseg_monai.trained import load_weights")


class Learn(BundleTrainTask):  # type: ignore[misc]  # MONAI Label has no types
    """A trainer of the server.

    Args:
        bundle: the bundle's folder with its weights.
        conf: the server's settings.
    """

    def __init__(self, bundle: Path, conf: Mapping[str, str]) -> None:
        super().__init__(str(bundle), conf)
        self.models = bundle / "models"
        self.request: dict[str, Any] = {}
        self.start = ""

    def config(self) -> dict[str, Any]:
        """What clients may set."""
        return {**super().config(), **DEFAULTS}

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Train, then put the new weights in the place of those in use.

        Raises:
            ValueError: there is no usable label.
        """
        # 3D Slicer sends an empty run_id
        self.request = {**DEFAULTS, **request, "run_id": request.get("run_id") or "run"}
        shutil.rmtree(self.models / NEW, ignore_errors=True)  # of a training that was stopped
        super().__call__(self.request, datastore)
        return {"weights": str(self.models / WEIGHTS_FILE), "earlier": str(publish(self.models))}

    def _fetch_datalist(self, request: Mapping[str, Any], datastore: Any) -> list[dict[str, Any]]:
        spec = Trained.read(self.models).dataset
        cases = training_cases(saved_labels(datastore), spec, self.models.parent / "labels")
        if not cases:
            raise ValueError("no label to train on: save one with the tag 'final' first")
        return cases

    def _partition_datalist(
        self, datalist: Sequence[dict[str, Any]], request: Mapping[str, Any], shuffle: bool = False
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The last images by name are for validation, at least one; a single image is for both."""
        cases = sorted(datalist, key=lambda case: str(case["id"]))
        held_out = min(max(1, round(len(cases) * float(request["val_split"]))), len(cases) - 1)
        return (cases[:-held_out], cases[-held_out:]) if held_out else (cases, cases)

    def _load_checkpoint(self, model_pytorch: str, pretrained: bool, train_handlers: list[Any]) -> None:
        """Remember where to start from; the weights are loaded by `_update_overrides`, without unpickling code."""
        self.start = model_pytorch if pretrained and Path(model_pytorch).is_file() else ""

    def _update_overrides(self, overrides: dict[str, Any]) -> None:
        """Train the network of the weights in use on their own kind of data, into a folder of its own."""
        trained = Trained.read(self.models)
        unfetched = {key: None for key in ("weights_file",) if key in trained.architecture}
        if "pretrained" in trained.architecture:
            unfetched["pretrained"] = False  # type: ignore[assignment]
        overrides.update(
            imports=[*self.bundle_config.get("imports"), *IMPORTS],
            spec="$find_trained(@bundle_root).dataset",
            architecture={**trained.architecture, **unfetched, "_mode_": "callable"},
            initial_network=f"$load_weights(@architecture(), {self.start!r})" if self.start else "$@architecture()",
            output_dir=str(self.models / NEW),
            lr=float(self.request["lr"]),
            batch_size=int(self.request["batch_size"]),
        )


def saved_labels(datastore: Any) -> list[dict[str, Any]]:
    """Images with their final labels, and the names of what is in them as far as the annotator's tool said."""
    return [
        {
            "image": datastore.get_image_uri(image),
            "label": datastore.get_label_uri(image, FINAL),
            "names": [entry["name"] for entry in datastore.get_label_info(image, FINAL).get("label_info", [])],
        }
        for image in sorted(datastore.get_labeled_images())
    ]


def publish(models: Path) -> Path:
    """Put what a training wrote in the place of the weights in use; the folder that those were moved to.

    Raises:
        FileNotFoundError: the training left no weights.
    """
    if not (models / NEW / WEIGHTS_FILE).is_file():
        raise FileNotFoundError(f"the training left no {models / NEW / WEIGHTS_FILE}: the weights in use stay")
    taken = [int(path.name) for path in models.glob("previous/*") if path.name.isdigit()]
    previous = models / "previous" / str(max(taken, default=0) + 1)
    previous.mkdir(parents=True)
    for name in PUBLISHED:
        if (models / name).is_file():
            shutil.copy2(models / name, previous / name)  # a copy: a request may come at this moment
    for name in PUBLISHED:
        if name not in (WEIGHTS_FILE, SPEC_FILE) and (models / NEW / name).is_file():
            (models / NEW / name).replace(models / name)
    write_weights(models, (models / NEW / WEIGHTS_FILE).read_bytes(), Trained.read(models / NEW))
    shutil.rmtree(models / NEW)
    return previous
