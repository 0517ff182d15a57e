"""The outputs for a photograph: masks in the requested formats and, if requested, probabilities, uncertainty and an overlay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.figures.drawing import Picture, overlay
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
from medseg_monai.outputs.pictures import picture_file, write_overlay, write_picture
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
            files += [
                write_png(np.uint8(255) * plane, file, even=True) for plane, file in zip(masks, there, strict=True)
            ]
        if self.wanted.overlays:
            files.append(write_overlay(self.drawn(case, mask, self.spec), overlay_file(stem)))
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
            write_overlay(_drawn(image, mask, self.spec), drawn)
        if picture_file(self.folder, case_id).is_file():
            write_picture(self.folder, case_id, image, mask, self.spec)
        self._write_formats(case_id, mask)

    def draw_small(self, case: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Make the small picture for a run's page; arguments as for `write`, with ``margin_levels`` if they are known."""
        mask, levels = answer["pred"].cpu().numpy(), answer.get("margin_levels")
        write_picture(self.folder, case["id"], image_of(case), mask, self.spec, margin_levels=levels)

    @staticmethod
    def drawn(case: Mapping[str, Any], mask: NDArray[np.uint8], spec: DatasetSpec) -> Picture:
        """The image with the outline of each class, of the image's own size."""
        return _drawn(image_of(case), mask, spec)

    @staticmethod
    def save_probabilities(
        case: Mapping[str, Any], maps: NDArray[np.floating[Any]], files: Sequence[Path], spec: DatasetSpec
    ) -> list[Path]:
        """Write the probabilities of each class, (classes, W, H) on the photograph's own grid, to the files of `probability_files`.

        `case` and `spec` are not used: a picture says nothing of the photograph.
        """
        return [write_png(np.rint(plane * 255).astype(np.uint8), file) for plane, file in zip(maps, files, strict=True)]

    @staticmethod
    def save(
        case: Mapping[str, Any],
        mask: NDArray[np.uint8],
        file: Path,
        spec: DatasetSpec,
        *,
        predicted_dice: Mapping[str, float] | None = None,
        reason: str = "",
    ) -> list[Path]:
        """Write one photograph's mask, (1 or classes, W, H), to a file of any name; the suffix decides the format.

        Args:
            case: not used: a picture's mask says nothing of the picture.
            mask: on the photograph's own grid.
            file: where to.
            spec: the data set.
            predicted_dice, reason: not used: these formats have no place for them.

        Returns:
            The file, or one ``<stem>_<class>`` per overlapping class.

        Raises:
            ValueError: the suffix is none of those that masks of photographs have.
        """
        if file.suffix.lower() == GEOJSON_SUFFIX:
            return [write_geojson(mask, file, spec)]
        if file.suffix.lower() != ".png":
            raise ValueError(f"{file}: the mask of a photograph is saved as .png or {GEOJSON_SUFFIX}")
        return write_mask(mask, file, spec)


def _drawn(image: str, mask: NDArray[np.uint8], spec: DatasetSpec) -> Picture:
    # one file as a picture, whatever it is a channel of
    return overlay(read_image(image, 3), class_masks(mask, len(spec.classes)))


def _levels(maps: Any) -> NDArray[np.uint8]:
    """Maps of 0..1 as 8-bit grey."""
    values: NDArray[np.float32] = maps.float().cpu().numpy()
    return np.rint(values * 255).astype(np.uint8)
