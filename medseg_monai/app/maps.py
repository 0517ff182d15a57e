"""Maps over an image: probabilities, uncertainty, CAM and Grad-CAM, each 0..1 on the image's own grid, channels first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from medseg_monai.app.network import Choice
from medseg_monai.bundle.paths import find_bundle
from medseg_monai.bundle.workflow import run_bundle
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.explain.files import TABLE_FILE
from medseg_monai.files.csv_tables import read_records
from medseg_monai.images.photos import read_stored
from medseg_monai.images.volumes import is_volume, read_volume
from medseg_monai.inference.uncertainty import uncertainty
from medseg_monai.predictor import Prediction

Map: TypeAlias = NDArray[np.floating[Any]]
METHODS = {"cam": "CAM", "gradcam": "Grad-CAM"}


def map_names(classes: Sequence[str]) -> dict[str, str]:
    """What can be shown, by the name in addresses.

    >>> list(map_names(["lesion"]).values())
    ['probability of lesion', 'uncertainty', 'CAM of lesion', 'Grad-CAM of lesion']
    """
    found = {f"probability-{number}": f"probability of {name}" for number, name in enumerate(classes)}
    found["uncertainty"] = "uncertainty"
    for method, label in METHODS.items():
        found |= {f"{method}-{number}": f"{label} of {name}" for number, name in enumerate(classes)}
    return found


def network_map(prediction: Prediction, spec: DatasetSpec, name: str) -> Map:
    """A map of the network's answer: ``probability-<class number>`` or ``uncertainty``; (1, *S)."""
    found = prediction.probabilities
    if name != "uncertainty":
        one: Map = found[int(name.rpartition("-")[2])][None]
        return one
    background = np.clip(1 - found.sum(axis=0, keepdims=True), 0, 1)
    channels = np.concatenate([background, found]) if spec.task == "multiclass" else found
    entropy: Map = uncertainty(torch.from_numpy(np.ascontiguousarray(channels)), spec.task)[0].numpy()
    return entropy[None]


def explained_map(choice: Choice, image: Path, spec: DatasetSpec, name: str, folder: Path) -> Map:
    """``cam-<class number>`` or ``gradcam-<class number>``, as `medseg explain` writes them into the folder; (1, *S).

    Raises:
        ValueError: there is no map, for example because the class is not in the mask; the message says why.
    """
    method, _, number = name.partition("-")
    class_name = spec.classes[int(number)]
    values = {"dataset_dir": [str(image)], "output_dir": str(folder), "classes": [class_name], "methods": [method]}
    run_bundle(find_bundle(choice.bundle), "explain", values | ({"weights": choice.weights} if choice.weights else {}))
    row = next(iter(read_records(folder / TABLE_FILE)), {})
    if not row.get("map"):
        raise ValueError(row.get("note") or "no map was made")
    file = folder / row["map"]
    if is_volume(file):
        return read_volume(file).array[None]
    stored = read_stored(file)
    shares: Map = stored / np.float32(np.iinfo(stored.dtype).max)
    return shares[None]
