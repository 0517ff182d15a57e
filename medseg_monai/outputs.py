"""What prediction writes for a case: mask, probabilities, overlay; each file whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Events
from monai.engines.workflow import Workflow
from numpy.typing import NDArray
from PIL import Image

from medseg_monai.cases import main_file
from medseg_monai.dataset import DatasetSpec
from medseg_monai.drawing import overlay
from medseg_monai.files import write_whole
from medseg_monai.masks import class_file, mask_files, write_mask, write_png
from medseg_monai.metrics import class_masks
from medseg_monai.readers import read_image
from medseg_monai.volume_outputs import VolumeWriter, volume_files

MASK, PROBABILITY, OVERLAY = "_mask", "_probability", "_overlay"


def output_files(
    case_id: str,
    spec: DatasetSpec,
    folder: str | Path,
    *,
    image: str = "",
    probabilities: bool = False,
    overlays: bool = False,
) -> list[Path]:
    """The files that a case's prediction consists of.

    ``<id>_mask.png``, or ``<id>_mask_<class>.png`` for each of several overlapping classes; ``<id>_probability.png`` likewise, one per
    channel of the network where there are several; ``<id>_overlay.jpg``. Of volumes, `volume_outputs.volume_files`; their format
    depends on that of the `image`.

    Raises:
        ValueError: the id leads out of ``folder``.
    """
    stem = Path(folder) / case_id
    if not stem.resolve().is_relative_to(Path(folder).resolve()):
        raise ValueError(f"case id {case_id!r} leads out of the output folder {folder}")
    if spec.spatial_dims == 3:
        return volume_files(stem, spec, image, probabilities=probabilities, overlays=overlays)
    files = mask_files(stem.with_name(f"{stem.name}{MASK}.png"), spec)
    files += probability_files(stem, spec) if probabilities else []
    return files + ([overlay_file(stem)] if overlays else [])


def probability_files(stem: Path, spec: DatasetSpec) -> list[Path]:
    """One 8-bit PNG per foreground class; without the class in its name where there is only one."""
    file = stem.with_name(f"{stem.name}{PROBABILITY}.png")
    return [file] if len(spec.classes) == 1 else [class_file(file, name) for name in spec.classes]


def overlay_file(stem: Path) -> Path:
    """The picture with outlines."""
    return stem.with_name(f"{stem.name}{OVERLAY}.jpg")


def unfinished(
    cases: Iterable[Mapping[str, Any]], spec: DatasetSpec, folder: str | Path, *, overwrite: bool, **wanted: bool
) -> list[Mapping[str, Any]]:
    """The cases that still lack a file of their output; all of them if ``overwrite``."""
    return [
        case
        for case in cases
        if overwrite
        or not all(
            file.is_file()
            for file in output_files(case["id"], spec, folder, image=main_file(case.get("image", "")), **wanted)
        )
    ]


class WritePredictions:
    """Ignite handler: write each case's outputs as soon as its batch is done.

    Expects decollated output with ``pred``, the mask on the image's own grid, and ``probability`` where those are wanted.
    """

    def __init__(
        self, folder: str | Path, *, spec: DatasetSpec, probabilities: bool = False, overlays: bool = False
    ) -> None:
        self.folder = Path(folder)
        self.spec = spec
        self.probabilities = probabilities
        self.overlays = overlays

    def attach(self, engine: Workflow) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Workflow) -> None:
        """Write the outputs of the batch just done."""
        for case, answer in zip(engine.state.batch, engine.state.output, strict=True):
            self.write(case, answer)

    def write(self, case: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Path]:
        """Write one case's files and return them. The mask comes last: where it is, everything is."""
        if self.spec.spatial_dims == 3:
            options = {"probabilities": self.probabilities, "overlays": self.overlays}
            return VolumeWriter(self.folder, spec=self.spec, **options).write(case, answer)
        stem = self.folder / case["id"]
        mask = answer["pred"].cpu().numpy()
        files: list[Path] = []
        if self.probabilities:
            maps = answer["probability"].float().cpu().numpy()[-len(self.spec.classes) :]
            levels = np.rint(maps * 255).astype(np.uint8)
            files += [
                write_png(level, file) for level, file in zip(levels, probability_files(stem, self.spec), strict=True)
            ]
        if self.overlays:
            files.append(self._write_overlay(case["image_meta_dict"]["filename_or_obj"], mask, overlay_file(stem)))
        return files + write_mask(mask, stem.with_name(f"{stem.name}{MASK}.png"), self.spec)

    def _write_overlay(self, image: str, mask: NDArray[np.uint8], file: Path) -> Path:
        """The image with the outline of each class, as a JPEG of the image's own size."""
        picture = overlay(read_image(image, self.spec.in_channels), class_masks(mask, len(self.spec.classes)))
        content = io.BytesIO()
        Image.fromarray(picture).save(content, format="JPEG", quality=90)
        write_whole(file, content.getvalue())
        return file
