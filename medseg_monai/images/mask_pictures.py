"""The contents of a mask picture, in whatever mode it is stored: levels, class numbers or colours, upright.

**Transparency.** Transparent pixels are background, whatever their colour. If some pixels are transparent and all others have one
colour, the mask was painted on a transparent layer: the opaque pixels are the mask.

**Palettes** are read by index if class numbers are needed, else by colour.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from medseg_monai.images.label_codes import codes_text
from medseg_monai.images.photos import Array, PathLike, PhotoHeader, has_16_bit_colours, opened, orientation_of, upright

SOFT_SHARE = 0.25
"""Largest share of a blurred mask's pixels between a quarter and three quarters of full; with more it is not a mask."""
FLAT_PIXELS = 16
"""This many pixels of a middle level inside an even patch are a third level, not a blurred edge."""
LOSSY_FORMATS = ("JPEG", "JPEG2000", "MPO", "WEBP")
COLOUR_TOLERANCE = 4
"""How far a pixel may be from a shade of one colour and still count as one: smoothed edges are rounded."""
LOSSY_COLOUR_TOLERANCE = 64
"""The same for JPEG, which blurs colour more than brightness."""
WHOLE = 1e-3
"""How far a floating-point class number may be from a whole number."""


class SoftMaskWarning(UserWarning):
    """A mask whose edges have levels between background and foreground."""


@dataclass(frozen=True)
class MaskPicture:
    """The pixels of a mask file, upright.

    Args:
        path: the file.
        values: (H, W) of levels (bool, whole or floating), or (H, W, 3) uint8 if there is a pixel that is not grey; 0 where the
            picture is transparent.
        alpha: (H, W) uint8 if some pixels are transparent and some are not, else None.
        format: the file's, e.g. ``PNG``.
    """

    path: Path
    values: Array
    alpha: Array | None
    format: str

    @property
    def lossy(self) -> bool:
        """Whether the format is lossy."""
        return self.format in LOSSY_FORMATS

    def numbers(self) -> Array:
        """(H, W) whole numbers: grey levels, or the only band of a colour picture that is not 0 everywhere.

        Raises:
            ValueError: the picture contains colours or fractions, or its format is lossy.
        """
        if self.lossy:
            raise ValueError(f"{self.path}: a {self.format} file cannot store exact class numbers; save masks as PNG")
        plane = _single_band(self.values)
        if plane is None:
            raise ValueError(f"{self.path}: {self._colours_text()}")
        if plane.dtype.kind == "f":
            whole = np.rint(plane)
            right = np.isfinite(plane) & np.isclose(plane, whole, rtol=0, atol=WHOLE)
            if not right.all():
                raise ValueError(f"{self.path}: contains {plane[~right].flat[0]:.4g}; class numbers are whole numbers")
            return whole.astype(np.int64)
        return plane

    def without(self, ignored: Array) -> MaskPicture:
        """The picture with 0 at ignored pixels."""
        values = np.where(ignored[..., None] if self.values.ndim == 3 else ignored, 0, self.values)
        alpha = None if self.alpha is None else np.where(ignored, 0, self.alpha)
        return replace(self, values=_grey_if_even(values.astype(self.values.dtype)), alpha=alpha)

    def colours(self) -> Array:
        """(H, W) int32: the colours as one number each, red first.

        Raises:
            ValueError: levels beyond 8 bits, or a format that mixes colours.
        """
        if self.lossy:
            raise ValueError(f"{self.path}: a {self.format} file mixes colours; save colour-coded masks as PNG")
        return _packed(self.values, self.path)

    def foreground(self, ignored: Array | None = None) -> Array:
        """(H, W) bool: which pixels of a picture of two levels, or nearly so, are foreground.

        Args:
            ignored: (H, W) bool, pixels to ignore.

        Raises:
            ValueError: there are more than two levels, or several colours.
        """
        if ignored is not None:
            return self.without(ignored).foreground()
        if self.alpha is not None:
            painted = self.values[self.alpha >= 128]
            if (painted == painted[:1]).all():
                return two_levels(self.alpha, self.path, lossy=self.lossy)
        shades = self.values if self.values.ndim == 2 else _shades_of_one_colour(self.values, lossy=self.lossy)
        if shades is None:
            raise ValueError(f"{self.path}: {self._colours_text()}")
        return two_levels(shades, self.path, lossy=self.lossy)

    def where(self, numbers: Sequence[int], colours: Sequence[int]) -> Array | None:
        """(H, W) bool: the pixels that have one of these numbers or colours; None if none has."""
        found = np.zeros(self.values.shape[:2], bool)
        plane = _single_band(self.values)
        if numbers and plane is not None:
            found |= np.isin(plane, numbers)
        if colours and (self.values.ndim == 3 or self.values.dtype == np.uint8):
            found |= np.isin(_packed(self.values, self.path), colours)
        return found if found.any() else None

    def _colours_text(self) -> str:
        codes, counts = np.unique(_packed(self.values, self.path), return_counts=True)
        by_share = codes[np.argsort(-counts, kind="stable")].tolist()
        return (
            f"contains {len(codes)} colours: {codes_text(by_share, colours=True)} (red, green, blue; the most common first); "
            "say which is which: --class NAME=R,G,B for each class, --class background=R,G,B unless it is black"
        )


def read_mask_picture(path: PathLike, photo: PhotoHeader | None, *, by_index: bool) -> MaskPicture:
    """Decode a mask.

    Args:
        path: the file.
        photo: the photograph that it belongs to, for orientation and size.
        by_index: use a palette's indices, not its colours.

    Raises:
        FileNotFoundError, ValueError: the file is missing or unusable, or differs in size from the photograph.
    """
    with opened(path) as image:
        deep = has_16_bit_colours(image)
        values, alpha = _pixels(image, by_index=by_index)
        picture_format = image.format or ""
        values = oriented(values, image, path, photo)
        alpha = None if alpha is None else oriented(alpha, image, path, photo, quiet=True)
    if deep and not values.any():
        raise ValueError(f"{path}: contains 16-bit colours of which the upper 8 bits are 0; save it as 8-bit PNG")
    values, alpha = _without_transparent(values, alpha)
    return MaskPicture(Path(path), _grey_if_even(values), alpha, picture_format)


def _without_transparent(values: Array, alpha: Array | None) -> tuple[Array, Array | None]:
    """Colours with 0 where they are transparent, and the alpha channel if it carries information."""
    if alpha is None or alpha.min() >= 128:
        return values, None
    if (
        alpha.max() < 128
    ):  # nothing is opaque: an empty layer, unless there is a picture below, of which the alpha then says nothing
        return (values, None) if (values != values[:1, :1]).any() else (np.zeros_like(values), None)
    return np.where(alpha[..., None] < 128, 0, values).astype(values.dtype), alpha


def _pixels(image: Image.Image, *, by_index: bool) -> tuple[Array, Array | None]:
    """(H, W) levels or (H, W, 3) colours, and (H, W) alpha if there is any."""
    if (image.mode == "P" and by_index) or image.mode in ("1", "I", "F") or image.mode.startswith("I;16"):
        return np.asarray(image), None
    has_alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    if image.mode == "L" and not has_alpha:
        return np.asarray(image), None
    if not has_alpha:
        return np.asarray(image.convert("RGB")), None
    rgba = np.asarray(image.convert("RGBA"))
    return rgba[..., :3], rgba[..., 3]


def _grey_if_even(values: Array) -> Array:
    """(H, W) of (H, W, 3) whose bands are all the same."""
    even = values.ndim == 3 and (values == values[..., :1]).all()
    return values[..., 0] if even else values


def _single_band(values: Array) -> Array | None:
    """(H, W): grey levels, or the only band of (H, W, 3) that is not 0 everywhere; None if there are several."""
    if values.ndim == 2:
        return values
    bands = [band for band in np.moveaxis(values, -1, 0) if band.any()]
    return bands[0] if len(bands) == 1 else None


def _packed(values: Array, path: Path) -> Array:
    """Colours (or grey levels) as one number each, (H, W) int32."""
    levels = values.astype(np.int32) * (255 if values.dtype == bool else 1)
    if levels.min() < 0 or levels.max() > 255:
        raise ValueError(
            f"{path}: contains levels from {levels.min()} to {levels.max()}, but colours have 8 bits; give its classes numbers"
        )
    if levels.ndim == 2:
        return levels * 0x010101
    packed: Array = levels[..., 0] << 16 | levels[..., 1] << 8 | levels[..., 2]
    return packed


def _shades_of_one_colour(values: Array, *, lossy: bool) -> Array | None:
    """(H, W): the brightness of each pixel of (H, W, 3) if all are shades of one colour on black; else None."""
    light: Array = values.max(axis=2)
    strongest = values.reshape(-1, 3)[int(light.argmax())].astype(np.float32)
    expected = light[..., None] * (strongest / strongest.max())
    tolerance = LOSSY_COLOUR_TOLERANCE if lossy else COLOUR_TOLERANCE
    return light if np.abs(values - expected).max() <= tolerance else None


def two_levels(array: Array, path: PathLike, *, lossy: bool) -> Array:
    """Which of (H, W) pixels are foreground, as bool: those of the one level besides 0; in a blurred mask those above half.

    Raises:
        ValueError: there are more levels.
    """
    if array.dtype == bool:
        return array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{path}: contains values that are NaN or infinite; save the mask as 8-bit PNG")
    foreground: Array = array > 0
    top = array.max()
    if array.min() >= 0 and np.count_nonzero(foreground) == (np.count_nonzero(array == top) if top > 0 else 0):
        return foreground  # 0 and one other level, or one level alone
    levels = np.unique(array)
    few = len(levels) <= 3 and not lossy
    if few or levels[0] < 0 or levels[-1] < 128 or not _is_blurred(array):
        raise ValueError(
            f"{path}: a binary mask has background 0 and one other level, but this one has {len(levels)} grey levels "
            f"({listed_levels(levels)}); threshold it first, or say what they are: --class NAME={levels[-1]:g} …, --ignore VALUE"
        )
    message = f"{path}: mask with soft or lossy edges ({len(levels)} levels), thresholded at half"
    warnings.warn(message, SoftMaskWarning, stacklevel=4)
    foreground = array > levels[-1] / 2
    return foreground


def _is_blurred(array: Array) -> bool:
    """Whether (H, W) values between background 0 and the highest level occur only at edges."""
    top = int(array.max())
    soft = (array > top // 4) & (array < top - top // 4)
    centre = array[1:-1, 1:-1]
    flat = soft[1:-1, 1:-1] & (centre == array[:-2, 1:-1]) & (centre == array[2:, 1:-1])
    flat &= (centre == array[1:-1, :-2]) & (centre == array[1:-1, 2:])
    dark = int(array.min()) <= top // 4
    return bool(dark and soft.mean() <= SOFT_SHARE and int(flat.sum()) <= FLAT_PIXELS)


def listed_levels(levels: Array) -> str:
    """Some of the levels, for a message."""
    names = [f"{level:g}" for level in levels]
    return ", ".join(names if len(names) <= 6 else [*names[:3], "...", *names[-2:]])


def oriented(
    stored: Array, image: Image.Image, path: PathLike, photo: PhotoHeader | None, *, quiet: bool = False
) -> Array:
    """Turn (H, W) or (H, W, bands) stored mask pixels upright and compare their size with the photograph's.

    Raises:
        ValueError: the sizes differ.
    """
    own = PhotoHeader(Path(path), image.size, orientation_of(image))
    orientation = own.orientation
    if photo is not None and orientation == 1 and photo.orientation != 1 and own.size == photo.stored_size:
        orientation = photo.orientation
        if own.size == photo.size and not quiet:
            warnings.warn(
                f"{path}: has no orientation tag; turned by the photograph's tag ({orientation})",
                stacklevel=5,
            )
    array = upright(stored, orientation)
    height, width = array.shape[:2]
    if photo is not None and (width, height) != photo.size:
        raise ValueError(
            f"mask {path} is {width}x{height} but image {photo.path} is {photo.size[0]}x{photo.size[1]}; "
            "they must have the same size"
        )
    return array
