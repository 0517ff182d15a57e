"""NIfTI files, by nibabel; what their headers claim is checked first."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray
from zlib_ng import gzip_ng

from medseg_monai.files.writing import write_whole
from medseg_monai.grids.geometry import Geometry, Header, numbers_text, shape_text
from medseg_monai.images.label_names import label_names, label_table
from medseg_monai.images.paired import all_files, header_suffix
from medseg_monai.images.photos import Array

MILLIMETRES = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
"""A header's unit of length in millimetres."""
PLACE_FIELDS = (
    *("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z", "xyzt_units"),
)
"""The header fields that position a file's voxels, besides ``pixdim``."""
SPACING_TOLERANCE = 0.01
"""Largest relative difference between the voxel sides of ``pixdim`` and sform."""
GZIP_MARK = b"\x1f\x8b"
SNIFFED = 1024
BLOCK = 2**20
SLOPE_OFFSET = 112
"""Offset in a header of the factor for stored values."""
LABEL_TABLE_CODE = 0
"""The code of the extension with class names: the one that TotalSegmentator writes and reads."""


@contextmanager
def _named_errors(file: Path) -> Iterator[None]:
    """Turn any error inside into one clear line that begins with the file.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is empty, damaged, or not NIfTI.
    """
    try:
        if not file.exists():
            raise FileNotFoundError(f"{file}: no such file")
        if file.is_file() and file.stat().st_size == 0:
            raise ValueError(f"{file}: is empty (0 bytes); copy it again from its source")
        yield
    except PermissionError:
        raise ValueError(f"{file}: no permission to read it; check its permissions") from None
    except FileNotFoundError:
        raise
    except (ImageFileError, HeaderDataError) as error:
        if _is_gzip_cut_short(file):
            raise ValueError(f"{file}: is damaged or truncated; copy it again from its source") from None
        reason = " ".join(str(error).replace(f'"{file}"', "it").split())
        raise ValueError(f"{file}: is not a NIfTI volume despite its name ({reason})") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = " ".join(str(error).replace(str(file), "the file").split())
        raise ValueError(f"{file}: is damaged or truncated ({reason}); copy it again from its source") from None
    except MemoryError:
        raise ValueError(f"{file}: does not fit into memory, or its header says more voxels than it has") from None
    except ValueError as error:
        text = str(error).removeprefix(f"{file}: ")
        raise ValueError(f"{file}: {text}") from None


def _is_gzip_cut_short(file: Path) -> bool:
    """Whether a file is gzip by its first bytes but too short to contain a header."""
    with file.open("rb") as stream:
        if stream.read(2) != GZIP_MARK:
            return False
    try:
        with gzip.open(file) as stream:
            stream.read(SNIFFED)  # the bytes by which nibabel recognises the format
    except (OSError, EOFError, zlib.error):
        return True
    return False


def read_header(path: str | Path) -> Header:
    """Grid and type, without the voxels. Raises as `read` does."""
    file = Path(path)
    with _named_errors(file):
        return _header(file, _opened(file))


def read(file: Path) -> tuple[Array, NDArray[np.float64], str]:
    """Voxels (I, J, K) or (I, J, K, C), affine (RAS, mm), and the stored type's name.

    Values stay in the stored type; if the header scales them they become float32.

    Raises:
        FileNotFoundError, ValueError: the file is missing, damaged or not NIfTI, or its header is invalid.
    """
    with _named_errors(file):
        image = _opened(file)
        header = _header(file, image)
        array = _voxels(image.dataobj) if _is_pair(file) or not _is_gzip(file) else _unpacked(file, type(image))
    shape = header.geometry.shape + ((header.channels,) if header.channels > 1 else ())
    return array.reshape(shape), header.geometry.affine, header.stored


def _voxels(stored: Any) -> Array:
    """All values in memory, in this machine's byte order: in the stored type, float32 if they are scaled or were float64."""
    scaled = (stored.slope, stored.inter) != (1, 0)
    array = np.asarray(stored, dtype=np.float32) if scaled else stored.get_unscaled()
    dtype = np.dtype(np.float32) if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
    native: Array = np.array(array) if isinstance(array, np.memmap) else array
    return native.astype(dtype, copy=False)


def _unpacked(file: Path, kind: Any) -> Array:
    """The voxels of a gzip file, whose checksum is at its very end, where nibabel does not read.

    Bytes after that, which some downloads leave, are passed over as ``gzip`` does.
    """
    with gzip.open(file) as stream:
        array = _voxels(kind.from_stream(stream).dataobj)
        try:
            while stream.read(BLOCK):
                pass
        except gzip.BadGzipFile as error:
            if not str(error).startswith("Not a gzipped file"):
                raise
    return array


def _opened(file: Path) -> Any:
    """A nibabel image, which nibabel does not type."""
    if header_suffix(file) and len(all_files(file)) < 2:
        raise ValueError("is the header of a pair; the .img file with its voxels is missing beside it")
    return nibabel.load(file)


def _header(file: Path, image: Any) -> Header:
    if header_suffix(file) and isinstance(image, nibabel.AnalyzeImage) and not isinstance(image, nibabel.Nifti1Pair):
        raise ValueError("is an Analyze volume, which does not say which side is left; convert it to NIfTI first")
    if not issubclass(type(image), nibabel.Nifti1Pair):
        raise ValueError(f"is a {type(image).__name__}, expected NIfTI")
    stored = image.get_data_dtype()
    if stored.kind not in "biuf":
        raise ValueError(f"contains voxels of type {stored}; expected one grey value per voxel")
    _check_stored(file)
    shape = tuple(image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 5 and shape[3] == 1:  # a vector along the fifth axis
        shape = (*shape[:3], shape[4])
    if len(shape) not in (3, 4):
        raise ValueError(f"has {len(shape)} axes ({shape_text(shape)}); a volume has 3")
    unit = MILLIMETRES.get(image.header.get_xyzt_units()[0], 1.0)
    affine = np.diag([unit, unit, unit, 1.0]) @ image.affine.astype(np.float64)
    return Header(Geometry((shape[0], shape[1], shape[2]), affine), shape[3] if len(shape) == 4 else 1, stored.name)


def _is_gzip(file: Path) -> bool:
    return file.suffix.lower() == ".gz"


def _is_pair(file: Path) -> bool:
    return bool(header_suffix(file))


def _check_stored(file: Path) -> None:
    """Voxel sides and their place in the file as stored: nibabel silently corrects sides of 0 or below, and reads a header as voxels."""
    opener = gzip.open if _is_gzip(file) else open
    with opener(file, "rb") as stream:
        start = stream.read(540)
    kind: Any = nibabel.Nifti2Header if start[4:7] in (b"n+2", b"ni2") else nibabel.Nifti1Header
    header = kind(start[: kind.sizeof_hdr], check=False)
    sides = np.asarray(header["pixdim"][1:4], np.float64)
    if not (sides > 0).all() or not np.isfinite(sides).all():
        raise ValueError(
            f"its header gives voxel sides of {numbers_text(sides)} mm; all must be above 0: correct the header"
        )
    first = float(header["vox_offset"])
    if bytes(header["magic"].tobytes()).startswith(b"n+") and not first >= kind.sizeof_hdr:
        raise ValueError(
            f"its header says that voxels begin at byte {first:g}, inside the header (vox_offset): correct it"
        )
    by_sform = np.linalg.norm([header["srow_x"][:3], header["srow_y"][:3], header["srow_z"][:3]], axis=0)
    if header["sform_code"] > 0 and by_sform.min() > 0 and np.abs(sides / by_sform - 1).max() > SPACING_TOLERANCE:
        raise ValueError(
            f"its header contradicts itself: voxel sides of {numbers_text(sides)} mm by pixdim, {numbers_text(by_sform)} mm by its "
            "sform; tools would measure different volumes: correct the header"
        )


def read_label_names(file: Path) -> dict[int, str]:
    """{class number: name} from the label table in the header; empty if there is none."""
    with _named_errors(file):
        contents = [extension.content for extension in _opened(file).header.extensions]
    texts = [content for content in contents if b"<Label" in content]
    return label_names(texts[0]) if texts else {}


def write_shares(levels: NDArray[np.uint8], geometry: Geometry, file: Path, *, like: Path | None = None) -> Path:
    """Write (I, J, K) levels of 0 to 255 that readers scale to 0..1, compressed; `like` as for `write_labels`."""
    content = bytearray(_on_grid(levels, geometry, like).to_bytes())
    # nibabel would need the shares as floats to scale them itself
    struct.pack_into("=f", content, SLOPE_OFFSET, 1 / 255)
    write_whole(file, gzip_ng.compress(bytes(content), 6, mtime=0))  # type: ignore[no-untyped-call]
    return file


def write_labels(
    array: NDArray[np.uint8], geometry: Geometry, file: Path, classes: Sequence[str], *, like: Path | None = None
) -> Path:
    """Write (I, J, K) uint8 labels, whole or not at all.

    Sform and qform both contain the affine; or, with the NIfTI file `like` of this geometry, the values from that file. Readers that prefer
    either of the two, or invent a position if both are missing, then place the label where they place the scan.
    """
    image = _on_grid(array, geometry, like)
    image.header.set_intent("label", name="labels")
    if classes:
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(LABEL_TABLE_CODE, label_table(classes)))
    content = image.to_bytes()
    write_whole(file, gzip_ng.compress(content, 6, mtime=0) if file.suffix.lower() == ".gz" else content)  # type: ignore[no-untyped-call]
    return file


def _on_grid(array: NDArray[np.uint8], geometry: Geometry, like: Path | None = None) -> Any:
    if like is not None:
        place = _opened(like).header
        header: Any = nibabel.Nifti1Header()  # type: ignore[no-untyped-call]
        header.set_data_shape(array.shape)
        header["pixdim"][:4] = place["pixdim"][:4]  # its first number is the qform's handedness
        for name in PLACE_FIELDS:
            header[name] = place[name]
        return nibabel.Nifti1Image(array, None, header, dtype=np.uint8)  # type: ignore[no-untyped-call]
    image: Any = nibabel.Nifti1Image(array, geometry.affine)  # type: ignore[no-untyped-call]
    image.set_qform(geometry.affine, code="scanner", strip_shears=True)
    image.set_sform(geometry.affine, code="scanner")
    image.header.set_xyzt_units("mm")
    return image
