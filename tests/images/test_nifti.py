"""NIfTI headers of the field: single slices, vectors, forms that say different things, files cut short."""

import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medseg_monai.images.nifti import read_header
from medseg_monai.images.volumes import read_image_volume, read_volume


@pytest.mark.parametrize(
    ("stored", "shape", "channels"),
    [
        ((5, 6, 1), (5, 6, 1), 1),  # a single slice
        ((5, 6, 7, 1), (5, 6, 7), 1),
        ((5, 6, 7, 2), (5, 6, 7), 2),
        ((5, 6, 7, 1, 3), (5, 6, 7), 3),  # a vector, as ITK writes channels
        ((5, 6, 7, 1, 1), (5, 6, 7), 1),
    ],
)
def test_axes_beyond_the_third_are_channels(
    tmp_path: Path, stored: tuple[int, ...], shape: tuple[int, ...], channels: int
) -> None:
    values = np.arange(np.prod(stored), dtype=np.int16).reshape(stored)
    file = tmp_path / "x.nii.gz"
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 1, 3, 1])), file)
    header = read_header(file)
    assert (header.geometry.shape, header.channels) == (shape, channels)
    expected = np.moveaxis(values.reshape(*shape, channels), -1, 0)
    np.testing.assert_array_equal(read_image_volume(file, channels).array, expected)


def test_several_volumes_of_vectors_are_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((5, 6, 7, 2, 3), np.int16), np.eye(4)), tmp_path / "x.nii")
    with pytest.raises(ValueError, match=r"has 5 axes \(5x6x7x2x3\); a volume has 3"):
        read_header(tmp_path / "x.nii")


def test_a_form_that_is_switched_off_may_say_anything(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), None)
    image.set_qform(np.diag([2.0, 1, 3, 1]), 1)
    image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = np.diag([9.0, 9, 9, 0])[:3]
    image.header["sform_code"] = 0
    (tmp_path / "x.nii").write_bytes(image.to_bytes())
    assert read_volume(tmp_path / "x.nii").geometry.spacing_mm == pytest.approx((2, 1, 3))


@pytest.mark.parametrize("code", [1, 2, 4])
def test_a_form_that_contradicts_the_voxel_sides_is_refused(tmp_path: Path, code: int) -> None:
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4))
    image.header["sform_code"] = code
    image.header["pixdim"][1:4] = 2
    (tmp_path / "x.nii").write_bytes(image.to_bytes())
    with pytest.raises(ValueError, match="voxel sides of 2, 2, 2 mm by pixdim, 1, 1, 1 mm by its sform"):
        read_header(tmp_path / "x.nii")


def test_a_compressed_file_that_ends_in_its_header_is_damaged_not_of_another_kind(tmp_path: Path) -> None:
    content = nibabel.Nifti1Image(np.random.default_rng(0).integers(0, 99, (5, 6, 7), np.int16), np.eye(4)).to_bytes()
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(content)[:60])
    with pytest.raises(ValueError, match=r"x\.nii\.gz: is damaged or truncated; copy it again from its source"):
        read_header(tmp_path / "x.nii.gz")


def test_a_header_without_its_voxels_beside_it_is_named(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Pair(np.zeros((3, 4, 5), np.int16), np.eye(4)), tmp_path / "x.hdr")
    assert read_header(tmp_path / "x.hdr").geometry.shape == (3, 4, 5)
    (tmp_path / "x.img").unlink()
    with pytest.raises(ValueError, match=r"x\.hdr: is the header of a pair; the \.img file with its voxels is missing"):
        read_header(tmp_path / "x.hdr")


def stored(folder: Path) -> tuple[Path, bytes]:
    """A compressed volume whose bytes stand in the file as they are, and these bytes."""
    values = np.arange(1320, dtype=np.int16).reshape(10, 11, 12)
    content = nibabel.Nifti1Image(values, np.diag([1.0, 2, 3, 1])).to_bytes()
    file = folder / "stored.nii.gz"
    file.write_bytes(gzip.compress(content, 0))
    return file, content


def test_a_compressed_file_is_checked_to_its_end(tmp_path: Path) -> None:
    """One bit of a voxel has flipped, as on a bad disk: it unpacks without complaint, and only the checksum tells."""
    file, _ = stored(tmp_path)
    whole = file.read_bytes()
    assert read_volume(file).array.max() == 1319
    for broken in (whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:], whole[:-6]):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match=r"stored.nii.gz: is damaged or truncated"):
            read_volume(file)


def test_what_follows_a_compressed_file_is_passed_over(tmp_path: Path) -> None:
    file, _ = stored(tmp_path)
    file.write_bytes(file.read_bytes() + b"\0" * 9 + b"left by a download")
    assert read_volume(file).array.sum() == sum(range(1320))


@pytest.mark.parametrize("offset", [0, 16, float("nan"), -1])
def test_a_header_that_calls_itself_voxels_is_refused(offset: float, tmp_path: Path) -> None:
    """nibabel would read the header's own bytes as the first voxels."""
    content = bytearray(stored(tmp_path)[1])
    struct.pack_into("<f", content, 108, offset)
    (tmp_path / "o.nii").write_bytes(content)
    with pytest.raises(ValueError, match=r"o.nii: .*(voxels begin at byte 0,|vox offset|NaN)"):
        read_header(tmp_path / "o.nii")


def test_more_voxels_than_memory_is_one_line(tmp_path: Path) -> None:
    content = bytearray(stored(tmp_path)[1])
    struct.pack_into("<3h", content, 42, 32767, 32767, 32767)
    (tmp_path / "m.nii.gz").write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match=r"m.nii.gz: (does not fit into memory|is damaged or truncated)"):
        read_volume(tmp_path / "m.nii.gz")
