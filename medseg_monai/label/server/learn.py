"""Training from saved labels: the bundle's own train.json, starting from the weights in use, which are kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monailabel.tasks.train.bundle import BundleTrainTask

from medseg_monai.bundle.literals import literal
from medseg_monai.bundle.trained import (
    SPEC_FILE,
    WEIGHTS_FILE,
    Trained,
    load_weights,
    write_weights,
)
from medseg_monai.label.labels import training_cases

FINAL = "final"
"""Tag of labels that an annotator has finished; these are used for training."""
NEW = "training"
"""Folder below ``models`` that a training writes to: the weights in use stay until it has finished."""
PUBLISHED = (
    SPEC_FILE,
    "history.csv",
    "training.png",
    WEIGHTS_FILE,
)  # the weights last: the server watches these
DEFAULTS = {"max_epochs": 20, "lr": 0.0005, "batch_size": 4, "val_split": 0.2}
"""Learning rate for few labels and a pretrained network: a tenth to a quarter of that of a full training."""
CONFIGS = ("train#handlers",)
"""The config among the arguments that MONAI Label passes to a training: the bundle's own."""
UNFETCHED = {"weights_file": None, "pretrained": False}
"""Arguments of networks that would download weights, which the trained ones would then replace."""
# one name each: of several in a statement MONAI imports only the first
IMPORTS = (
    "$from medseg_monai.bundle.trained import find_trained",
    "$from medseg_monai.bundle.trained import load_weights",
)


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
        """The options that clients may set."""
        return {**super().config(), **DEFAULTS, "model_filename": [WEIGHTS_FILE]}

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Train, then replace the weights in use by the new ones.

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
        """The last images by name are for validation, at least one; a single image is used for both."""
        cases = sorted(datalist, key=lambda case: str(case["id"]))
        held_out = min(max(1, round(len(cases) * float(request["val_split"]))), len(cases) - 1)
        return (cases[:-held_out], cases[-held_out:]) if held_out else (cases, cases)

    def _load_checkpoint(self, model_pytorch: str, pretrained: bool, train_handlers: list[Any]) -> None:
        """Store the path of the initial weights; `_update_overrides` loads them, without unpickling code."""
        self.start = model_pytorch if pretrained and Path(model_pytorch).is_file() else ""

    def _update_overrides(self, overrides: dict[str, Any]) -> None:
        """Train the network of the weights in use, with their spec, into a separate folder.

        Everything from outside (names of images, paths, fields of a request) is passed as literals: to MONAI, text that begins with
        ``$`` is code.
        """
        trained = Trained.read(self.models)
        overrides.update({key: literal(value) for key, value in overrides.items() if key not in CONFIGS})
        network = {key: literal(value) for key, value in trained.architecture.items() if key not in UNFETCHED}
        unfetched = {key: value for key, value in UNFETCHED.items() if key in trained.architecture}
        overrides.update(
            imports=[*self.bundle_config.get("imports"), *IMPORTS],
            spec="$find_trained(@bundle_root).dataset",
            architecture={**network, **unfetched, "_target_": trained.architecture["_target_"], "_mode_": "callable"},
            initial_network=self._network(),
            every_class=False,  # few labels need not show every class, and the weights know them all
            output_dir=literal(str(self.models / NEW)),
            lr=float(self.request["lr"]),
            batch_size=int(self.request["batch_size"]),
        )

    def _network(self) -> str:
        """The expression that builds the network with the initial weights."""
        weights = str(literal(self.start)).removeprefix("$")
        return f"$load_weights(@architecture(), {weights})" if self.start else "$@architecture()"

    def _load_bundle_config(self, path: str, config: str) -> Any:
        """The config, with the bundle's folder as a literal."""
        loaded = super()._load_bundle_config(path, config)
        loaded.config["bundle_root"] = literal(path)
        return loaded


def saved_labels(datastore: Any) -> list[dict[str, Any]]:
    """Images with their final labels, and the names of their segments if the annotator's tool sent them."""
    return [
        {
            "image": datastore.get_image_uri(image),
            "label": datastore.get_label_uri(image, FINAL),
            "names": [entry["name"] for entry in datastore.get_label_info(image, FINAL).get("label_info", [])],
        }
        for image in sorted(datastore.get_labeled_images())
    ]


def publish(models: Path) -> Path:
    """Replace the weights in use by those of a training; return the folder that the old ones were moved to.

    Raises:
        FileNotFoundError: the training left no weights.
    """
    if not (models / NEW / WEIGHTS_FILE).is_file():
        raise FileNotFoundError(f"the training wrote no {models / NEW / WEIGHTS_FILE}: the weights in use stay")
    previous = put_aside(models)
    for name in PUBLISHED:
        if name not in (WEIGHTS_FILE, SPEC_FILE) and (models / NEW / name).is_file():
            (models / NEW / name).replace(models / name)
    write_weights(models, (models / NEW / WEIGHTS_FILE).read_bytes(), Trained.read(models / NEW))
    shutil.rmtree(models / NEW)
    return previous


def put_aside(models: Path) -> Path:
    """Copy the weights in use, with all their files, to ``previous/1``, ``2`` …; return that folder."""
    taken = [int(path.name) for path in models.glob("previous/*") if path.name.isdecimal()]
    previous = models / "previous" / str(max(taken, default=0) + 1)
    previous.mkdir(parents=True)
    for name in PUBLISHED:
        if (models / name).is_file():
            shutil.copy2(models / name, previous / name)  # a copy: a request may come at this moment
    return previous


def replace_weights(models: Path, weights: Path) -> Path:
    """Replace the weights in use by uploaded ones; return the folder that the old ones were moved to.

    Raises:
        ValueError: they are not weights of this network, or not finite numbers; nothing is changed.
    """
    trained = Trained.read(models)
    try:
        load_weights(trained.build_network(), weights)
    except ValueError as error:
        raise ValueError(str(error).replace(str(weights), "the file")) from error
    previous = put_aside(models)
    write_weights(models, weights.read_bytes(), trained)
    return previous
