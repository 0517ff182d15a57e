"""Volume files: NIfTI, NRRD and MHA read as SimpleITK reads them, label volumes written, and what is wrong named."""

import gzip
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.geometry import Geometry
from medseg_monai.images.volumes import (
    Volume,
    is_volume,
    nifti_on_grid,
    read_geometry,
    read_image_volume,
    read_label_names,
    read_label_volume,
    read_volume,
    read_volume_header,
    write_label_volume,
)

sitk = pytest.importorskip("SimpleITK")

FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha")
OBLIQUE = np.array(  # turned about an axis between all three, sides 0.7, 0.9 and 2.5 mm, left-handed
    [[-0.56, 0.54, 0.0, 12.5], [0.42, 0.72, 0.0, -80.25], [0.0, 0.0, -2.5, 33.0], [0, 0, 0, 1]]
)
ORGANS = DatasetSpec("ct", "multiclass", classes=("liver", "spleen"), channels=("ct",), spatial_dims=3, size=(8, 8, 8))
LESION = DatasetSpec("mr", "binary", classes=("lesion",), channels=("mr",), spatial_dims=3, size=(8, 8, 8))
BOWEL = DatasetSpec("mr", "multilabel", classes=("a", "b"), channels=("mr",), spatial_dims=3, size=(8, 8, 8))


def ramp(shape: tuple[int, ...] = (3, 4, 5), dtype: str = "int16") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def save(path: Path, array: np.ndarray, affine: np.ndarray = OBLIQUE) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def itk_affine(image: "sitk.Image") -> np.ndarray:
    """SimpleITK's grid as a RAS affine."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return np.diag([-1, -1, 1, 1]) @ affine


@pytest.mark.parametrize(
    "change",
    [np.diag([1, 1, 1.5, 1]), np.diag([1, -1, 1, 1]), [[1, 0, 0, 1e-3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]],
)
def test_a_header_is_copied_from_a_scan_of_the_same_grid_alone(tmp_path: Path, change: object) -> None:
    scan = save(tmp_path / "x.nii", ramp())
    assert nifti_on_grid(scan, read_geometry(scan)) == scan
    assert nifti_on_grid(scan, Geometry((3, 4, 5), OBLIQUE @ np.array(change))) is None
    assert nifti_on_grid(scan, Geometry((3, 4, 6), OBLIQUE)) is None


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


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("affine", [OBLIQUE, np.diag([-1.0, 2, 3, 1]), np.diag([1.5, 1.5, -4, 1])])
def test_a_written_label_lies_on_the_grid_for_simpleitk_too(tmp_path: Path, ending: str, affine: np.ndarray) -> None:
    label = (ramp() % 3).astype(np.uint8)
    file = write_label_volume(label, Geometry((3, 4, 5), affine), tmp_path / f"x{ending}", ["liver", "spleen & co"])
    image = sitk.ReadImage(str(file))
    assert image.GetPixelID() == sitk.sitkUInt8
    assert np.array_equal(sitk.GetArrayFromImage(image).T, label)
    np.testing.assert_allclose(itk_affine(image), affine, atol=1e-5)
    np.testing.assert_allclose(read_geometry(file).affine, affine, atol=1e-5)
    assert read_label_names(file) == {1: "liver", 2: "spleen & co"}
    assert [path.name for path in tmp_path.iterdir()] == [f"x{ending}"]  # no half-written file stays


def test_nrrd_holds_the_names_as_slicer_reads_them(tmp_path: Path) -> None:
    file = write_label_volume(np.ones((3, 4, 5)), Geometry((3, 4, 5), np.eye(4)), tmp_path / "x.nrrd", ["a", "b"])
    image = sitk.ReadImage(str(file))
    keys = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.startswith("Segment1_")}
    colour = keys.pop("Segment1_Color").split()
    assert len(colour) == 3
    assert all(0 <= float(share) <= 1 for share in colour)
    assert keys == {
        "Segment1_ID": "Segment_2",
        "Segment1_Name": "b",
        "Segment1_NameAutoGenerated": "0",
        "Segment1_LabelValue": "2",
        "Segment1_Layer": "0",
        "Segment1_Extent": "0 2 0 3 0 4",
        "Segment1_ColorAutoGenerated": "0",
    }


def test_names_that_totalsegmentator_wrote_are_read(shared_data: Path) -> None:
    names = read_label_names(shared_data / "totalsegmentator_examples" / "labels" / "example_seg.nii.gz")
    assert (names[1], names[5]) == ("spleen", "liver")


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


@pytest.mark.parametrize(("qform", "sform"), [(1, 1), (1, 2), (2, 1), (1, 0), (0, 1), (0, 0)])
@pytest.mark.parametrize("unit", ["mm", "meter"])
def test_a_label_lies_on_its_scan_for_readers_of_either_form(tmp_path: Path, qform: int, sform: int, unit: str) -> None:
    scan = nibabel.Nifti1Image(ramp(), None)
    elsewhere = OBLIQUE.copy()
    elsewhere[:3, 3] += (10, 20, 30)
    scan.header.set_zooms((0.7, 0.9, 2.5))
    scan.header.set_xyzt_units(unit)
    scan.set_qform(OBLIQUE, qform)
    scan.set_sform(elsewhere, sform)
    nibabel.save(scan, tmp_path / "scan.nii.gz")
    grid = read_geometry(tmp_path / "scan.nii.gz")
    label = (ramp() % 3).astype(np.uint8)
    file = write_label_volume(label, grid, tmp_path / "x.nii.gz", ["a", "b"], like=tmp_path / "scan.nii.gz")
    ours, theirs = sitk.ReadImage(str(file)), sitk.ReadImage(str(tmp_path / "scan.nii.gz"))
    for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(ours, name)(), getattr(theirs, name)(), atol=1e-5)
    assert np.array_equal(sitk.GetArrayFromImage(ours).T, label)
    np.testing.assert_allclose(nibabel.load(file).affine, nibabel.load(tmp_path / "scan.nii.gz").affine, atol=1e-5)
    np.testing.assert_allclose(read_geometry(file).affine, grid.affine, atol=1e-5)
    assert read_label_names(file) == {1: "a", 2: "b"}
    assert nibabel.load(file).get_data_dtype() == np.uint8


def test_another_scans_header_is_not_taken_over(tmp_path: Path) -> None:
    scan = save(tmp_path / "scan.nii.gz", ramp())
    grid = Geometry((3, 4, 5), np.diag([2.0, 2, 2, 1]))
    file = write_label_volume(np.zeros((3, 4, 5)), grid, tmp_path / "x.nii.gz", like=scan)
    np.testing.assert_allclose(read_geometry(file).affine, grid.affine)


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


def test_labels_are_class_numbers(tmp_path: Path) -> None:
    file = save(tmp_path / "x.nii.gz", (ramp() % 3).astype(np.float64))
    label = read_label_volume(file, ORGANS, Geometry((3, 4, 5), OBLIQUE))
    assert label.dtype == np.uint8
    assert np.array_equal(label, (ramp() % 3)[None])


@pytest.mark.parametrize("top", [1, 255])
def test_a_binary_label_has_one_level_of_foreground(tmp_path: Path, top: int) -> None:
    file = save(tmp_path / "x.nii.gz", ((ramp() % 2) * top).astype(np.uint8))
    assert np.array_equal(read_label_volume(file, LESION), (ramp() % 2)[None])


def test_overlapping_labels_come_from_a_file_each_or_a_4d_file(tmp_path: Path) -> None:
    planes = np.stack([ramp() > 10, ramp() > 20]).astype(np.uint8)
    files = [save(tmp_path / f"{number}.nii", plane) for number, plane in enumerate(planes)]
    assert np.array_equal(read_label_volume(files, BOWEL), planes)
    together = save(tmp_path / "x.nii", np.ascontiguousarray(np.moveaxis(planes, 0, -1)))
    assert np.array_equal(read_label_volume(together, BOWEL), planes)
    with pytest.raises(ValueError, match="the classes' labels overlap; make the data set's task multilabel"):
        read_label_volume(files, ORGANS)


def test_a_file_per_class_becomes_class_numbers(tmp_path: Path) -> None:
    planes = np.stack([ramp() % 3 == 1, ramp() % 3 == 2]).astype(np.uint8)
    files = [save(tmp_path / f"{number}.nii", plane) for number, plane in enumerate(planes)]
    assert np.array_equal(read_label_volume(files, ORGANS), (ramp() % 3)[None])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (ramp() % 4, r"contains the labels \[3\], which are not classes; known: 0 background, 1 liver, 2 spleen"),
        (-(ramp() % 2), r"contains the labels \[-1\], which are not classes"),
        ((ramp() % 3) * 0.5, "contains 0.5, but labels must be whole numbers; was it resampled with interpolation"),
        ((ramp() % 2) * 300, r"contains the labels \[300\]"),
        (np.where(ramp() == 7, np.nan, 1), "1 of 60 voxels are NaN"),
    ],
)
def test_a_label_that_is_none_is_named(tmp_path: Path, array: np.ndarray, message: str) -> None:
    file = save(tmp_path / "x.nii.gz", array.astype(np.float32))
    with pytest.raises(ValueError, match=message) as error:
        read_label_volume(file, ORGANS)
    assert str(error.value).startswith(f"{file}: ")


def test_a_label_on_another_grid_is_named(tmp_path: Path) -> None:
    file = save(tmp_path / "x.nii.gz", np.zeros((3, 4, 5), np.uint8), np.eye(4))
    with pytest.raises(ValueError, match="x.nii.gz: has 3x4x5 voxels, but its image 3x4x6"):
        read_label_volume(file, ORGANS, Geometry((3, 4, 6), np.eye(4)))
    with pytest.raises(ValueError, match=r"x.nii.gz: is up to 4 mm away .* orientation RAS, image LAS"):
        read_label_volume(file, ORGANS, Geometry((3, 4, 5), np.diag([-1, 1, 1, 1])))


def test_a_label_of_another_shape_or_format_is_not_written(tmp_path: Path) -> None:
    grid = Geometry((3, 4, 5), np.eye(4))
    with pytest.raises(ValueError, match=r"got a label of shape \(3, 4, 6\)"):
        write_label_volume(np.zeros((3, 4, 6)), grid, tmp_path / "x.nii.gz")
    with pytest.raises(ValueError, match="volumes can be written as .nii, .nii.gz, .nrrd, .mha"):
        write_label_volume(np.zeros((3, 4, 5)), grid, tmp_path / "x.png")


def test_a_missing_package_is_named_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(ramp()), str(tmp_path / "x.nrrd"))
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(ImportError, match=r"pip install SimpleITK"):
        read_volume(tmp_path / "x.nrrd")
    assert read_volume(save(tmp_path / "x.nii", ramp())).array.shape == (3, 4, 5)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_copy_of_real_scans_has_their_grid(shared_data: Path, tmp_path: Path, ending: str) -> None:
    for source in [*(shared_data / "totalsegmentator_examples" / "volumes").iterdir(), shared_data / "dicom_mr_series"]:
        volume = read_volume(source)
        label = (volume.array > np.median(volume.array)).astype(np.uint8)
        file = write_label_volume(label, volume.geometry, tmp_path / f"label{ending}", ["bright"])
        if source.is_dir():
            original = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(source)))
        else:
            original = sitk.ReadImage(str(source))
        written = sitk.ReadImage(str(file))
        assert written.GetSize() == original.GetSize()
        for name in ("GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(written, name)(), getattr(original, name)(), atol=1e-5)
        assert np.array_equal(sitk.GetArrayFromImage(written).T, label)


def test_labels_with_gaps_by_their_values(tmp_path: Path) -> None:
    values = np.array([0, 1, 2, 4, 9], np.int16)[ramp() % 5]
    file = save(tmp_path / "x.nii.gz", values)
    table = {"label_values": {"a": 1, "b": 2, "c": 4}, "ignore": 9}
    spec = replace(ORGANS, classes=("a", "b", "c"), **table)
    assert np.array_equal(read_label_volume(file, spec)[0], np.array([0, 1, 2, 3, 255])[ramp() % 5])
    with pytest.raises(
        ValueError, match=r"x.nii.gz: contains values that belong to no class: 9 \(known: 0 background, 1 a"
    ):
        read_label_volume(file, replace(spec, ignore=()))


def test_label_values_are_for_one_3d_file(tmp_path: Path) -> None:
    spec = replace(ORGANS, label_values={"liver": 1, "spleen": 4})
    message = (
        r"label_values are for one 3D file with all classes, but this case has a part for each; remove label_values"
    )
    parts = save(tmp_path / "4d.nii.gz", ramp((3, 4, 5, 2)) % 2)
    with pytest.raises(ValueError, match=rf"4d.nii.gz: {message}"):
        read_label_volume(parts, spec)
    files = [save(tmp_path / f"{n}.nii.gz", ramp() % 2) for n in (1, 2)]
    with pytest.raises(ValueError, match=rf"1.nii.gz: {message}"):
        read_label_volume(files, spec)
    # several files of the only class are united, each by the table
    united = read_label_volume(files, replace(LESION, label_values={"lesion": 1}))
    assert np.array_equal(united[0], ramp() % 2)


def test_regions_that_share_values(tmp_path: Path) -> None:
    """BraTS: the whole tumour is 1, 2 and 4, its core 1 and 4."""
    values = np.array([0, 1, 2, 4], np.int16)[ramp() % 4]
    spec = replace(BOWEL, classes=("whole", "core"), label_values={"whole": [1, 2, 4], "core": [1, 4]})
    expected = [values > 0, (values == 1) | (values == 4)]
    assert np.array_equal(read_label_volume(save(tmp_path / "x.nii.gz", values), spec), expected)


@pytest.mark.parametrize("top", [1, 255])
def test_ignored_voxels(tmp_path: Path, top: int) -> None:
    values = np.array([0, top, 7], np.int16)[ramp() % 3]
    label = read_label_volume(save(tmp_path / "x.nii.gz", values), replace(LESION, ignore=7))
    assert np.array_equal(label[0], np.array([0, 1, 255])[ramp() % 3])


def test_a_class_comes_before_ignored_voxels_of_the_other_files(tmp_path: Path) -> None:
    """Voxels 0 to 5: first class, second, ignored in the first file, in the second, in both; ignored beside the other's class."""
    first, second = np.zeros((2, 3, 4, 5), np.uint8)
    first.flat[[0, 6]], second.flat[[1, 5]] = 1, 1
    first.flat[[2, 4, 5]], second.flat[[3, 4, 6]] = 7, 7
    files = [save(tmp_path / f"{number}.nii", plane) for number, plane in enumerate((first, second))]
    merged = read_label_volume(files, replace(ORGANS, ignore=7))
    assert merged[0].flat[:8].tolist() == [1, 2, 255, 255, 255, 2, 1, 0]
    united = read_label_volume(files, replace(LESION, ignore=7))
    assert united[0].flat[:8].tolist() == [1, 1, 255, 255, 255, 1, 1, 0]


def test_files_of_one_class_hold_one_level_and_have_one_shape(tmp_path: Path) -> None:
    two, other = save(tmp_path / "two.nii", ramp() % 3), save(tmp_path / "other.nii", ramp((3, 4, 6)) % 2)
    with pytest.raises(
        ValueError, match=r"two.nii: contains the labels \[2\], which are not classes; known: 0 background, 1$"
    ):
        read_label_volume([two, two], ORGANS)
    levels = save(tmp_path / "levels.nii", np.array([0, 1, 255], np.int16)[ramp() % 3])
    with pytest.raises(ValueError, match=r"levels.nii: contains the labels \[255\], which are not classes"):
        read_label_volume(levels, LESION)
    one = save(tmp_path / "one.nii", ramp() % 2)
    with pytest.raises(ValueError, match="one.nii: the labels of one case differ in shape"):
        read_label_volume([one, other], BOWEL)


def test_a_nifti_header_names_the_stored_type_as_numpy_does(tmp_path: Path) -> None:
    header = read_volume_header(save(tmp_path / "x.nii.gz", ramp((3, 4, 5, 2))))
    assert (header.stored, header.channels, header.geometry.shape) == ("int16", 2, (3, 4, 5))


def test_several_files_of_one_class_are_united(tmp_path: Path) -> None:
    files = [save(tmp_path / f"{n}.nii.gz", (ramp() % 3 == n).astype(np.int16)) for n in (1, 2)]
    assert np.array_equal(read_label_volume(files, LESION)[0], ramp() % 3 > 0)
