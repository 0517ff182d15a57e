"""Mask pictures: read as class labels on the photograph's own grid, written as PNG.

**Levels.** A binary mask holds background 0 and one other level (1, 255, ...), in any mode: bool, grey,
colour, palette (by its colours) or alpha. A mask with soft or JPEG-blurred edges is thresholded at half,
with a warning. Three clear levels are no binary mask and are refused. A multiclass mask holds the class
numbers themselves (a palette's indices, not its colours). Classes that overlap have a file each, or together one file with
as many bands as there are classes (RGB for three): two levels in each band.

**Orientation.** A mask with an EXIF orientation of its own is turned upright by it. A mask without one that
has the size of the photograph's *stored* pixels was drawn on them, and turns with the photograph. A mask
without one that has the size of the
*upright* photograph was drawn on what the viewer showed, and stays. Where both sizes are the same (a half
turn, a mirrored or a square picture) the first is taken, with a warning.
"""

from __future__ import annotations

import io
import os
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from medseg_monai.cases import MASK_BANDS
from medseg_monai.files import write_whole
from medseg_monai.images.photos import Array, PathLike, PhotoHeader, opened, orientation_of, read_header, upright
from medseg_monai.spec import DatasetSpec, file_part

SOFT_SHARE = 0.25
"""A blurred mask may have this share of its pixels between a quarter and three quarters of full; more is no mask."""
FLAT_PIXELS = 16
"""So many pixels of a middle level inside an even patch are a third level, not a blurred edge."""
LOSSY_FORMATS = ("JPEG", "MPO", "WEBP")


def read_mask(
    path: PathLike | Sequence[PathLike], spec: DatasetSpec, *, image: PathLike | PhotoHeader | None = None
) -> Array:
    """A case's mask, upright, at its own size: (1, W, H), or (classes, W, H) for multilabel; uint8.

    Args:
        path: one file; for multilabel one per class in the order of ``spec.classes``, or one with a band per class. A
            multiclass mask may also come as one binary file per class if those do not overlap.
        spec: the data set.
        image: the photograph it belongs to; orientation and size are then checked against it.

    Raises:
        FileNotFoundError, ValueError: a file is missing or unusable, its levels are no mask, or its size is
            not the photograph's (the message names both).
    """
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    header = image if isinstance(image, PhotoHeader) or image is None else read_header(image)
    if len(paths) == 1 and spec.task == "multiclass":
        planes = [_class_numbers(paths[0], len(spec.classes), header)]
    elif len(paths) == 1 and spec.label_channels > 1:
        planes = _bands(paths[0], len(spec.classes), header)
    else:
        planes = [_foreground(file, header) for file in paths]
    wanted = (1, len(spec.classes)) if spec.task == "multiclass" else (spec.label_channels,)
    if len(planes) not in wanted:
        count = f"{len(planes)} mask files for {len(spec.classes)} classes"
        bands = ", or one file with a band per class" if spec.label_channels > 1 else ""
        raise ValueError(f"{paths[0]}: {count} in a {spec.task} data set; give one per class{bands}")
    if len({plane.shape for plane in planes}) > 1:
        sizes = ", ".join(f"{p} {a.shape[1]}x{a.shape[0]}" for p, a in zip(paths, planes, strict=True))
        raise ValueError(f"the masks of one case differ in size: {sizes}")
    label: Array = planes[0].T[None] if len(planes) == 1 else np.stack([plane.T for plane in planes])
    return _merge_classes(label, paths) if spec.task == "multiclass" and len(planes) > 1 else label


def _merge_classes(label: Array, paths: Sequence[PathLike]) -> Array:
    """(n, W, H) of {0,1} without overlap as (1, W, H) of class numbers."""
    if int(label.sum(axis=0).max()) > 1:
        raise ValueError(f"{paths[0]}: the classes' masks overlap; make the data set's task multilabel")
    numbers = np.arange(1, len(label) + 1, dtype=np.uint8)[:, None, None]
    merged: Array = (label * numbers).max(axis=0, keepdims=True)
    return merged


def _class_numbers(path: PathLike, classes: int, photo: PhotoHeader | None) -> Array:
    """(H, W) uint8 of 0 to `classes`."""
    with opened(path) as image:
        if image.format in LOSSY_FORMATS:
            raise ValueError(f"{path}: a {image.format} file cannot hold class numbers; save masks as PNG")
        stored = np.asarray(image if image.mode == "P" or _is_grey(image) else image.convert("L"))
        array = _orient(stored, image, path, photo)
    if int(array.max()) > classes:
        levels = _listed(np.unique(array))
        raise ValueError(f"{path}: holds the levels {levels}; {classes} classes need levels 0 to {classes}")
    return array.astype(np.uint8)


def _bands(path: PathLike, classes: int, photo: PhotoHeader | None) -> list[Array]:
    """(H, W) uint8 in {0, 1} for each band of a picture."""
    with opened(path) as image:
        if image.format in LOSSY_FORMATS:
            raise ValueError(f"{path}: a {image.format} file mixes its bands; save masks of several classes as PNG")
        names = image.getbands()
        if len(names) != classes:
            raise ValueError(
                f"{path}: has {len(names)} bands ({image.mode}) for {classes} classes; "
                "give one file per class, or one with a band per class (RGB for three)"
            )
        array = _orient(np.asarray(image), image, path, photo)
    return [
        _two_levels(array[..., number], f"{path} band {name}", lossy=False).astype(np.uint8)
        for number, name in enumerate(names)
    ]


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "I") or image.mode.startswith("I;16")


def _foreground(path: PathLike, photo: PhotoHeader | None) -> Array:
    """(H, W) uint8 in {0, 1} from a picture of two levels, or nearly so."""
    with opened(path) as image:
        lossy = image.format in LOSSY_FORMATS
        if image.mode == "1" or (_is_grey(image) and image.mode != "L"):
            stored = np.asarray(image)
        else:
            stored = _grey_or_alpha(image)
        array = _orient(stored, image, path, photo)
    return _two_levels(array, path, lossy).astype(np.uint8)


def _grey_or_alpha(image: Image.Image) -> Array:
    """The luminance, or the alpha channel where the colour says nothing."""
    has_alpha = "A" in image.getbands() or "transparency" in image.info
    colour = np.asarray((image.convert("RGBA") if has_alpha else image).convert("L"))
    if has_alpha and colour.min() == colour.max():
        return np.asarray(image.convert("RGBA").getchannel("A"))
    return colour


def _two_levels(array: Array, path: PathLike, lossy: bool) -> Array:
    """Which pixels are foreground, as bool; the rules stand at the top of this file."""
    if array.dtype == bool:
        return array
    foreground: Array = array > 0
    if np.count_nonzero(foreground) == np.count_nonzero(array == max(1, array.max())):
        return foreground  # 0 and one other level, or one level alone
    levels = np.unique(array)
    few = len(levels) <= 3 and not lossy
    if few or levels[-1] < 128 or not _is_blurred(array):
        raise ValueError(
            f"{path}: a binary mask has background 0 and one other level, "
            f"this has {len(levels)} grey levels ({_listed(levels)}); threshold it first"
        )
    warnings.warn(f"{path}: mask with soft or lossy edges ({len(levels)} levels), thresholded at half", stacklevel=4)
    foreground = array > levels[-1] / 2
    return foreground


def _is_blurred(array: Array) -> bool:
    """Whether (H, W) values between background 0 and the highest level occur at edges only."""
    top = int(array.max())
    soft = (array > top // 4) & (array < top - top // 4)
    centre = array[1:-1, 1:-1]
    flat = soft[1:-1, 1:-1] & (centre == array[:-2, 1:-1]) & (centre == array[2:, 1:-1])
    flat &= (centre == array[1:-1, :-2]) & (centre == array[1:-1, 2:])
    dark = int(array.min()) <= top // 4
    return dark and soft.mean() <= SOFT_SHARE and int(flat.sum()) <= FLAT_PIXELS


def _listed(levels: Array) -> str:
    names = [str(int(level)) for level in levels]
    return ", ".join(names if len(names) <= 6 else [*names[:3], "...", *names[-2:]])


def _orient(stored: Array, image: Image.Image, path: PathLike, photo: PhotoHeader | None) -> Array:
    """Turn (H, W) or (H, W, bands) stored mask pixels upright and hold them against the photograph's size."""
    own = PhotoHeader(Path(path), image.size, orientation_of(image))
    orientation = own.orientation
    if photo is not None and orientation == 1 and photo.orientation != 1 and own.size == photo.stored_size:
        orientation = photo.orientation
        if own.size == photo.size:
            warnings.warn(
                f"{path}: has no orientation of its own; turned as the photograph's tag ({orientation}) says",
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


def write_mask(mask: Array, path: PathLike, spec: DatasetSpec) -> list[Path]:
    """Write a mask as PNG, whole or not at all: a file of this name is replaced only when the new one is complete.

    Args:
        mask: (1, W, H) of {0, 1} (binary) or class numbers (multiclass), or (classes, W, H) of {0, 1}
            (multilabel); upright.
        path: the file, ending in ``.png``; its folder is made. Multilabel writes ``stem_class.png`` for
            each class instead.
        spec: the data set.

    Returns:
        The files written: {0, 255} for binary and multilabel, class numbers for multiclass, 8-bit grey
            without EXIF
        orientation, because the mask has the photograph's size as displayed.

    Raises:
        ValueError: `mask` has another shape, or `path` another ending.
    """
    file = Path(path)
    if mask.ndim != 3 or len(mask) != spec.label_channels:
        raise ValueError(f"{file}: a mask of shape {mask.shape} came, ({spec.label_channels}, W, H) is written")
    if file.suffix.lower() != ".png":
        raise ValueError(f"{file}: masks are written as .png; other formats blur or lose them")
    if spec.task == "multiclass":
        return [write_png(mask[0].astype(np.uint8), file, even=True)]
    planes = [(plane > 0).astype(np.uint8) * 255 for plane in mask]
    return [write_png(plane, name, even=True) for plane, name in zip(planes, mask_files(file, spec), strict=True)]


def write_bands(mask: Array, path: PathLike) -> Path:
    """Write masks of two, three or four overlapping classes as the bands of one PNG file, whole or not at all.

    Args:
        mask: (classes, W, H), 0 outside.
        path: the file, ending in ``.png``; its folder is made.
    """
    file = Path(path)
    if mask.ndim != 3 or len(mask) not in MASK_BANDS or file.suffix.lower() != ".png":
        raise ValueError(
            f"{file}: a mask of shape {mask.shape} came; (2 to 4 classes, W, H) become bands of a .png file"
        )
    levels = (mask > 0).transpose(2, 1, 0).astype(np.uint8) * np.uint8(255)  # (K, W, H) -> (H, W, K)
    content = io.BytesIO()
    # the bands' own compression, quicker by half than the default and hardly larger for masks
    Image.fromarray(np.ascontiguousarray(levels)).save(content, format="PNG", compress_level=3)
    write_whole(file, content.getvalue())
    return file


def mask_files(path: PathLike, spec: DatasetSpec) -> list[Path]:
    """The files that `write_mask` writes for `path`: itself, or one ``stem_class.png`` per overlapping class."""
    file = Path(path)
    if spec.task != "multilabel":
        return [file]
    return [class_file(file, name) for name in spec.classes]


def class_file(file: Path, class_name: str) -> Path:
    """``stem_class.png`` beside ``stem.png``, with only such characters as every file system takes."""
    return file.with_name(f"{file.stem}_{file_part(class_name)}{file.suffix}")


def write_png(plane: Array, file: Path, *, even: bool = False) -> Path:
    """Write a (W, H) uint8 plane as a PNG file, whole or not at all.

    Args:
        plane: the pixels.
        file: where to.
        even: the plane has large even areas, as masks have: run lengths then compress best.
    """
    content = io.BytesIO()
    # a photograph's mask takes 3 ms so, and 8 ms at the library's own level, for a file of the same size
    strategy = zlib.Z_RLE if even else zlib.Z_DEFAULT_STRATEGY
    picture = Image.fromarray(np.ascontiguousarray(plane.T))
    picture.save(content, format="PNG", compress_level=1, compress_type=strategy)
    write_whole(file, content.getvalue())
    return file
