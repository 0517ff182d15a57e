"""Which image to label next: the one that the current model is least certain of."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy

from medseg_monai.label.choice import UNUSABLE, key, most_uncertain
from medseg_monai.label.server.segment import Segment, image_uncertainty

logger = logging.getLogger(__name__)

AT_ONCE = 50
"""At most this many images are segmented per request; the others keep the number from earlier weights, or wait."""


class Uncertainty(ScoringMethod):  # type: ignore[misc]  # MONAI Label has no types
    """Store the model's uncertainty about every unlabelled image."""

    def __init__(self, name: str, model: Segment) -> None:
        super().__init__(f"Uncertainty of {name} about each unlabelled image")
        self.name = name
        self.model = model

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Number of images that were segmented."""
        begin, images = time.monotonic(), datastore.get_unlabeled_images()
        limit = int(request.get("max_samples") or len(images))
        done = note_uncertainty(self.name, self.model, images, datastore, limit=limit)
        return {"total": len(images), "executed": done, "latency": round(time.monotonic() - begin, 3)}


class MostUncertain(Strategy):  # type: ignore[misc]
    """The unlabelled image that the model is least certain of; among equals the one offered longest ago."""

    def __init__(self, name: str, model: Segment) -> None:
        super().__init__(f"The image that {name} is least certain of")
        self.name = name
        self.model = model

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """The image, with its number (None if it has not been segmented yet); None if all are labelled."""
        images = datastore.get_unlabeled_images(request.get("label_tag"), request.get("labels"))
        if not images:
            return None
        note_uncertainty(self.name, self.model, images, datastore, limit=int(request.get("max_samples") or AT_ONCE))
        chosen = most_uncertain(
            {image: datastore.get_image_info(image) for image in images}, self.name, request["strategy"]
        )
        return {"id": chosen, "uncertainty": datastore.get_image_info(chosen).get(key(self.name))}


def note_uncertainty(name: str, model: Segment, images: Sequence[str], datastore: Any, *, limit: int) -> int:
    """Segment images whose number is missing or from other weights, at most `limit`; return how many."""
    weights = model.weights.stat().st_mtime_ns
    stale = [image for image in images if datastore.get_image_info(image).get(key(name, "weights")) != weights]
    # images without a number come before those with a number from earlier weights
    stale.sort(key=lambda image: (key(name) in datastore.get_image_info(image), image))
    for image in stale[:limit]:
        try:
            number = round(image_uncertainty(model, datastore.get_image_uri(image)), 4)
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be used: %s", image, error)
            number = UNUSABLE
        datastore.update_image_info(image, {key(name): number, key(name, "weights"): weights})
    return len(stale[:limit])
