"""What prediction writes for a volume: the label map on the scan's own grid, its volumes in ml, and, if wanted, more."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.figures.axial import fullest_slice, to_axial, with_square_pixels
from medseg_monai.figures.drawing import Picture, as_masks, as_picture, draw_masks, enlarge
from medseg_monai.files.csv_tables import csv_rows, csv_text
from medseg_monai.files.writing import write_whole
from medseg_monai.grids import volume_grid_of
from medseg_monai.grids.geometry import Geometry
from medseg_monai.images import nifti
from medseg_monai.images.volumes import (
    nifti_on_grid,
    read_image_volume,
    read_volume_header,
    write_label_volume,
)
from medseg_monai.outputs.naming import VOLUMES, mask_files, overlay_file, probability_files, uncertainty_file

TABLE_FILE = "volumes.csv"
OVERLAY_PIXELS = 768
"""Smaller slices are enlarged by a whole factor up to this, so that outlines are fine."""
COLUMNS = ("case", "class", "ml", "voxels")


class VolumeWriter:
    """Writes the outputs of volumes, one case at a time.

    Args:
        folder: where to; the files lie at the case's id.
        spec: the data set.
        probabilities: also write ``<id>_probability….nii.gz``, 8 bits, scaled by the header to 0..1.
        overlays: also draw ``<id>_overlay.jpg``.
        uncertainty: also write ``<id>_uncertainty.nii.gz``, like the probabilities.
        ending: of label maps; by default that of the scan's own format.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        spec: DatasetSpec,
        probabilities: bool = False,
        overlays: bool = False,
        uncertainty: bool = False,
        ending: str | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.spec = spec
        self.probabilities = probabilities
        self.overlays = overlays
        self.uncertainty = uncertainty
        self.ending = ending

    def write(self, case: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Path]:
        """Write one case's files and return them. The masks come last: where they are, everything is.

        Args:
            case: ``id`` and ``image_meta_dict``.
            answer: ``pred``, uint8 (1, I, J, K) of class numbers or (classes, I, J, K), on the scan's own grid, and ``probability``
                (channels, I, J, K) and ``uncertainty_map`` (1, I, J, K) where those are wanted.
        """
        meta = case["image_meta_dict"]
        geometry, image = volume_grid_of(meta, self.spec).geometry, str(meta["filename_or_obj"])
        stem = self.folder / case["id"]
        mask: NDArray[np.uint8] = answer["pred"].cpu().numpy()
        files: list[Path] = []
        if self.probabilities:
            files += _write_shares(answer["probability"], geometry, image, probability_files(stem, self.spec))
        if self.uncertainty:
            files += _write_shares(answer["uncertainty_map"], geometry, image, [uncertainty_file(stem, self.spec)])
        if self.overlays:
            files.append(_write_overlay(image, mask, self.spec, geometry, overlay_file(stem)))
        add_volumes(self.folder / TABLE_FILE, str(case["id"]), organ_volumes(mask, self.spec, geometry))
        names = [[name] for name in self.spec.classes] if self.spec.task == "multilabel" else [list(self.spec.classes)]
        masks = mask_files(stem, self.spec, self.ending or VOLUMES.endings((), image)[0])
        return files + [
            write_label_volume(plane, geometry, file, classes, like=image)
            for plane, file, classes in zip(mask, masks, names, strict=True)
        ]


def _write_shares(maps: Any, geometry: Geometry, image: str, files: Sequence[Path]) -> Sequence[Path]:
    """The last of the maps (channels, I, J, K) of 0..1, a file each; of exclusive classes the first is the background's."""
    like = nifti_on_grid(image, geometry)
    for plane, file in zip(maps[-len(files) :], files, strict=True):
        # one class at a time: floats of a whole CT are large
        levels = np.rint(plane.float().cpu().numpy() * 255).astype(np.uint8)
        nifti.write_shares(levels, geometry, file, like=like)
    return files


def organ_volumes(mask: NDArray[np.uint8], spec: DatasetSpec, geometry: Geometry) -> list[tuple[str, float, int]]:
    """(class, ml, voxels) of each class of a mask as in `VolumeWriter.write`; 1 ml = 1000 mm³."""
    if spec.task == "multilabel":
        counts = [int(np.count_nonzero(plane)) for plane in mask]
    else:
        counts = np.bincount(mask.ravel(), minlength=len(spec.classes) + 1)[1:].tolist()
    return [(name, count * geometry.voxel_ml, count) for name, count in zip(spec.classes, counts, strict=True)]


def add_volumes(file: Path, case_id: str, rows: Sequence[tuple[str, float, int]]) -> None:
    """Put a case's rows into the table, in the place of older ones of that case; the file is replaced whole."""
    kept: list[Sequence[object]] = []
    if file.is_file():
        kept = [row for row in csv_rows(file.read_text(encoding="utf-8"))[1:] if row[0] != case_id]
    added = [(case_id, name, f"{ml:.4f}", voxels) for name, ml, voxels in rows]
    write_whole(file, csv_text([COLUMNS, *kept, *added]).encode())


def _write_overlay(image: str, mask: NDArray[np.uint8], spec: DatasetSpec, geometry: Geometry, file: Path) -> Path:
    """`drawn_slice` as a JPEG."""
    picture = drawn_slice(image, mask, spec, geometry, longest=OVERLAY_PIXELS)
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="JPEG", quality=90)
    write_whole(file, content.getvalue())
    return file


def drawn_slice(image: str, mask: NDArray[np.uint8], spec: DatasetSpec, geometry: Geometry, *, longest: int) -> Picture:
    """The axial slice with most of the mask, radiological, with the outline of each class.

    A small one is enlarged by a whole factor, as long as no side is longer than `longest` pixels.
    """
    turned, sides = to_axial(mask, geometry.affine)
    index = fullest_slice(turned > 0)
    channels = read_image_volume(image, read_volume_header(image).channels).array
    grey, _ = to_axial(channels[0], geometry.affine)
    shades = grey[..., index]
    if spec.intensity.kind == "window":
        shades = np.clip(shades, *spec.intensity.bounds)
    picture = as_picture(shades)
    masks = as_masks(class_masks(turned[..., index], len(spec.classes)), picture)
    picture, shown = with_square_pixels(picture, masks, (sides[0], sides[1]))
    picture, shown = enlarge(picture, shown, longest=longest)
    draw_masks(picture, shown)
    return picture
