"""The grid of a photograph and the network's grid: the mapping that `load` applies forwards and `restore` backwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from medseg_monai.dataset.spec import Aspect, DatasetSpec
from medseg_monai.grids.kinds import KINDS, ImageKind


class Box(NamedTuple):
    """The photograph's rectangle in the network's input, in its pixels: first column and row, width and height."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class PhotoGrid:
    """An upright photograph's own grid and the network's, and the mapping between them.

    Args:
        own_shape: the photograph's (width, height).
        size: (width, height) of the network's input; None for the photograph's own.
        aspect: ``stretch`` fills the input, changing the aspect ratio. ``pad`` keeps it: the picture is centred between bars of 0.
    """

    own_shape: tuple[int, int]
    size: tuple[int, ...] | None = None
    aspect: Aspect = "stretch"
    kind: ClassVar[ImageKind] = KINDS[2]
    """What all photographs have in common."""
    unit: ClassVar[str] = "px"
    """Of distances."""
    spacing: ClassVar[tuple[float, float]] = (1.0, 1.0)
    """Pixel sides along (width, height)."""
    pixel_size: ClassVar[float] = 1.0
    """Sizes are in pixels."""
    geometry: ClassVar[None] = None
    """A photograph has no position in the patient."""
    affine: ClassVar[None] = None
    """For the same reason."""
    sides_mm: ClassVar[tuple[float, ...]] = ()
    """The sides of a pixel are not known."""
    map_dtype: ClassVar[torch.dtype] = torch.float32
    """Type of maps of a whole image until they are written."""

    @classmethod
    def of(cls, original_size: Sequence[int], spec: DatasetSpec) -> PhotoGrid:
        """The grid of a photograph of `original_size` (width, height).

        Raises:
            ValueError: the spec is for volumes.

        >>> spec = DatasetSpec(name="x", task="binary", classes=("a",), channels=("grey",), size=(64, 64),
        ...     aspect="pad")
        >>> PhotoGrid.of((200, 100), spec).box
        Box(x=0, y=16, width=64, height=32)
        """
        if spec.spatial_dims != 2:
            raise ValueError(f"photographs have 2 axes, but the spec of {spec.name!r} has {spec.spatial_dims}")
        width, height = (int(side) for side in original_size)
        return cls((width, height), spec.size, spec.aspect)

    @property
    def network_shape(self) -> tuple[int, int]:
        """The network's (width, height)."""
        width, height = self.size or self.own_shape
        return width, height

    @property
    def box(self) -> Box:
        """The rectangle that the photograph fills in the network's input."""
        (width, height), (full_width, full_height) = self.own_shape, self.network_shape
        if self.size is None or self.aspect == "stretch":
            return Box(0, 0, full_width, full_height)
        scale = min(full_width / width, full_height / height)
        inner_width = min(full_width, max(1, round(width * scale)))
        inner_height = min(full_height, max(1, round(height * scale)))
        return Box((full_width - inner_width) // 2, (full_height - inner_height) // 2, inner_width, inner_height)

    @property
    def content(self) -> tuple[slice, ...]:
        """The photograph in what the network sees, (C, W, H): without the bars around it."""
        box = self.box
        return slice(None), slice(box.x, box.x + box.width), slice(box.y, box.y + box.height)

    def to_network(self, mask: NDArray[np.bool_]) -> Tensor:
        """The share of each pixel of the network's input that a mask (W, H) covers, float32 (w, h): even tiny masks do not vanish."""
        values = torch.from_numpy(mask.astype(np.float32))
        weights = torch.zeros(1, *self.network_shape)
        weights[self.content] = F.interpolate(values[None, None], size=self.box[2:], mode="area")[0]
        return weights[0]

    def restore(self, values: Tensor, *, outside: float | None = 0.0, dtype: torch.dtype | None = None) -> Tensor:
        """A map on the network's grid, mapped to the photograph's own: the inverse of `load`.

        Args:
            values: (C, w, h) of `network_shape`. Floating-point maps are interpolated (bilinear, half-pixel centres, like images),
                integers and bool take the nearest value.
            outside: not used: the network sees all of a photograph.
            dtype: type of the result; None for that of `values`.

        Returns:
            (C, width, height).

        Raises:
            ValueError: `values` is not on the network's grid.

        >>> PhotoGrid((8, 4), size=(4, 4), aspect="pad").restore(torch.ones(1, 4, 4)).shape
        torch.Size([1, 8, 4])
        """
        grid = self.network_shape
        if values.ndim != 3 or tuple(values.shape[1:]) != grid:
            raise ValueError(f"got a map of shape {tuple(values.shape)}, expected (C, {grid[0]}, {grid[1]})")
        return self._enlarged(values[self.content]).to(dtype or values.dtype)

    def relative_size(self, pixels: int) -> float:
        """The share of the photograph that so many pixels are, in percent.

        >>> PhotoGrid((40, 30)).relative_size(60)
        5.0
        """
        width, height = self.own_shape
        return 100 * pixels / (width * height)

    def size_text(self, pixels: int) -> str:
        """The size of a mask of so many pixels, for people.

        >>> PhotoGrid((4000, 3000)).size_text(1234)
        '1,234 pixels'
        """
        return f"{pixels:,} pixels"

    def meta(self) -> dict[str, Any]:
        """What `medseg_monai.grids.grid_of` makes this grid of."""
        return {"spatial_shape": self.own_shape}

    def _enlarged(self, content: Tensor) -> Tensor:
        """(C, w, h) of the box at the photograph's size."""
        own, box = self.own_shape, self.box
        if (box.width, box.height) == own:
            return content
        if not content.is_floating_point():
            return F.interpolate(content[None].float(), size=own, mode="nearest-exact")[0]
        shrinks = own[0] < box.width or own[1] < box.height
        # in memory row by row, as pictures are stored: what is written next is then copied, not transposed
        rows = content.transpose(1, 2).contiguous()[None]
        size = (own[1], own[0])
        return F.interpolate(rows, size=size, mode="bilinear", align_corners=False, antialias=shrinks)[0].transpose(
            1, 2
        )
