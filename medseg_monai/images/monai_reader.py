"""Photographs for MONAI's own ``LoadImaged``. Separate from `medseg_monai.images.photos`, which needs no MONAI and is quick to import."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data.image_reader import ImageReader

from medseg_monai.images.photos import SUFFIXES, Array, PathLike, read_stored


class PhotoReader(ImageReader):
    """`read_image` for MONAI's ``LoadImaged``: the picture as stored in colour or grey, upright, (W, H) or (W, H, 3)."""

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether all names end in one of `SUFFIXES`."""
        names = [filename] if isinstance(filename, str | os.PathLike) else filename
        return all(Path(name).suffix.lower() in SUFFIXES for name in names)

    def read(self, data: Sequence[PathLike] | PathLike, **_: Any) -> list[Array]:
        """Decoded (H, W[, 3]) pictures, one per file."""
        return [read_stored(path) for path in ([data] if isinstance(data, str | os.PathLike) else data)]

    def get_data(self, img: list[Array]) -> tuple[Array, dict[str, Any]]:
        """(W, H) or (W, H, C), and metadata as MONAI's ``PILReader`` gives it. Several files stack as channels."""
        planes = [picture.swapaxes(0, 1) for picture in img]
        array = planes[0] if len(planes) == 1 else np.dstack(planes)
        meta = {
            "spatial_shape": np.asarray(array.shape[:2]),
            "original_channel_dim": float("nan") if array.ndim == 2 else -1,
        }
        return array, meta
