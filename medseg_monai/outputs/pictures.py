"""Thumbnails of predictions for the page of a run: made as masks are written, and kept in a hidden folder beside them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.figures.axial import fullest_slice, to_axial, with_square_pixels
from medseg_monai.figures.drawing import Picture, as_masks, as_picture, draw_margins, draw_masks, enlarge, shrink
from medseg_monai.files.writing import HIDDEN_FOLDER, write_whole
from medseg_monai.grids import volume_grid_of
from medseg_monai.grids.geometry import Geometry
from medseg_monai.images.photos import read_image
from medseg_monai.images.volumes import read_image_volume, read_volume_header
from medseg_monai.quality.conformal import Margins

PICTURES_FOLDER = "pictures"
LONGEST_SIDE = 560  # pixels: sharp on a screen with two pixels per page pixel
QUALITY = 80


def picture_file(folder: Path, case_id: str) -> Path:
    """The file of a case's picture in an output folder."""
    return folder / HIDDEN_FOLDER / PICTURES_FOLDER / f"{case_id}.jpg"


def write_picture(
    folder: Path,
    case_id: str,
    image: str,
    mask: NDArray[np.uint8],
    spec: DatasetSpec,
    *,
    margin_levels: NDArray[np.float32] | None = None,
) -> Path:
    """Draw the outlines of a photograph's mask, (1 or classes, W, H), on the reduced photograph.

    Args:
        folder, case_id: output folder and case.
        image: the photograph's file.
        mask: on its own grid.
        spec: the data set.
        margin_levels: (2 x classes, w, h) of `Margins.levels`, of any size; the outer and inner masks are then drawn in thin lines.
    """
    picture = as_picture(read_image(image, 3))
    picture, masks = shrink(picture, as_masks(class_masks(mask, len(spec.classes)), picture), longest=LONGEST_SIDE)
    picture, masks = enlarge(picture, masks, longest=LONGEST_SIDE)
    if margin_levels is not None:
        draw_margins(picture, _above(margin_levels, picture))
    return _write(picture, masks, picture_file(folder, case_id))


def _above(levels: NDArray[np.float32], picture: Picture) -> NDArray[np.bool_]:
    """Where levels (N, w, h), interpolated at a picture's pixels, are not below 0: (N, H, W)."""
    height, width = picture.shape[:2]
    values = torch.from_numpy(levels)[None]
    fitted = F.interpolate(values, size=(width, height), mode="bilinear", align_corners=False, antialias=True)
    return np.ascontiguousarray(fitted[0].numpy().swapaxes(1, 2) >= 0)


def write_volume_picture(
    folder: Path,
    case_id: str,
    meta: Mapping[str, Any],
    mask: NDArray[np.uint8],
    spec: DatasetSpec,
    *,
    margins: Margins | None = None,
    probability: NDArray[np.floating[Any]] | None = None,
) -> Path:
    """Draw the axial slice of a volume with most of the mask, (1 or classes, I, J, K).

    Args:
        folder, case_id: output folder and case.
        meta: the loaded scan's ``image_meta_dict``.
        mask: on the scan's own grid.
        spec: the data set.
        margins, probability: see `drawn_slice`.
    """
    drawn = drawn_slice(
        str(meta["filename_or_obj"]),
        mask,
        spec,
        volume_grid_of(meta, spec).geometry,
        longest=LONGEST_SIDE,
        margins=margins,
        probability=probability,
    )
    return _write(drawn, np.zeros((0, *drawn.shape[:2]), bool), picture_file(folder, case_id))


def _write(picture: Picture, masks: NDArray[np.bool_], file: Path) -> Path:
    draw_masks(picture, masks, fill=0.12)
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="JPEG", quality=QUALITY)
    write_whole(file, content.getvalue(), sync=False)
    return file


def write_overlay(picture: Picture, file: Path) -> Path:
    """Write a picture with outlines as a JPEG."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="JPEG", quality=90)
    write_whole(file, content.getvalue())
    return file


def drawn_slice(
    image: str,
    mask: NDArray[np.uint8],
    spec: DatasetSpec,
    geometry: Geometry,
    *,
    longest: int,
    margins: Margins | None = None,
    probability: NDArray[np.floating[Any]] | None = None,
) -> Picture:
    """The axial slice with most of the mask, radiological, with the outline of each class.

    A small one is enlarged by a whole factor, as long as no side is longer than `longest` pixels.

    Args:
        image: the scan.
        mask: (1 or classes, I, J, K), on its own grid.
        spec: the data set.
        geometry: of that grid.
        longest: see above.
        margins, probability: with both, the latter (channels, I, J, K) and calibrated, outer and inner masks are drawn in thin lines.
    """
    turned, sides = to_axial(mask, geometry.affine)
    index = fullest_slice(turned > 0)
    channels = read_image_volume(image, read_volume_header(image).channels).array
    grey, _ = to_axial(channels[0], geometry.affine)
    shades = grey[..., index]
    if spec.intensity.kind == "window":
        shades = np.clip(shades, *spec.intensity.bounds)
    picture, count = as_picture(shades), len(spec.classes)
    planes = class_masks(turned[..., index], count)
    if margins is not None and probability is not None:
        shares = to_axial(probability, geometry.affine)[0][..., index]
        planes = np.concatenate([planes, np.stack(list(margins.masks(shares)))])
    picture, shown = with_square_pixels(picture, as_masks(planes, picture), (sides[0], sides[1]))
    picture, shown = enlarge(picture, shown, longest=longest)
    draw_margins(picture, shown[count:])
    draw_masks(picture, shown[:count])
    return picture
