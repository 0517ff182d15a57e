"""Volume files: NIfTI, NRRD and MHA read as SimpleITK reads them, and what is wrong named."""

import gzip
import re
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from stored_volumes import FORMATS, OBLIQUE, itk_affine, ramp, save

from medseg_monai.images.volumes import (
    Volume,
    is_volume,
    read_geometry,
    read_image_volume,
    read_volume,
    read_volume_header,
)

sitk = pytest.importorskip("SimpleITK")


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_reads_as_in_simpleitk(tmp_path: Path, ending: str) -> None:
    save(tmp_path / "x.nii", ramp())
    image = sitk.ReadImage(str(tmp_path / "x.nii"))
    file = tmp_path / f"copy{ending}"
    sitk.WriteImage(image, str(file))
    volume = read_volume(file)
    assert np.array_equal(volume.array, ramp())
    assert volume.array.dtype == np.int16
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-5)
    np.testing.assert_allclose(volume.affine, itk_affine(image), atol=1e-5)
    assert read_geometry(file).shape == (3, 4, 5)
    np.testing.assert_allclose(read_geometry(file).affine, volume.affine)
    assert is_volume(file)


def test_mhd_with_its_raw_file_reads_too(tmp_path: Path) -> None:
    save(tmp_path / "x.nii", ramp())
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "x.nii")), str(tmp_path / "y.mhd"))
    assert np.array_equal(read_volume(tmp_path / "y.mhd").array, ramp())


def test_nrrd_in_ras_lies_where_it_says(tmp_path: Path) -> None:
    header = "NRRD0004\ntype: uint8\ndimension: 3\nspace: right-anterior-superior\nsizes: 2 2 2\n"
    header += "space directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (5,6,7)\nencoding: raw\n\n"
    (tmp_path / "x.nrrd").write_bytes(header.encode() + bytes(range(8)))
    volume = read_volume(tmp_path / "x.nrrd")
    np.testing.assert_allclose(volume.affine, [[2, 0, 0, 5], [0, 3, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1]])
    assert volume.array[1, 0, 0] == 1  # the first axis runs fastest


def test_values_are_scaled_as_the_header_says(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(ramp(), np.eye(4))
    content = bytearray(image.to_bytes())
    content[112:120] = np.array([2.0, -1024.0], "<f4").tobytes()  # slope and intercept
    (tmp_path / "x.nii").write_bytes(content)
    volume = read_volume(tmp_path / "x.nii")
    assert np.array_equal(volume.array, ramp() * 2.0 - 1024)
    assert volume.array.dtype == np.float32
    assert volume.stored == "int16"


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_the_other_byte_order_is_turned(tmp_path: Path, ending: str) -> None:
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nibabel.save(nibabel.Nifti1Image(ramp(), OBLIQUE, header), tmp_path / f"x{ending}")
    volume = read_volume(tmp_path / f"x{ending}")
    assert volume.array.dtype == np.int16
    assert volume.array.dtype.isnative
    assert type(volume.array) is np.ndarray  # no view of a file that may change
    assert np.array_equal(volume.array, ramp())
    assert volume.stored == "int16"


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000), ("micron", 0.001), ("mm", 1), ("unknown", 1)])
def test_the_headers_unit_of_length_counts(tmp_path: Path, unit: str, factor: float) -> None:
    image = nibabel.Nifti1Image(ramp(), np.diag([2.0, 3, 4, 1]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "x.nii")
    assert read_geometry(tmp_path / "x.nii").spacing_mm == pytest.approx((2 * factor, 3 * factor, 4 * factor))
    assert sitk.ReadImage(str(tmp_path / "x.nii")).GetSpacing() == pytest.approx((2 * factor, 3 * factor, 4 * factor))


def test_an_axis_of_one_more_is_no_fourth_axis(tmp_path: Path) -> None:
    assert read_volume(save(tmp_path / "x.nii.gz", ramp((3, 4, 5, 1)))).array.shape == (3, 4, 5)


def test_channels_come_from_a_4d_file_or_a_file_each(tmp_path: Path) -> None:
    array = ramp((3, 4, 5, 2))
    stacked = read_image_volume(save(tmp_path / "x.nii.gz", array), 2)
    assert np.array_equal(stacked.array, np.moveaxis(array, -1, 0))
    files = [save(tmp_path / f"{c}.nii", np.ascontiguousarray(array[..., c])) for c in range(2)]
    assert np.array_equal(read_image_volume(files, 2).array, stacked.array)
    with pytest.raises(ValueError, match="x.nii.gz: has 2 channels, but the data set has 4"):
        read_image_volume(tmp_path / "x.nii.gz", 4)
    with pytest.raises(ValueError, match="has 4 axes .3x4x5x2.; expected one volume"):
        read_volume(tmp_path / "x.nii.gz")
    away = OBLIQUE.copy()
    away[0, 3] += 1
    shifted = save(tmp_path / "far.nii", np.ascontiguousarray(array[..., 0]), away)
    with pytest.raises(ValueError, match="far.nii: is up to 1 mm away"):
        read_image_volume([files[0], shifted], 2)


def header_change(offset: int, values: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content[:offset] + values + content[offset + len(values) :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            header_change(80, np.array([2, 2, 2], "<f4").tobytes()),
            "sides of 2, 2, 2 mm by pixdim, 1, 1, 1 mm by its sform",
        ),
        (header_change(80, np.array([1, 0, 1], "<f4").tobytes()), "voxel sides of 1, 0, 1 mm; all must be above 0"),
        (header_change(80, np.array([1, -2, 1], "<f4").tobytes()), "voxel sides of 1, -2, 1 mm; all must be above 0"),
        (header_change(70, np.array([128], "<i2").tobytes()), "expected one grey value per voxel"),  # RGB
        (header_change(40, np.array([2, 3, 20], "<i2").tobytes()), "has 2 axes"),
        (lambda content: content[:-40], "is damaged or truncated"),
        (lambda content: b"", r"is empty \(0 bytes\)"),
        (lambda content: b"this is a text\n" * 40, "is not a NIfTI volume despite its name"),
        (lambda content: content[:100], "is not a NIfTI volume despite its name"),
    ],
)
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_nifti_file_that_is_wrong_is_named(
    tmp_path: Path, ending: str, change: Callable[[bytes], bytes], message: str
) -> None:
    content = change(nibabel.Nifti1Image(ramp(), np.eye(4)).to_bytes())
    file = tmp_path / f"x{ending}"
    file.write_bytes(gzip.compress(content) if ending == ".nii.gz" and content else content)
    with pytest.raises(ValueError, match=message) as error:
        read_volume(file)
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


def test_a_gzip_file_cut_short_is_named(tmp_path: Path) -> None:
    file = save(tmp_path / "x.nii.gz", np.random.default_rng(0).integers(0, 999, (30, 30, 30)).astype(np.int16))
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(ValueError, match=r"x.nii.gz: is damaged or truncated \(.*\); copy it again"):
        read_volume(file)
    file.write_text("plain text with a lying name")
    with pytest.raises(ValueError, match="x.nii.gz: is (not a NIfTI volume|damaged)"):
        read_volume(file)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_numbers_are_counted(tmp_path: Path, value: float) -> None:
    array = ramp(dtype="float32")
    array[0, 1, 2] = array[2, 2, 2] = value
    with pytest.raises(ValueError, match="2 of 60 voxels are NaN or infinite"):
        read_volume(save(tmp_path / "x.nii.gz", array))


def test_a_sheared_grid_is_named(tmp_path: Path) -> None:
    sheared = np.eye(4)
    sheared[1, 2] = 0.3
    with pytest.raises(ValueError, match=r"x.nii: its axes are not perpendicular \(two meet at 73.3 degrees\)"):
        read_volume(save(tmp_path / "x.nii", ramp(), sheared))


@pytest.mark.parametrize(
    ("ending", "old", "new", "message"),
    [
        (".nrrd", b"(0,2,0)", b"(0,0,0)", "voxel sides of 1, 0, 3 mm"),
        (".nrrd", b"(0,2,0)", b"(0,2,1)", "are not perpendicular"),
        (".mha", b"ElementSpacing = 1 2 3", b"ElementSpacing = 1 0 3", "voxel sides of 1, 0, 3 mm"),
        (".mha", b"ElementSpacing = 1 2 3", b"ElementSpacing = 1 -2 3", "voxel sides of 1, -2, 3 mm"),
    ],
)
def test_an_nrrd_or_mha_header_that_is_wrong_is_named(
    tmp_path: Path, ending: str, old: bytes, new: bytes, message: str
) -> None:
    image = sitk.GetImageFromArray(ramp())
    image.SetSpacing((1, 2, 3))
    file = tmp_path / f"x{ending}"
    sitk.WriteImage(image, str(file))
    assert old in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(old, new))
    with pytest.raises(ValueError, match=message) as error:
        read_volume(file)
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-30], "is damaged or truncated"),
        (lambda content: b"", "is empty"),
        (lambda content: b"a text", "is not a .* volume despite its name"),
    ],
)
def test_an_nrrd_or_mha_file_that_is_wrong_is_named(
    tmp_path: Path, ending: str, change: Callable[[bytes], bytes], message: str
) -> None:
    file = tmp_path / f"x{ending}"
    sitk.WriteImage(sitk.GetImageFromArray(ramp()), str(file))
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ValueError, match=message) as error:
        read_volume(file)
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_that_is_not_there_is_named(tmp_path: Path, ending: str) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path / 'x'}{ending}: no such file")):
        read_volume(tmp_path / f"x{ending}")


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("hello")
    assert not is_volume(tmp_path / "x.txt")
    with pytest.raises(
        ValueError,
        match=r"x.txt: is not a volume; supported are .nii, .nii.gz, .hdr, .hdr.gz, .nrrd, .nhdr, .mha, .mhd and folders",
    ):
        read_volume(tmp_path / "x.txt")


def test_a_path_without_a_volumes_suffix_is_named_for_what_it_is(tmp_path: Path) -> None:
    def refused(name: str) -> str:
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            read_volume(tmp_path / name)
        return str(caught.value)

    assert refused("gone") == f"{tmp_path / 'gone'}: no such file or folder"
    (tmp_path / "slice").write_bytes(bytes(128) + b"DICM" + bytes(20))
    assert "slice: is a single DICOM file; name its folder" in refused("slice")
    (tmp_path / "x.mhd").write_text("ElementDataFile = x.raw\n")
    (tmp_path / "x.raw").write_bytes(bytes(60))
    assert "x.raw: contains only the voxels of x.mhd; name that file instead" in refused("x.raw")
    (tmp_path / "empty").mkdir()
    assert "is not a volume" not in refused("empty")  # a folder could be a series


def test_the_grid_of_a_volume_with_channels_is_its_last_three_axes() -> None:
    assert Volume(ramp((2, 3, 4, 5)), OBLIQUE, Path("x"), "int16").geometry.shape == (3, 4, 5)


def test_a_missing_package_is_named_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(ramp()), str(tmp_path / "x.nrrd"))
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(ImportError, match=r"pip install SimpleITK"):
        read_volume(tmp_path / "x.nrrd")
    assert read_volume(save(tmp_path / "x.nii", ramp())).array.shape == (3, 4, 5)


def test_a_nifti_header_names_the_stored_type_as_numpy_does(tmp_path: Path) -> None:
    header = read_volume_header(save(tmp_path / "x.nii.gz", ramp((3, 4, 5, 2))))
    assert (header.stored, header.channels, header.geometry.shape) == ("int16", 2, (3, 4, 5))
