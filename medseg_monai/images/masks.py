"""Mask pictures: read as class labels on the photograph's own grid, written as PNG.

**Levels.** A binary mask has background 0 and one other level (1, 255, ...), in any mode: bool, grey, floating-point, shades of one
colour, palette (by its colours) or opaque on transparent (see `mask_pictures`). A mask with soft or JPEG-blurred edges is thresholded
at half, with a warning. A mask with three distinct levels is not binary and is refused. A multiclass mask contains the class numbers:
as grey, as a palette's indices (not its colours), or in one band of a colour picture. Classes that overlap have a file each, or
together one file with as many bands as there are classes (RGB for three): two levels in each band. If the data set has
``label_values``, these numbers or colours are the classes instead. Several files of a binary mask are merged.

**Ignored pixels** (the data set's ``ignore``) become `IGNORED` in the label.

**Orientation.** A mask with its own EXIF orientation is turned upright by it. A mask without one was drawn on the *stored*
pixels of the photograph if it has their size, and is turned with the photograph; if it has the size of the *upright* photograph,
it was drawn on the displayed picture, and stays. If both sizes are the same (a half turn, a mirrored or a square picture), the
first is assumed, with a warning.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from medseg_monai.dataset.cases import MASK_BANDS
from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.writing import file_part, write_whole
from medseg_monai.images.label_codes import ignored_colours, ignored_numbers, labels_by_value
from medseg_monai.images.mask_pictures import LOSSY_FORMATS, listed_levels, oriented, read_mask_picture, two_levels
from medseg_monai.images.photos import Array, PathLike, PhotoHeader, opened, read_header
from medseg_monai.images.png import even_png


def read_mask(
    path: PathLike | Sequence[PathLike], spec: DatasetSpec, *, image: PathLike | PhotoHeader | None = None
) -> Array:
    """A case's mask, upright, at its own size: (1, W, H), or (classes, W, H) for multilabel; uint8, with `IGNORED` at ignored pixels.

    Args:
        path: one file; for multilabel one per class in the order of ``spec.classes``, or one with a band per class. A
            multiclass mask may also be one binary file per class if those do not overlap, a binary one several
            files, which are merged.
        spec: the data set.
        image: the photograph it belongs to; orientation and size are then checked against it.

    Raises:
        FileNotFoundError, ValueError: a file is missing or unusable, its levels are not those of a mask, or its size is
            not the photograph's (the message names both).
    """
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    header = image if isinstance(image, PhotoHeader) or image is None else read_header(image)
    alone = len(paths) == 1
    planes = [plane for file in paths for plane in _planes(file, spec, header, alone=alone)]
    _check_count(planes, paths, spec)
    if len({plane.shape for plane in planes}) > 1:
        sizes = ", ".join(f"{p} {a.shape[1]}x{a.shape[0]}" for p, a in zip(paths, planes, strict=True))
        raise ValueError(f"the masks of one case differ in size: {sizes}")
    label: Array = planes[0].T[None] if len(planes) == 1 else np.stack([plane.T for plane in planes])
    if spec.task == "multilabel" or len(label) == 1:
        return label
    return _merge_classes(label, paths[0]) if spec.task == "multiclass" else _united(label)


def _planes(file: PathLike, spec: DatasetSpec, photo: PhotoHeader | None, *, alone: bool) -> Sequence[Array]:
    """The (H, W) labels in a file: class numbers, or {0, 1} for one class or for each; `IGNORED` at ignored pixels."""
    if spec.label_values is not None:
        if not alone and spec.task != "binary":
            raise ValueError(f"{file}: {SEPARATE_FILES}")
        picture = read_mask_picture(file, photo, by_index=not spec.label_values.are_colours)
        codes = picture.colours() if spec.label_values.are_colours else picture.numbers()
        return list(labels_by_value(codes, spec.label_values, spec, file))
    if alone and spec.task == "multiclass":
        return [_class_numbers(file, spec, photo)]
    if alone and spec.label_channels > 1:
        return _bands(file, spec, photo)
    return [_foreground(file, spec, photo)]


SEPARATE_FILES = "label_values are for one file with all classes, but this case has a file for each; remove label_values or merge the files"


def _check_count(planes: Sequence[Array], paths: Sequence[PathLike], spec: DatasetSpec) -> None:
    """Refuse a number of masks that does not fit the classes."""
    wanted = (1, len(spec.classes)) if spec.task == "multiclass" else (spec.label_channels,)
    if len(planes) not in wanted and spec.task != "binary":
        count = f"{len(planes)} mask files for {len(spec.classes)} classes"
        bands = ", or one file with a band per class" if spec.label_channels > 1 else ""
        raise ValueError(f"{paths[0]}: {count} in a {spec.task} data set; give one per class{bands}")


def _merge_classes(label: Array, path: PathLike) -> Array:
    """(n, *S) of {0, 1} without overlap as (1, *S) of class numbers.

    Raises:
        ValueError: two classes share a pixel.
    """
    merged = np.zeros(label.shape[1:], np.uint8)
    ignored = np.zeros(label.shape[1:], bool)
    for number, plane in enumerate(label, 1):
        there = plane == 1
        if (there & (merged > 0)).any():
            raise ValueError(f"{path}: the classes' masks overlap; make the data set's task multilabel")
        merged[there] = number
        ignored |= plane == IGNORED
    merged[ignored & (merged == 0)] = IGNORED
    return merged[None]


def _united(label: Array) -> Array:
    """(n, *S) of {0, 1} as (1, *S): 1 where any is 1; `IGNORED` where none is and any is ignored."""
    there: Array = (label == 1).any(axis=0)
    ignored = (label == IGNORED).any(axis=0)
    return np.where(there, 1, np.where(ignored, IGNORED, 0)).astype(np.uint8)[None]


def _class_numbers(path: PathLike, spec: DatasetSpec, photo: PhotoHeader | None) -> Array:
    """(H, W) uint8 of 0 to the number of classes."""
    picture = read_mask_picture(path, photo, by_index=not ignored_colours(spec))
    ignored = picture.where(ignored_numbers(spec), ignored_colours(spec))
    numbers = (picture if ignored is None else picture.without(ignored)).numbers()
    classes = len(spec.classes)
    if int(numbers.max()) > classes or int(numbers.min()) < 0:
        levels = np.unique(numbers)
        raise ValueError(
            f"{path}: contains the levels {listed_levels(levels)}; {classes} classes need levels 0 to {classes}; "
            f"name other values: --class NAME={levels[-1]} …, or --ignore VALUE"
        )
    return _with_ignored(numbers.astype(np.uint8), ignored)


def _bands(path: PathLike, spec: DatasetSpec, photo: PhotoHeader | None) -> list[Array]:
    """(H, W) uint8 in {0, 1} for each band of a picture."""
    classes = len(spec.classes)
    with opened(path) as image:
        if image.format in LOSSY_FORMATS:
            raise ValueError(f"{path}: a {image.format} file mixes its bands; save masks of several classes as PNG")
        names = image.getbands()
        if len(names) != classes:
            raise ValueError(
                f"{path}: has {len(names)} bands ({image.mode}) for {classes} classes; "
                "give one file per class, or one with a band per class (RGB for three)"
            )
        array = oriented(np.asarray(image), image, path, photo)
    planes = []
    for number, name in enumerate(names):
        band = array[..., number]
        ignored = np.isin(band, ignored_numbers(spec))
        found = two_levels(np.where(ignored, 0, band), Path(f"{path} band {name}"), lossy=False)
        planes.append(_with_ignored(found.astype(np.uint8), ignored))
    return planes


def _foreground(path: PathLike, spec: DatasetSpec, photo: PhotoHeader | None) -> Array:
    """(H, W) uint8 in {0, 1} from a picture of two levels, or nearly so."""
    picture = read_mask_picture(path, photo, by_index=bool(ignored_numbers(spec)))
    ignored = picture.where(ignored_numbers(spec), ignored_colours(spec))
    return _with_ignored(picture.foreground(ignored).astype(np.uint8), ignored)


def _with_ignored(label: Array, ignored: Array | None) -> Array:
    return label if ignored is None else np.where(ignored, np.uint8(IGNORED), label)


def write_mask(mask: Array, path: PathLike, spec: DatasetSpec) -> list[Path]:
    """Write a mask as PNG, whole or not at all: a file of this name is replaced only when the new one is complete.

    Args:
        mask: (1, W, H) of {0, 1} (binary) or class numbers (multiclass), or (classes, W, H) of {0, 1}
            (multilabel); upright.
        path: the file, ending in ``.png``; its folder is created. Multilabel writes ``stem_class.png`` for
            each class instead.
        spec: the data set.

    Returns:
        The files written: {0, 255} for binary and multilabel, class numbers for multiclass; 8-bit grey
            without EXIF orientation, because the mask has the photograph's size as displayed.

    Raises:
        ValueError: `mask` has another shape, or `path` another suffix.
    """
    file = Path(path)
    if mask.ndim != 3 or len(mask) != spec.label_channels:
        raise ValueError(f"{file}: got a mask of shape {mask.shape}, expected ({spec.label_channels}, W, H)")
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
        path: the file, ending in ``.png``; its folder is created.
    """
    file = Path(path)
    if mask.ndim != 3 or len(mask) not in MASK_BANDS or file.suffix.lower() != ".png":
        raise ValueError(
            f"{file}: got a mask of shape {mask.shape}; expected (2 to 4 classes, W, H), to become bands of a .png file"
        )
    levels = (mask > 0).transpose(2, 1, 0).astype(np.uint8) * np.uint8(255)  # (K, W, H) -> (H, W, K)
    content = io.BytesIO()
    # run-length compression of the bands: twice as fast as the default and hardly larger for masks
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
    """``stem_class.png`` beside ``stem.png``, with only characters that every file system accepts."""
    return file.with_name(f"{file.stem}_{file_part(class_name)}{file.suffix}")


def write_png(plane: Array, file: Path, *, even: bool = False) -> Path:
    """Write a (W, H) uint8 plane as a PNG file, whole or not at all.

    Args:
        plane: the pixels.
        file: the file to write.
        even: the plane has large even areas, as masks do, see `medseg_monai.images.png`.
    """
    if even:
        write_whole(file, even_png(np.asarray(plane, np.uint8)))
        return file
    content = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(plane.T))
    picture.save(content, format="PNG", compress_level=1, compress_type=zlib.Z_DEFAULT_STRATEGY)
    write_whole(file, content.getvalue())
    return file
