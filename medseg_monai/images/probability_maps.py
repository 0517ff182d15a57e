"""Maps of probabilities as predictions write them, read back: 8-bit grey pictures for photographs, 3D files for volumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.grids.geometry import Geometry, check_same_grid
from medseg_monai.images.formats import open_picture
from medseg_monai.images.volumes import read_volume

if TYPE_CHECKING:
    from medseg_monai.images.photos import PathLike

CERTAIN = 255
"""What stands for 1 where probabilities are whole numbers."""


def read_photo_map(file: PathLike, *, size: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """(W, H), 0 to `CERTAIN`.

    Args:
        file: an 8-bit grey picture.
        size: (width, height) that it must have, of the upright photograph.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not such a picture, or is of another size.
    """
    try:
        with open_picture(Path(file)) as picture:
            if picture.mode != "L":
                raise ValueError(f"{file}: not a map of probabilities: its pixels are {picture.mode}, not 8-bit grey")
            levels: NDArray[np.uint8] = np.asarray(picture).T
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, EOFError) as error:
        raise ValueError(f"{file}: cannot be read: {error}") from None
    if size is not None and levels.shape != tuple(size):
        width, height = levels.shape
        raise ValueError(f"{file}: {width}x{height} probabilities for a photograph of {size[0]}x{size[1]}")
    return levels


def read_volume_map(file: str | Path, geometry: Geometry) -> NDArray[np.floating[Any]]:
    """(I, J, K), 0 to 1, float16, since those of a whole CT are large.

    Args:
        file: a volume.
        geometry: the grid that it must be on, the scan's.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it is not such a map, or is on another grid.
    """
    volume = read_volume(file)
    try:
        check_same_grid(volume.geometry, geometry)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    shares: NDArray[np.floating[Any]] = volume.array.astype(np.float16)
    if shares.min() < -0.01 or shares.max() > 1.01:
        raise ValueError(f"{file}: not a map of probabilities: its values are {shares.min():g} to {shares.max():g}")
    return shares
