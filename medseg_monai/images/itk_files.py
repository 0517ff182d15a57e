"""NRRD (.nrrd, .nhdr) and MetaImage (.mha, .mhd) files, by SimpleITK, which is imported only when needed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.grids.geometry import LPS, Geometry, Header, numbers_text
from medseg_monai.images.label_names import segment_keys, segment_names
from medseg_monai.images.paired import missing_voxels
from medseg_monai.images.photos import Array

SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")


def simpleitk() -> Any:
    """The package SimpleITK, without its warnings on the terminal.

    Raises:
        ImportError: it is not installed; the message names the extra.
    """
    try:
        import SimpleITK
    except ImportError:
        raise ImportError(
            "DICOM, NRRD and MHA files need SimpleITK, which is not installed: pip install SimpleITK"
        ) from None
    sitk: Any = SimpleITK
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk


def plain_reason(error: Exception) -> str:
    """The last meaningful line of one of SimpleITK's long messages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"\(0x[0-9a-f]+\)", "", lines[-1]) if lines else type(error).__name__


@contextmanager
def _named_errors(file: Path) -> Iterator[None]:
    """SimpleITK's and our own errors as one line that begins with the file.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is empty, damaged or of another format, or its header is invalid.
    """
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file")
    if file.is_file() and file.stat().st_size == 0:
        raise ValueError(f"{file}: is empty (0 bytes); copy it again from its source")
    if missing := missing_voxels(file):
        raise ValueError(f"{file}: is the header of a pair; its voxel file {missing} is missing")
    try:
        yield
    except RuntimeError as error:
        if "Unable to determine ImageIO" in str(error):
            reason = f"is not a {file.suffix.lower()} volume despite its name"
        else:
            reason = f"is damaged or truncated ({plain_reason(error)}); copy it again from its source"
        raise ValueError(f"{file}: {reason}") from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def read_header(file: Path) -> Header:
    """Grid, channels and type, without the voxels. Raises as `read` does."""
    sitk = simpleitk()
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    with _named_errors(file):
        reader.ReadImageInformation()
        _check_spacing(file, reader.GetSpacing())
        stored = sitk.GetPixelIDValueAsString(reader.GetPixelID())
        if "complex" in stored or "label" in stored:
            raise ValueError(f"contains voxels of type {stored}; expected one grey value per voxel")
        size = list(reader.GetSize())
        channels = reader.GetNumberOfComponents()
        if len(size) == 4 and channels == 1:
            channels = size.pop()
        if len(size) != 3:
            raise ValueError(f"has {len(size)} axes; a volume has 3")
        axes = reader.GetDimension()
        direction = np.array(reader.GetDirection()).reshape(axes, axes)[:3, :3]
        affine = np.eye(4)
        affine[:3, :3] = direction * np.array(reader.GetSpacing()[:3])
        affine[:3, 3] = reader.GetOrigin()[:3]
        return Header(Geometry((size[0], size[1], size[2]), LPS @ affine), channels, stored)


def read(file: Path) -> tuple[Array, NDArray[np.float64], str]:
    """Voxels (I, J, K) or (I, J, K, C) in the stored type, affine (RAS, mm), and the stored type's name.

    Raises:
        FileNotFoundError, ValueError: the file is missing, damaged or of another format, or its header is invalid.
        ImportError: SimpleITK is not installed.
    """
    header = read_header(file)
    sitk = simpleitk()
    with _named_errors(file):
        image = sitk.ReadImage(str(file))
        array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:  # (K, J, I, C)
        array = array.transpose(2, 1, 0, 3)
    else:  # (K, J, I) or (C, K, J, I)
        array = array.transpose()
    shape = header.geometry.shape + ((header.channels,) if header.channels > 1 else ())
    return array.reshape(shape), header.geometry.affine, header.stored


def _check_spacing(file: Path, spacing: Sequence[float]) -> None:
    """Voxel sides; MetaImage's as stored, because ITK silently turns a negative one into a flipped axis."""
    sides = list(spacing)
    if file.suffix.lower() in (".mha", ".mhd"):
        with file.open("rb") as stream:
            found = re.search(rb"^ElementSpacing *= *([^\r\n]+)", stream.read(8192), re.MULTILINE)
        sides = [float(number) for number in found[1].split()] if found else sides
    if not min(sides) > 0:
        raise ValueError(
            f"its header gives voxel sides of {numbers_text(sides)} mm; all must be above 0: correct the header"
        )


def read_label_names(file: Path) -> dict[int, str]:
    """{class number: name} as 3D Slicer stores them; empty if the file has none."""
    reader = simpleitk().ImageFileReader()
    reader.SetFileName(str(file))
    with _named_errors(file):
        reader.ReadImageInformation()
        return segment_names({key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()})


def write_labels(array: NDArray[np.uint8], geometry: Geometry, file: Path, classes: Sequence[str]) -> Path:
    """Write (I, J, K) uint8 labels, compressed, whole or not at all, with the classes' names as 3D Slicer reads them."""
    sitk = simpleitk()
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))  # (I, J, K) -> (K, J, I)
    affine = LPS @ geometry.affine
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / np.array(geometry.spacing_mm)).ravel().tolist())
    for key, value in segment_keys(classes, array).items():
        image.SetMetaData(key, value)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".part-{file.name}")  # SimpleITK chooses the format by the suffix
    try:
        sitk.WriteImage(image, str(part), useCompression=True)
        part.replace(file)
    except RuntimeError as error:
        raise OSError(f"{file}: cannot be written ({plain_reason(error)})") from None
    finally:
        part.unlink(missing_ok=True)
    return file
