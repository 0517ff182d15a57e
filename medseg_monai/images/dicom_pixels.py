"""The voxels of DICOM slices: stored values times slope plus intercept, however they are displayed (MONOCHROME1).

Plain and run-length encoded pixels are read by pydicom; the JPEG family is decoded by SimpleITK, or else by pydicom's plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from medseg_monai.images.dicom_files import pydicom
from medseg_monai.images.dicom_stack import Slice
from medseg_monai.images.itk_files import plain_reason, simpleitk
from medseg_monai.images.photos import Array

WHOLE_TYPES = (np.int16, np.uint16, np.int32)
"""Types for whole values: the first that can represent them is used."""
COPIED = ("SOPClassUID", "SOPInstanceUID")
"""Tags that SimpleITK needs besides the pixels and their encoding."""


def read_voxels(slices: Sequence[Slice]) -> Array:
    """Voxels (I, J, K) of slices in this order, each with its own slope and intercept; integers, or float32 if any value is not whole.

    Raises:
        ValueError: pixels cannot be decoded; the first such file is named.
        ImportError: SimpleITK is needed but not installed.
    """
    shape = (*slices[0].size, len(slices))
    whole = all(one.slope.is_integer() and one.intercept.is_integer() for one in slices)
    voxels: Array = np.empty(shape, np.int32 if whole else np.float32)
    low, high = 0, 0
    for number, one in enumerate(slices):
        plane = read_pixels(one)
        if whole:
            low, high = min(low, int(plane.min())), max(high, int(plane.max()))
            if high > np.iinfo(np.int32).max or low < np.iinfo(np.int32).min:
                voxels, whole = voxels.astype(np.float32), False
        voxels[..., number] = plane.T
    if not whole:
        return voxels
    fitting = next(kind for kind in WHOLE_TYPES if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return voxels.astype(fitting, copy=False)


def read_pixels(one: Slice) -> Array:
    """One slice's values, (J, I), int64 or float64. Raises as `read_voxels` does."""
    stored = _stored(one)
    if stored.shape != one.size[::-1]:
        raise ValueError(
            f"{one.file.name} has {stored.shape} pixels, but its header says {one.size[::-1]} (rows, columns)"
        )
    if stored.dtype.kind in "iu" and one.slope.is_integer() and one.intercept.is_integer():
        return stored.astype(np.int64) * int(one.slope) + int(one.intercept)
    values: Array = stored.astype(np.float64) * one.slope + one.intercept
    return values


def _stored(one: Slice) -> Array:
    """The stored values, (J, I), from the first decoder that works.

    Raises:
        ValueError: none works; the message quotes the first decoder and says what to do.
    """
    try:
        data = pydicom().dcmread(one.file, force=True)
    except Exception as error:  # as in `image_header`: a damaged file may raise anything in pydicom
        raise ValueError(f"{one.file.name} cannot be read ({error}); copy it again from its source") from None
    syntax = _syntax(data)
    ways: list[Callable[[Any], Array]] = [_by_pydicom]
    if syntax.is_encapsulated and syntax != pydicom().uid.RLELossless:
        ways = [_by_simpleitk, _by_pydicom]
    reasons = []
    for way in ways:
        try:
            return way(data)
        except (RuntimeError, ValueError, AttributeError, NotImplementedError, OSError, KeyError, EOFError) as error:
            reasons.append(plain_reason(error).removeprefix("ITK ERROR: "))
    cure = "it is damaged or truncated: copy it again from its source"
    if syntax.is_private or syntax.is_encapsulated:
        cure = "it is damaged, encrypted or compressed in a way that cannot be decoded here: decompress it first (gdcmconv --raw)"
    raise ValueError(f"the pixels of {one.file.name} cannot be read ({syntax.name}; {reasons[0]}); {cure}")


def _syntax(data: Any) -> Any:
    """A data set's transfer syntax; without file meta information, the one that pydicom detected."""
    uids = pydicom().uid
    if named := data.file_meta.get("TransferSyntaxUID"):
        return named
    implicit, little = data.original_encoding
    if not little:
        return uids.ExplicitVRBigEndian
    return uids.ImplicitVRLittleEndian if implicit else uids.ExplicitVRLittleEndian


def _by_pydicom(data: Any) -> Array:
    data.file_meta.TransferSyntaxUID = _syntax(data)
    pixels: Array = pydicom().pixels.pixel_array(data, raw=True)
    return pixels


def _by_simpleitk(data: Any) -> Array:
    """Decode a copy without the tags for inverted display and scaling: SimpleITK would apply both."""
    plain = data.group_dataset(0x0028)  # the encoding of the pixels
    plain.file_meta = data.file_meta
    for keyword in (*COPIED, "PixelData"):
        plain[keyword] = data[keyword]
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        if keyword in plain:
            del plain[keyword]
    plain.PhotometricInterpretation = "MONOCHROME2"
    with TemporaryDirectory(prefix="medseg-dicom-") as folder:
        copy = Path(folder) / "slice.dcm"
        plain.save_as(copy, enforce_file_format=False)
        sitk = simpleitk()
        stack: Array = sitk.GetArrayFromImage(sitk.ReadImage(str(copy), imageIO="GDCMImageIO"))
    pixels: Array = stack[0]  # (1, J, I) -> (J, I)
    return pixels
