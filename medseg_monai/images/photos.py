"""Photographs as arrays, in the formats of `medseg_monai.images.formats` and the variants found in practice.

Arrays are in MONAI's axis order, (C, W, H), and *upright*: an EXIF orientation tag is applied, as in every
viewer. Transparency is ignored: the colour of a transparent pixel is used as stored.
"""

from __future__ import annotations

import os
import stat
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from medseg_monai.images.formats import FORMATS, open_picture
from medseg_monai.images.formats import SUFFIXES as SUFFIXES  # exported here for the readers of photographs

PathLike: TypeAlias = "str | os.PathLike[Any]"
Array: TypeAlias = NDArray[Any]

MAX_PIXELS = 89_000_000
"""Larger pictures are refused: enough for 50-megapixel cameras, and a limit on what a hostile file can make us allocate."""
MIN_SIDE = 4
"""Pictures with a shorter side (a 1x1 placeholder, a stray line) are refused."""
MAX_12_BIT, MAX_16_BIT = 4095, 65535
NEW_SUBFILE_TYPE = 254
"""TIFF tag whose lowest bit marks a smaller copy of another page."""
DRAFT_FACTOR = 1.49
"""A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size if that leaves at least this many times the requested size. Not 1.5: Pillow rounds
halves down, and 767 pixels should do for 256."""


@dataclass(frozen=True)
class PhotoHeader:
    """Facts from a photograph's header.

    Args:
        path: the file.
        stored_size: (width, height) of the stored pixels, before rotation.
        orientation: EXIF orientation, 1 (or none) to 8.
    """

    path: Path
    stored_size: tuple[int, int]
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the upright picture."""
        width, height = self.stored_size
        return (height, width) if self.orientation >= 5 else (width, height)


@contextmanager
def opened(path: PathLike) -> Iterator[Image.Image]:
    """The picture in a file, undecoded; any error inside becomes one clear line.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is empty, damaged, not a picture, too small or too large.
    """
    file = Path(path)
    try:
        state = file.stat()
        if not stat.S_ISREG(state.st_mode):
            raise ValueError(f"{file}: is not a file; expected a photograph")
        if state.st_size == 0:
            raise ValueError(f"{file}: is empty (0 bytes); copy it again from its source")
        with open_picture(file) as image:
            _check_size(file, image.size)
            _check_single(file, image)
            yield image
    except UnidentifiedImageError:
        raise ValueError(
            f"{file}: is not a picture in a supported format ({', '.join(FORMATS)}), whatever its name says"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"{file}: has more than {MAX_PIXELS // 10**6} megapixels; reduce it first") from None
    except FileNotFoundError:
        raise FileNotFoundError(f"{file}: no such file") from None
    except PermissionError:
        raise ValueError(f"{file}: no permission to read it; check its permissions") from None
    except (OSError, SyntaxError, EOFError, struct.error) as error:
        raise ValueError(f"{file}: is damaged or truncated ({error}); copy it again from its source") from None


def _check_size(file: Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"{file}: is {size[0]}x{size[1]}, more than {MAX_PIXELS // 10**6} megapixels; reduce it first")
    if min(size) < MIN_SIDE:
        raise ValueError(f"{file}: is {size[0]}x{size[1]}; each side must have at least {MIN_SIDE} pixels")


def _check_single(file: Path, image: Image.Image) -> None:
    """Refuse a file of several pages or frames: it is unclear which one is meant."""
    count = getattr(image, "n_frames", 1)
    if count == 1 or image.format == "MPO":  # a camera's JPEG: previews and depth maps follow the photograph
        return
    if image.format == "TIFF":
        count = _full_pages(image, count)
    if count > 1:
        raise ValueError(f"{file}: contains {count} pictures (pages or frames); save each as a separate file")


def _full_pages(image: Image.Image, count: int) -> int:
    """Number of pages of a TIFF file that are not a smaller copy of another; the first page stays the current one."""
    full = 0
    for page in range(count):
        image.seek(page)
        full += not image.tag_v2.get(NEW_SUBFILE_TYPE, 0) & 1  # type: ignore[attr-defined]  # TIFF pictures have tags
    image.seek(0)
    return full


def has_16_bit_colours(image: Image.Image) -> bool:
    """Whether the file stores 16 bits for each of several bands, of which Pillow keeps the upper 8; call it before decoding."""
    tiles = getattr(image, "tile", [])
    return any(";16" in str(tile[3]) for tile in tiles) and not image.mode.startswith("I")


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation of an opened picture, 1 to 8; 1 if it has none or an impossible one."""
    value = image.getexif().get(ExifTags.Base.Orientation, 1)
    return value if value in range(1, 9) else 1


def read_header(path: PathLike) -> PhotoHeader:
    """Size and orientation of a photograph, without decoding it. Raises as `read_image` does."""
    with opened(path) as image:
        return PhotoHeader(Path(path), image.size, orientation_of(image))


def upright(array: Array, orientation: int) -> Array:
    """Rotate or mirror (H, W, ...) stored pixels by an EXIF orientation (1 to 8); a view."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array


def _plain(image: Image.Image) -> Image.Image:
    """The picture in mode L, RGB or F (16-bit grey, whole numbers of 0 to 65535)."""
    if image.mode in ("L", "RGB"):
        return image
    if image.mode in ("1", "LA", "La"):
        return image.convert("L")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(
                f"grey values range from {values.min()} to {values.max()}, beyond 16 bits: save it as 8- or 16-bit grey"
            )
        return Image.fromarray(values.astype(np.float32))
    if image.mode == "F":
        raise ValueError("contains floating-point pixels; save it as 8- or 16-bit grey")
    if image.mode in ("P", "PA"):
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _in_8_bits(plain: Image.Image, path: PathLike) -> Image.Image:
    """Whole numbers of 0 to 65535 on the scale of 0 to 255 (mode F).

    A file with no value above 4095 is taken for 12 bits in a 16-bit file, as many cameras and scanners write them: as
    16 bits it would be nearly black. Fewer bits are not detected: a dark picture of a 12-bit series must not become brighter
    than the others.
    """
    values = np.asarray(plain)
    lowest, highest = int(values.min()), int(values.max())
    top = MAX_12_BIT if highest <= MAX_12_BIT else MAX_16_BIT
    if 0 < highest <= MAX_16_BIT // 4:
        read_as = "12-bit values (0 to 4095)" if top == MAX_12_BIT else "16-bit values (0 to 65535)"
        warnings.warn(
            f"{path}: 16-bit file with values of {lowest} to {highest}, read as {read_as} for a network that takes 8 bits; "
            "if that is wrong, save it as 8-bit, or train with the intensity 'percentile'",
            stacklevel=5,
        )
    return Image.fromarray(values * np.float32(255 / top))


def _refuse_dark_16_bit_colours(array: Array, path: PathLike) -> None:
    if 0 < array.max() <= MAX_12_BIT >> 8:
        raise ValueError(
            f"{path}: contains 16-bit colours with no value above {MAX_12_BIT}: save it as 8-bit, scaled to 0 to 255"
        )


def _decode(path: PathLike, size: tuple[int, int] | None, *, deep: bool = True) -> Array:
    """Upright (H, W) or (H, W, 3), uint8 or (if `deep`) uint16, resized to `size` (width, height) if given."""
    with opened(path) as image:
        orientation = orientation_of(image)
        box: tuple[float, float, float, float] = (0, 0, *image.size)
        target = size if size is None or orientation < 5 else (size[1], size[0])
        if target is not None:
            drafted = image.draft(None, (int(DRAFT_FACTOR * target[0]), int(DRAFT_FACTOR * target[1])))
            box = drafted[1] if drafted else box
        deep_colours = has_16_bit_colours(image)
        try:
            plain = _plain(image)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if deep_colours:
            _refuse_dark_16_bit_colours(np.asarray(plain), path)
        if plain.mode == "F" and not deep:
            plain = _in_8_bits(plain, path)
        if target is not None and (target != plain.size or box != (0, 0, *plain.size)):
            plain = plain.resize(target, Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
        array = np.asarray(plain)
    if array.dtype == np.float32:
        array = np.rint(array).astype(np.uint16 if deep else np.uint8)
    return upright(array, orientation)


def _to_channels(array: Array, channels: int) -> Array | None:
    """(H, W) or (H, W, 3) as (channels, W, H); None if that number of channels cannot be made."""
    if channels not in (1, 3):
        return None
    if channels == 1 and array.ndim == 3:  # luminance, ITU-R 601, by the library's own rounding
        array = np.asarray(Image.fromarray(np.ascontiguousarray(array)).convert("L"))
    planes: Array = array.T if array.ndim == 3 else np.broadcast_to(array.T, (channels, *array.T.shape))
    return planes


def read_image(
    path: PathLike | Sequence[PathLike], channels: int, *, size: tuple[int, int] | None = None, deep: bool = True
) -> Array:
    """A photograph, upright, as (channels, W, H), uint8 or (16-bit grey files) uint16.

    A grey picture is repeated for three channels, a colour picture becomes its luminance for one.
    A list of files, one per channel (or one per three channels), is stacked; sizes must agree.

    Args:
        path: one file, or a list of them.
        channels: number of channels to return.
        size: (width, height) to resize to, each output pixel being the weighted mean of the input it covers
            (triangle filter, half-pixel centres). A JPEG at least three times as large is then decoded at a
            half, quarter or eighth of its size, which is faster and changes the result by a quarter of a
            grey level on average.
        deep: keep 16 bits; else 16-bit values are scaled to 8. Values of at most 4095 are then taken for 12 bits, with a
            warning that names their range.

    Raises:
        FileNotFoundError, ValueError: the file is missing or unusable, or cannot give that number of channels.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    if not paths or channels % len(paths):
        raise ValueError(f"{len(paths)} files cannot give {channels} channels: list one file, or one per channel")
    if len(paths) > 1 and len(sizes := {read_header(p).size for p in paths}) > 1:
        raise ValueError(f"{paths[0]} and the files stacked with it differ in size: {sorted(sizes)}")
    each = channels // len(paths)
    stack = []
    for file in paths:
        planes = _to_channels(_decode(file, size, deep=deep), each)
        if planes is None:
            raise ValueError(f"{file}: one picture cannot give {each} channels; list one file per channel")
        stack.append(planes)
    return np.ascontiguousarray(np.concatenate(stack) if len(stack) > 1 else stack[0])


def read_stored(path: PathLike) -> Array:
    """A photograph as it is stored in colour or grey: upright, (H, W) or (H, W, 3). Raises as `read_image` does."""
    return _decode(path, None)
