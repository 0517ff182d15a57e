"""From a folder of images to what has changed in them: `medseg drift`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg_monai.bundle.paths import find_weights
from medseg_monai.bundle.trained import Trained
from medseg_monai.figures.cases import save_figure
from medseg_monai.figures.drift import draw_drift
from medseg_monai.files.writing import write_whole
from medseg_monai.inference.cases import UNUSABLE, find_cases
from medseg_monai.predictor import Predictor
from medseg_monai.quality.drift import Drift, find_drift
from medseg_monai.quality.usual import answer_numbers

logger = logging.getLogger(__name__)

RESULT_FILE, PICTURE_FILE = "drift.json", "drift.png"


@dataclass(frozen=True)
class Compared:
    """What came of it.

    Attributes:
        drift: what has changed.
        left_out: images that could not be used, and why.
    """

    drift: Drift
    left_out: Mapping[str, str]


def compare_images(
    bundle_root: Path,
    sources: Sequence[str | Path],
    folder: Path,
    *,
    weights: str | Path | None = None,
    false_alarms: float,
    least_shift: float,
    progress: Callable[[Sequence[Any]], Iterable[Any]] | None = None,
    assignments: Mapping[str, Any] | None = None,
    **options: Any,
) -> Compared:
    """Predict images, compare them with what was learnt of the weights, and write ``drift.json`` and ``drift.png``.

    Args:
        bundle_root: the bundle's folder.
        sources: images, or folders of them.
        folder: where to write.
        weights: as `medseg_monai.bundle.paths.find_weights` takes them.
        false_alarms, least_shift: see `find_drift`.
        progress: shows how far it is.
        assignments, options: as `Predictor` takes them.

    Raises:
        ValueError: too few images, or nothing was learnt (`medseg review`).
    """
    file = find_weights(bundle_root, weights)
    trained = Trained.read(file.parent)
    usual = None if trained.quality is None else trained.quality.usual
    if trained.familiarity is None and usual is None:
        raise ValueError(f"{file.parent / 'spec.json'} says nothing of what is usual: run medseg review first")
    predict = Predictor(bundle_root, weights=file, assignments=assignments, **options)
    cases = find_cases([Path(source) for source in sources], leave_out=folder, spec=predict.spec)
    images, descriptions, answers = [], [], []
    left_out: dict[str, str] = {}
    for case in progress(cases) if progress else cases:
        try:
            found = predict(case["image"])
        except UNUSABLE as error:
            left_out[case["image"]] = str(error)
            logger.warning("left out: %s", error)
            continue
        images.append(case["image"])
        descriptions.append(found.description)
        answers.append(answer_numbers(found.uncertainty, found.predicted_dice, found.sizes()))
    drift = find_drift(
        descriptions,
        answers,
        trained.familiarity,
        usual,
        channels=predict.spec.channels,
        false_alarms=false_alarms,
        least_shift=least_shift,
    )
    content = {
        "bundle": bundle_root.resolve().name,
        "weights": str(file),
        "trained on": trained.dataset.name,
        **drift.to_dict(),
        "left_out": left_out,
    }
    write_whole(folder / RESULT_FILE, (json.dumps(content, indent=2) + "\n").encode())
    strangest = _strangest(images, descriptions, trained) if trained.familiarity is not None else []
    save_figure(draw_drift(drift, strangest, name=trained.dataset.name), folder / PICTURE_FILE)
    return Compared(drift, left_out)


def _strangest(images: Sequence[str], descriptions: Sequence[Any], trained: Trained) -> list[str]:
    """The images, the most unusual first; none for volumes, of which there is no small picture."""
    known = trained.familiarity
    if known is None or trained.dataset.spatial_dims != 2:
        return []
    unusual = {image: known.unusualness(one) for image, one in zip(images, descriptions, strict=True)}
    return sorted(unusual, key=lambda image: -unusual[image])
