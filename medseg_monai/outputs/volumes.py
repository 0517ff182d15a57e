"""The outputs for a volume: the label map on the scan's own grid, its volumes in ml and, if requested, more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.figures.drawing import Picture
from medseg_monai.formats.dicom_seg import SUFFIX as DICOM_SEG_SUFFIX
from medseg_monai.formats.dicom_seg import write_dicom_seg
from medseg_monai.grids import volume_grid_of
from medseg_monai.grids.geometry import Geometry
from medseg_monai.images import nifti
from medseg_monai.images.label_volumes import nifti_on_grid, write_label_volume
from medseg_monai.images.volumes import volume_suffix
from medseg_monai.outputs.naming import (
    MASK,
    VOLUMES,
    Wanted,
    Written,
    files_per_class,
    image_of,
    margin_files,
    mask_files,
    named,
    overlay_file,
    probability_files,
    uncertainty_file,
)
from medseg_monai.outputs.pictures import drawn_slice, write_overlay, write_volume_picture
from medseg_monai.outputs.tables import volume_rows
from medseg_monai.quality.conformal import Margins

OVERLAY_PIXELS = 768
"""Smaller slices are enlarged by a whole factor up to this, so that outlines are fine."""


class VolumeWriter:
    """Writes the outputs of volumes, one case at a time.

    Args:
        folder: where to; the files lie at the case's id.
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
            answer: ``pred``, uint8 (1, I, J, K) of class numbers or (classes, I, J, K), on the scan's own grid, and ``probability``
                (channels, I, J, K) and ``uncertainty_map`` (1, I, J, K) if these are requested.
        """
        meta = case["image_meta_dict"]
        geometry, image = volume_grid_of(meta, self.spec).geometry, str(meta["filename_or_obj"])
        stem = self.folder / case["id"]
        mask: NDArray[np.uint8] = answer["pred"].cpu().numpy()
        files: list[Path] = []
        if self.wanted.probabilities:
            files += _write_shares(answer["probability"], geometry, image, probability_files(stem, self.spec))
        if self.wanted.uncertainty:
            files += _write_shares(answer["uncertainty_map"], geometry, image, [uncertainty_file(stem, self.spec)])
        if self.wanted.margins is not None:
            files += self._write_margins(self.wanted.margins, answer["probability"].numpy(), geometry, image, stem)
        if self.wanted.overlays:
            files.append(write_overlay(self.drawn(case, mask, self.spec), overlay_file(stem)))
        if "dicomseg" in self.wanted.formats:
            file = named(stem, MASK, DICOM_SEG_SUFFIX)
            predicted, reason = answer.get("predicted_dice"), answer.get("reason", "")
            files.append(write_dicom_seg(mask, image, file, self.spec, predicted_dice=predicted, reason=reason))
        for ending in VOLUMES.endings(self.wanted.formats, image):
            files += _write_label_maps(mask, geometry, image, mask_files(stem, self.spec, ending), self.spec)
        return Written(files, {"volumes": volume_rows(case["id"], mask, self.spec, geometry.voxel_ml)})

    def _write_margins(
        self, margins: Margins, probabilities: NDArray[Any], geometry: Geometry, image: str, stem: Path
    ) -> list[Path]:
        return [
            write_label_volume(plane.astype(np.uint8), geometry, file, [name], like=image)
            for plane, file, name in zip(
                margins.masks(probabilities), margin_files(stem, self.spec), 2 * self.spec.classes, strict=True
            )
        ]

    def draw_small(self, case: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Make the small picture for a run's page, with outer and inner masks if these are written; arguments as for `write`."""
        margins = self.wanted.margins
        write_volume_picture(
            self.folder,
            case["id"],
            case["image_meta_dict"],
            answer["pred"].cpu().numpy(),
            self.spec,
            margins=margins,
            probability=None if margins is None else answer["probability"].numpy(),
        )

    @staticmethod
    def drawn(case: Mapping[str, Any], mask: NDArray[np.uint8], spec: DatasetSpec) -> Picture:
        """`drawn_slice`, large enough for fine outlines."""
        geometry = volume_grid_of(case["image_meta_dict"], spec).geometry
        return drawn_slice(image_of(case), mask, spec, geometry, longest=OVERLAY_PIXELS)

    @staticmethod
    def save_probabilities(
        case: Mapping[str, Any], maps: NDArray[np.floating[Any]], files: Sequence[Path], spec: DatasetSpec
    ) -> list[Path]:
        """Write the probabilities of each class, (classes, I, J, K) on the scan's own grid, to the files of `probability_files`."""
        geometry = volume_grid_of(case["image_meta_dict"], spec).geometry
        return list(_write_shares(torch.from_numpy(maps), geometry, image_of(case), files))

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
        """Write one volume's mask, (1 or classes, I, J, K), to a file of any name; the suffix decides the format.

        Args:
            case: ``image_meta_dict``, with the scan's file and grid.
            mask: on the scan's own grid.
            file: where to.
            spec: the data set.
            predicted_dice, reason: for DICOM-SEG, see `write_dicom_seg`.

        Returns:
            The file, or one ``<stem>_<class>`` per overlapping class.

        Raises:
            ValueError: the scan's file is not known, the suffix is none of those that label volumes have, or a DICOM-SEG of what is not a
                DICOM series.
        """
        image, geometry = image_of(case), volume_grid_of(case["image_meta_dict"], spec).geometry
        if not image:
            raise ValueError(f"{file}: the mask is written like its scan, whose file is not known")
        if file.suffix.lower() == DICOM_SEG_SUFFIX:
            return [write_dicom_seg(mask, image, file, spec, predicted_dice=predicted_dice, reason=reason)]
        known = (*VOLUMES.label_endings.values(), volume_suffix(file))
        ending = next((ending for ending in known if ending and file.name.lower().endswith(ending)), "")
        stem = file.with_name(file.name[: len(file.name) - len(ending)])
        files = files_per_class(stem, spec, file.name[len(file.name) - len(ending) :])
        return _write_label_maps(mask, geometry, image, files, spec)


def _write_label_maps(
    mask: NDArray[np.uint8], geometry: Geometry, image: str, files: Sequence[Path], spec: DatasetSpec
) -> list[Path]:
    """Write label volumes: one file, or one per overlapping class."""
    names = [[name] for name in spec.classes] if spec.task == "multilabel" else [list(spec.classes)]
    return [
        write_label_volume(plane, geometry, file, classes, like=image)
        for plane, file, classes in zip(mask, files, names, strict=True)
    ]


def _write_shares(maps: Any, geometry: Geometry, image: str, files: Sequence[Path]) -> Sequence[Path]:
    """Write the last of the maps (channels, I, J, K) of 0..1, a file each; for exclusive classes the first is the background's."""
    like = nifti_on_grid(image, geometry)
    for plane, file in zip(maps[-len(files) :], files, strict=True):
        # one class at a time: floats of a whole CT are large
        levels = np.rint(plane.float().cpu().numpy() * 255).astype(np.uint8)
        nifti.write_shares(levels, geometry, file, like=like)
    return files
