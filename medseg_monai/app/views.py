"""An image as it is looked at: a photograph as it is, a volume slice by slice in three planes. Nothing is resampled here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medseg_monai.figures.axial import fullest_slice, to_axial
from medseg_monai.figures.drawing import Picture, as_picture
from medseg_monai.grids.geometry import Geometry
from medseg_monai.images.photos import read_image
from medseg_monai.images.volumes import read_image_volume, read_volume_header

WINDOWS = {
    "whole range": None,
    "soft tissue": (-160.0, 240.0),
    "lung": (-1350.0, 150.0),
    "bone": (-500.0, 1300.0),
    "brain": (0.0, 80.0),
}
"""Presets for CT in Hounsfield units, (lowest, highest); None: from the 0.5th to the 99.5th percentile."""


@dataclass(frozen=True)
class Place:
    """What of an image is shown.

    Attributes:
        plane: one of the view's planes.
        index: number of the slice, from 0.
        window: a key of `WINDOWS`.
    """

    plane: str = "image"
    index: int = 0
    window: str = "whole range"


class View(Protocol):
    """An image to look at.

    Attributes:
        planes: in which it can be cut, and how many slices each has.
    """

    planes: dict[str, int]

    def picture(self, place: Place) -> Picture:
        """(H, W, 3) uint8."""

    def slice_of(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        """The part of an array on the image's own grid, channels first, that is shown: (C, H, W), a view of the same memory."""

    def pixel_sides(self, place: Place) -> tuple[float, float]:
        """Width and height of a pixel, in millimetres; of photographs (1, 1)."""

    def first_place(self, planes: NDArray[np.bool_]) -> Place:
        """Where to begin to look at a mask, (classes, *S) on the image's own grid."""


def index_at(view: View, place: Place, shape: Sequence[int], row: int, column: int) -> tuple[int, ...]:
    """The index in an array of `shape`, on the image's own grid, of what a slice shows in a row and column.

    Raises:
        IndexError: it shows nothing there.
    """
    found = []
    for axis, count in enumerate(shape):
        numbers = np.arange(count).reshape([-1 if axis == other else 1 for other in range(len(shape))])
        found.append(int(view.slice_of(np.broadcast_to(numbers, shape)[None], place)[0][row, column]))
    return tuple(found)


class PhotoView:
    """A photograph.

    Args:
        path: the file.
    """

    planes = {"image": 1}  # noqa: RUF012  # never changed

    def __init__(self, path: str | Path) -> None:
        self._picture = as_picture(read_image(path, 3))

    def picture(self, place: Place) -> Picture:
        """The photograph, upright."""
        return self._picture

    def slice_of(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        """All of it."""
        return values

    def pixel_sides(self, place: Place) -> tuple[float, float]:
        """A photograph does not say."""
        return 1.0, 1.0

    def first_place(self, planes: NDArray[np.bool_]) -> Place:
        """All of it."""
        return Place()


class VolumeView:
    """A volume, as radiologists look at it: the patient's right on the left, the front or the head at the top.

    Args:
        path: file or DICOM folder.
        geometry: its grid.
    """

    def __init__(self, path: str | Path, geometry: Geometry) -> None:
        self._affine = geometry.affine
        channels = read_image_volume(path, read_volume_header(path).channels).array
        self._grey, self._sides = to_axial(np.asarray(channels[0], np.float32), self._affine)
        low, high = (float(value) for value in np.percentile(self._grey[::2, ::2], (0.5, 99.5)))
        self._range = low, max(high, low + 1e-6)
        left, back, head = self._grey.shape
        self.planes = {"axial": head, "coronal": back, "sagittal": left}

    def picture(self, place: Place) -> Picture:
        """One slice in grey, within the window."""
        low, high = WINDOWS[place.window] or self._range
        grey = self._cut(self._grey, place)
        shades = np.clip((grey - low) * (255 / (high - low)), 0, 255).round().astype(np.uint8)
        return np.ascontiguousarray(np.repeat(shades[..., None], 3, axis=2))

    def slice_of(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        """The slice of each channel."""
        turned, _ = to_axial(values, self._affine)  # a view: axes in another order and direction
        return self._cut(turned, place)

    def pixel_sides(self, place: Place) -> tuple[float, float]:
        """From the voxels' sides."""
        left, back, head = self._sides
        return {"axial": (left, back), "coronal": (left, head), "sagittal": (back, head)}[place.plane]

    def first_place(self, planes: NDArray[np.bool_]) -> Place:
        """The axial slice with most of the mask."""
        return Place("axial", fullest_slice(to_axial(planes, self._affine)[0]))

    def _cut(self, values: NDArray[Any], place: Place) -> NDArray[Any]:
        """(…, H, W) of (…, left, back, head): the first shown axis to the right, the second downwards, the head at the top."""
        if place.plane == "axial":
            return np.swapaxes(values[..., place.index], -1, -2)
        if place.plane == "coronal":
            return np.swapaxes(values[..., :, place.index, ::-1], -1, -2)
        return np.swapaxes(values[..., place.index, :, ::-1], -1, -2)


def view_of(path: str | Path, geometry: Geometry | None) -> View:
    """The view of an image; of a volume if it has a geometry."""
    return PhotoView(path) if geometry is None else VolumeView(path, geometry)
