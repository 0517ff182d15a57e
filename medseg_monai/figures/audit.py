"""The picture of a doubtful label: what it outlines, in yellow, and what the network does, in the classes' colours."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from medseg_monai.evaluation.surfaces import Mask
from medseg_monai.figures import drawing
from medseg_monai.figures.axial import fullest_slice
from medseg_monai.figures.cases import CaseView
from medseg_monai.figures.drawing import Picture

LONGEST_SIDE = 520  # pixels: sharp on a screen with two pixels per page pixel
QUALITY = 80


def doubt_picture(view: CaseView) -> bytes:
    """A JPEG file: the picture with the network's outlines and, above these, the label's; of a volume the slice where they differ most.

    Args:
        view: the image; ``pred`` is what the network finds, ``truth`` the label.
    """
    picture, found, label = _differing(view)
    picture, masks = drawing.enlarge(picture, np.concatenate([found, label]), longest=LONGEST_SIDE)
    found, label = masks[: len(found)], masks[len(found) :]
    drawing.draw_masks(picture, found, fill=0.12)
    for mask in label:
        drawing.draw_outline(picture, mask, drawing.TRUTH_COLOUR)
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="JPEG", quality=QUALITY)
    return content.getvalue()


def _differing(view: CaseView) -> tuple[Picture, Mask, Mask]:
    if np.ndim(view.image) != 4:
        return view.picture_and_masks(longest=LONGEST_SIDE)
    volume = view.axial()
    found, label = volume.masks[: volume.n_pred], volume.masks[volume.n_pred :]
    differ = found != label
    return volume.slice(fullest_slice(differ if differ.any() else volume.masks), longest=LONGEST_SIDE)
