"""A bundle's inference.json as a model of MONAI Label: the masks of `medseg predict`, as one map of exact class numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from monai.transforms.transform import Transform
from monailabel.tasks.infer.bundle import BundleInferTask
from torch import Tensor, nn

from medseg_monai.bundle.literals import literal
from medseg_monai.bundle.trained import WEIGHTS_FILE, Trained, load_weights
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.state import FileState, state_of
from medseg_monai.label.labels import check_number_type, label_map, mask_extension, outlines

# one image at a time, always in the same thread: MONAI Label's tasks change sys.path and the bundle's config as they run
ALONE = ThreadPoolExecutor(max_workers=1, thread_name_prefix="segment")


class Segment(BundleInferTask):  # type: ignore[misc]  # MONAI Label has no types
    """A model of the server.

    Labels are numbered like the classes (1, 2 …, 0 is background). The answer's ``params`` contain ``uncertainty``, the model's
    uncertainty about what it found, from 0 to 1; ``predicted_dice`` for each class's mask (empty if nothing was learnt); ``flagged``,
    whether a person should look at the mask (null if no threshold was learnt); and the ``reason`` in words.

    Args:
        bundle: the bundle's folder with its weights.
        conf: the server's settings.
    """

    def __init__(self, bundle: Path, conf: Mapping[str, str]) -> None:
        super().__init__(str(bundle), conf, add_post_restore=False, load_strict=True)
        self._config["model_filename"] = [WEIGHTS_FILE]  # other files beside it are not weights to infer with
        self.spec = Trained.read(bundle / "models").dataset
        self.checked: FileState | None = None
        self.weights = bundle / "models" / WEIGHTS_FILE
        self.inferers: dict[str, Inferer] = {}
        self.labels = {name: number for number, name in enumerate(self.spec.classes, start=1)}

    def __call__(self, request: Mapping[str, Any], callbacks: Mapping[Any, Any] | None = None) -> Any:
        """Segment an image; several requests are handled one after another."""
        return ALONE.submit(super().__call__, request, callbacks).result()

    def post_transforms(self, data: Mapping[str, Any] | None = None) -> Sequence[Callable[..., Any]]:
        """The bundle's transforms, which also measure uncertainty, and the conversion to the single map that clients show."""
        return [*super().post_transforms(data), AsLabelMap(self.spec)]

    def inferer(self, data: Mapping[str, Any]) -> Inferer:
        """The bundle's inferer, built once per device: what it prepares on the first image is used for all later ones."""
        device = str(data.get("device"))
        if device not in self.inferers:
            self.inferers[device] = super().inferer(data)
        return self.inferers[device]

    def writer(
        self, data: dict[str, Any], extension: str | None = None, dtype: str | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """The mask's file, and the other fields of the answer."""
        if data.get(
            "annotations"
        ):  # for tools that use polygons, such as CVAT's detector, and for those that request only JSON
            return None, {**sureness(data), **outlines(data["pred"], self.spec)}
        wanted = data.get("result_extension") or extension or "".join(Path(data["image_path"]).suffixes[-2:])
        ending = mask_extension(wanted, self.spec)
        check_number_type(ending, data.get("result_dtype") or "uint8")
        file, result = super().writer(data, ending, dtype)
        return file, {**result, **sureness(data)}

    def _load_bundle_config(self, path: str, config: str) -> Any:
        """The config, with the bundle's folder as a literal: a ``$`` in it is not code."""
        loaded = super()._load_bundle_config(path, config)
        loaded.config["bundle_root"] = literal(path)
        return loaded

    def _get_network(self, device: str, data: Mapping[str, Any]) -> nn.Module:
        """The network with the current weights, which are checked as in `medseg predict`: MONAI Label does not check them.

        Raises:
            FileNotFoundError: there are none: MONAI Label itself would then answer with an untrained network.
            ValueError: they are damaged or not finite.
        """
        if not self.weights.is_file():
            raise FileNotFoundError(f"{self.weights} is missing: restart the server")
        if self.checked != (stamp := state_of(self.weights)):
            load_weights(Trained.read(self.weights.parent).build_network(), self.weights)
            self.checked = stamp
        network: nn.Module = super()._get_network(device, data)
        return network


def sureness(data: Mapping[str, Any]) -> dict[str, Any]:
    """The answer's fields about how far a mask can be trusted."""
    uncertainty = round(float(data["uncertainty"]), 4)
    predicted = {name: round(dice, 4) for name, dice in data.get("predicted_dice", {}).items()}
    said = {"flagged": data.get("flagged"), "reason": data.get("reason", "")}
    return {"uncertainty": uncertainty, "predicted_dice": predicted, **said}


class AsLabelMap(Transform):
    """Masks under ``pred`` as the single map that MONAI Label writes: numpy uint8 of class numbers, (W, H) or (I, J, K).

    If classes overlap, the later one is shown: clients have one number per pixel.
    """

    def __init__(self, spec: DatasetSpec) -> None:
        self.spec = spec

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """(1, …) of class numbers or (classes, …) of {0, 1} to one map."""
        case = dict(data)
        pred = case["pred"]
        case["pred_meta_dict"] = case["image_meta_dict"]  # where MONAI Label's writer looks for the scan's grid
        case["pred"] = label_map(pred.cpu().numpy() if isinstance(pred, Tensor) else np.asarray(pred), self.spec)
        return case


def image_uncertainty(model: Segment, image: str) -> float:
    """The model's uncertainty about an image, 0 to 1.

    Raises:
        OSError, ValueError: the image cannot be read.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    _, data = model({"image": image, "device": device, "skip_writer": True, "logging": "WARNING"})
    return float(data["uncertainty"])
