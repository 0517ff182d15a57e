"""The outputs for a photograph: masks in the requested formats and, if requested, probabilities, uncertainty and an overlay."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.figures.drawing import overlay
from medseg_monai.files.writing import write_whole
from medseg_monai.formats.geojson import SUFFIX as GEOJSON_SUFFIX
from medseg_monai.formats.geojson import write_geojson
from medseg_monai.images.masks import write_mask, write_png
from medseg_monai.images.photos import read_image
from medseg_monai.outputs.naming import (
    MASK,
    Wanted,
    Written,
    image_of,
    margin_files,
    named,
    overlay_file,
    probability_files,
    uncertainty_file,
)
from medseg_monai.outputs.pictures import picture_file, write_picture
from medseg_monai.outputs.tables import coco_of, rle_rows


class PhotoWriter:
    """Writes the outputs of photographs, one case at a time.

    Args:
        folder: output folder; the files are named after the case's id.
        spec: the data set.
        wanted: what is written beside the tables.
    """

    def __init__(self, folder: str | Path, spec: DatasetSpec, wanted: Wanted) -> None:
        self.folder = Path(folder)
        self.spec = spec
        self.wanted = wanted

    def write(self, case: Mapping[str, Any], answer: Mapping[str, Any]) -> Written:
        """Write one case's files. The masks come last: if they exist, everything does.

        Args:
            case: ``id`` and ``image_meta_dict``.
            answer: ``pred``, uint8 (1, W, H) of class numbers or (classes, W, H), on the photograph's own grid, and ``probability``
                (channels, W, H) and ``uncertainty_map`` (1, W, H) if these are requested.
        """
        stem, image = self.folder / case["id"], image_of(case)
        mask: NDArray[np.uint8] = answer["pred"].cpu().numpy()
        files: list[Path] = []
        if self.wanted.probabilities:
            levels = _levels(answer["probability"])[-len(self.spec.classes) :]
            there = probability_files(stem, self.spec)
            files += [write_png(level, file) for level, file in zip(levels, there, strict=True)]
        if self.wanted.uncertainty:
            files.append(write_png(_levels(answer["uncertainty_map"])[0], uncertainty_file(stem, self.spec)))
        if self.wanted.margins is not None:
            masks = self.wanted.margins.masks(answer["probability"].float().cpu().numpy())
            there = margin_files(stem, self.spec)
            files += [write_png(np.uint8(255) * plane, file) for plane, file in zip(masks, there, strict=True)]
        if self.wanted.overlays:
            files.append(self._write_overlay(image, mask, overlay_file(stem)))
        files += self._write_formats(case["id"], mask)
        return Written(files, self.entries(case["id"], mask, image))

    def _write_formats(self, case_id: str, mask: NDArray[np.uint8]) -> list[Path]:
        """Write the mask in each of the formats with one file per case."""
        stem = self.folder / case_id
        files: list[Path] = []
        if "geojson" in self.wanted.formats:
            files.append(write_geojson(mask, named(stem, MASK, GEOJSON_SUFFIX), self.spec))
        if "png" in self.wanted.formats:
            files += write_mask(mask, named(stem, MASK, ".png"), self.spec)
        return files

    def entries(self, case_id: str, mask: NDArray[np.uint8], image: str) -> dict[str, Any]:
        """The mask's entries for the formats with one file for all cases, by table."""
        entries: dict[str, Any] = {}
        if "rle" in self.wanted.formats:
            entries["rle"] = rle_rows(case_id, mask, self.spec)
        if "coco" in self.wanted.formats:
            entries["coco"] = coco_of(mask, self.spec, image)
        return entries

    def rewrite(self, case_id: str, mask: NDArray[np.uint8], image: str) -> None:
        """Replace the old mask in files and pictures by a changed one."""
        drawn = overlay_file(self.folder / case_id)
        if drawn.is_file():
            self._write_overlay(image, mask, drawn)
        if picture_file(self.folder, case_id).is_file():
            write_picture(self.folder, case_id, image, mask, self.spec)
        self._write_formats(case_id, mask)

    def draw_small(self, case: Mapping[str, Any], mask: NDArray[np.uint8]) -> None:
        """Make the small picture for a run's page."""
        write_picture(self.folder, case["id"], image_of(case), mask, self.spec)

    def _write_overlay(self, image: str, mask: NDArray[np.uint8], file: Path) -> Path:
        """The image with the outline of each class, as a JPEG of the image's own size."""
        # one file as a picture, whatever it is a channel of
        picture = overlay(read_image(image, 3), class_masks(mask, len(self.spec.classes)))
        content = io.BytesIO()
        Image.fromarray(picture).save(content, format="JPEG", quality=90)
        write_whole(file, content.getvalue())
        return file


def _levels(maps: Any) -> NDArray[np.uint8]:
    """Maps of 0..1 as 8-bit grey."""
    values: NDArray[np.float32] = maps.float().cpu().numpy()
    return np.rint(values * 255).astype(np.uint8)
