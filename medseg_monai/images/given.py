"""Images as Python programs have them: a path, a PIL picture, an array; each becomes a file, so that all are read alike."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ImageLike: TypeAlias = "str | Path | Sequence[str | Path] | Image.Image | NDArray[Any]"


@contextmanager
def as_file(image: ImageLike) -> Iterator[str | list[str]]:
    """The path itself, or the paths, or a temporary PNG file of a picture or an array.

    Args:
        image: a path, or a list of them, one for each channel; a PIL image, whose EXIF orientation is kept; or an array (H, W) or
            (H, W, 3), uint8 (or uint16 grey).

    Raises:
        ValueError: pixels of a kind that is not supported.
        TypeError: it is none of these.
    """
    if isinstance(image, (str, Path)):
        yield str(image)
        return
    if isinstance(image, Sequence) and image and all(isinstance(file, (str, Path)) for file in image):
        yield [str(file) for file in image]
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.png"
        _as_picture(image).save(file, compress_level=0, exif=_exif(image))
        yield str(file)


def _as_picture(image: ImageLike) -> Image.Image:
    if isinstance(image, Image.Image):
        return _as_png_holds(image)
    if not isinstance(image, np.ndarray):
        raise TypeError(f"got a {type(image).__name__}; pass a path, a PIL image or an array (H, W[, 3])")
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
        raise ValueError(f"got an array {image.shape} of {image.dtype}; expected (H, W) or (H, W, 3) of uint8")
    if image.dtype == np.uint16 and image.ndim == 3:
        raise ValueError("got an array of 16-bit colours; 16 bits are supported only for grey pictures")
    return Image.fromarray(image)


def _as_png_holds(picture: Image.Image) -> Image.Image:
    """The picture, its colours as RGB if PNG does not support their kind (CMYK, YCbCr …), as files are read."""
    if picture.mode == "F":
        raise ValueError("got a picture of floating-point pixels; expected 8- or 16-bit grey, or 8-bit colours")
    known = ("1", "L", "LA", "P", "RGB", "RGBA", "I")
    return picture if picture.mode in known or picture.mode.startswith("I;16") else picture.convert("RGB")


def _exif(image: ImageLike) -> Image.Exif | bytes:
    return image.getexif() if isinstance(image, Image.Image) else b""
