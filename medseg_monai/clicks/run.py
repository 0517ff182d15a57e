"""One image segmented, corrected and written, as `medseg correct` does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medseg_monai.clicks.click import Box, Click
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.writing import HIDDEN_FOLDER
from medseg_monai.inference.cases import find_cases
from medseg_monai.outputs.naming import Wanted, chosen_formats
from medseg_monai.outputs.predictions import WRITERS
from medseg_monai.outputs.tables import keep_entries
from medseg_monai.predictor import Prediction, Predictor


@dataclass(frozen=True)
class CorrectedImage:
    """What was written.

    Attributes:
        files: masks, and an overlay if one was wanted.
        changed: pixels or voxels that differ from the network's mask.
        spec: what the weights were trained for.
        found: the corrected mask; its `original` is the network's.
    """

    files: list[Path]
    changed: int
    spec: DatasetSpec
    found: Prediction


def correct_image(
    bundle: str | Path,
    image: Path,
    out: Path,
    *,
    clicks: Sequence[Click],
    box: Box | None = None,
    weights: str | None = None,
    formats: str | None = None,
    overlay: bool = False,
    **options: Any,
) -> CorrectedImage:
    """Segment an image, correct the mask and write it under the names that `medseg predict` gives its files.

    Args:
        bundle: its name or folder.
        image: a photograph or volume.
        out: folder to write to; created.
        clicks: as for `Prediction.correct`.
        box: likewise.
        weights: as for `medseg predict`.
        formats: as for `medseg predict`.
        overlay: also draw the outline on the image.
        options: any key of inference.json.

    Raises:
        FileExistsError: `medseg predict` wrote to `out`: its tables would no longer be those of its masks.
        ValueError: the image is unusable, or a click or the box is wrong.
    """
    if (out / HIDDEN_FOLDER).exists():
        raise FileExistsError(
            f"{out}/ holds the masks and tables of medseg predict, which would no longer agree: name another folder with --out"
        )
    predictor = Predictor(bundle, weights=weights, **options)
    cases = find_cases(image, spec=predictor.spec)
    if len(cases) > 1:
        raise ValueError(f"{image}: {len(cases)} images; clicks are about one: name it")
    wanted = Wanted(formats=chosen_formats(formats, predictor.spec), overlays=overlay)
    found = predictor(cases[0]["image"])
    corrected = found.correct(clicks, box=box)
    files = _write(corrected, cases[0], out, predictor.spec, wanted)
    return CorrectedImage(files, int((corrected.mask != found.mask).sum()), predictor.spec, corrected)


def _write(found: Prediction, case: Mapping[str, Any], out: Path, spec: DatasetSpec, wanted: Wanted) -> list[Path]:
    pred = found.grid.kind.as_shown(found.mask if spec.task == "multilabel" else found.mask[None])
    answer = {"pred": torch.from_numpy(np.ascontiguousarray(pred))}
    out.mkdir(parents=True, exist_ok=True)
    writer = WRITERS[spec.spatial_dims](out, spec, wanted)
    written = writer.write({"id": case["id"], **found.as_case(case["image"])}, answer)
    keep_entries(case["id"], written.entries, out, spec)
    return written.files
