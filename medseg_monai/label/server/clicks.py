"""A bundle's masks corrected by clicks, as the interactive kind of model that clients list under *Smart Edit*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferType
from monailabel.tasks.infer.bundle import BundleInferTask

from medseg_monai.files.state import state_of
from medseg_monai.label.points import clicks_of
from medseg_monai.label.server.segment import ALONE, AsLabelMap, Segment
from medseg_monai.predictor import Prediction, prediction_of

SUFFIX = "_clicks"
"""What the name of a bundle's interactive model ends with."""
IMAGES = 2
"""Number of images whose answers are kept: those that annotators are working on."""


class SegmentByClicks(Segment):
    """A model of the server whose requests say which pixels are right and wrong.

    The network runs once per image; further requests for the same file correct its mask, always all clicks at once, so that fewer clicks
    undo. If `label` names one of several classes, the answer has this class alone, since clients put it into that segment.

    Args:
        bundle: the bundle's folder with its weights.
        conf: the server's settings.
    """

    def __init__(self, bundle: Path, conf: Mapping[str, str]) -> None:
        super().__init__(bundle, conf)
        self.type = InferType.DEEPGROW
        self.description = "The bundle's mask, corrected by clicks"
        self.found: dict[Any, tuple[Prediction, dict[Any, Any]]] = {}

    def __call__(self, request: Mapping[str, Any], callbacks: Mapping[Any, Any] | None = None) -> Any:
        """Correct an image's mask; several requests are handled one after another."""
        return ALONE.submit(self._corrected, request).result()

    def post_transforms(self, data: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """The bundle's transforms: the label map is made after the correction."""
        return list(BundleInferTask.post_transforms(self, data))

    def _corrected(self, request: Mapping[str, Any]) -> Any:
        found, data = self._network_answer(request)
        said = {name: request.get(name) or [] for name in ("foreground", "background")}
        label = request.get("label") or ""
        clicks = clicks_of(self.spec, **said, by_class=request.get("by_class"), label=label)
        answer = found.correct(clicks) if clicks else found
        pred = answer.grid.kind.as_shown(answer.mask if self.spec.task == "multilabel" else answer.mask[None])
        case: dict[Any, Any] = AsLabelMap(self.spec)({**data, "pred": pred})
        if len(self.spec.classes) > 1 and label in self.labels:
            case["pred"] = np.where(case["pred"] == self.labels[label], case["pred"], 0).astype(np.uint8)
        if clicks:
            case.update(flagged=None, reason="", predicted_dice={})
        if request.get("skip_writer"):
            return None, case
        file, result = self.writer({**case, **request, "image_path": request["image"]})
        return file, {**result, "label_names": self.labels, "clicks": len(clicks)}

    def _network_answer(self, request: Mapping[str, Any]) -> tuple[Prediction, dict[Any, Any]]:
        """What the network finds in the image: computed once for the same file, weights and device."""
        file = Path(request["image"])
        key = (str(file), state_of(file), state_of(self.weights), request.get("device"))
        if key not in self.found:
            _, data = BundleInferTask.__call__(self, {**request, "skip_writer": True})
            while len(self.found) >= IMAGES:
                del self.found[next(iter(self.found))]
            kept = {name: data.get(name) for name in ("image_meta_dict", *ABOUT_THE_MASK)}
            self.found[key] = prediction_of(data, data, self.spec), kept
        return self.found[key]

    def _load_bundle_config(self, path: str, config: str) -> Any:
        """The config with probabilities, which a correction needs."""
        loaded = super()._load_bundle_config(path, config)
        loaded.config["probabilities"] = True
        return loaded


ABOUT_THE_MASK = ("uncertainty", "predicted_dice", "flagged", "reason")
