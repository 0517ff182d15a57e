"""DICOM series: voxels and grid as SimpleITK has them; every stack that is not a straight volume is named."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
sitk = pytest.importorskip("SimpleITK")

from dicom_series import AXIAL, UID, write_series, write_slice  # noqa: E402

from medseg_monai.images import dicom  # noqa: E402
from medseg_monai.images.volumes import is_volume, read_geometry, read_volume  # noqa: E402

SAGITTAL = (0, 1, 0, 0, 0, -1)


def test_voxels_and_grid_are_those_of_the_files(tmp_path: Path) -> None:
    values = write_series(tmp_path)
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.array, values.transpose(1, 0, 2) - 1024)  # (columns, rows, slices) in Hounsfield units
    # columns 0.75 mm apart to the left, rows 0.5 mm to the back, slices 2 mm to the head: in RAS two signs turn
    expected = [[-0.75, 0, 0, 10], [0, -0.5, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.affine, expected, atol=1e-9)
    assert is_volume(tmp_path)


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, (0.8, 0.6, 0, -0.6, 0.8, 0)])
def test_grid_is_simpleitks_for_any_orientation(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    normal = np.cross(orientation[:3], orientation[3:])
    write_series(tmp_path, step=2 * normal, ImageOrientationPatient=list(orientation))
    volume = read_volume(tmp_path)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path)))
    assert np.array_equal(sitk.GetArrayFromImage(image).T, volume.array)
    for index in [(0, 0, 0), (5, 0, 0), (0, 3, 0), (2, 1, 4)]:
        left, back, head = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((volume.affine @ [*index, 1])[:3], (-left, -back, head), atol=1e-5)
    np.testing.assert_allclose(read_geometry(tmp_path).affine, volume.affine)


def test_fractions_from_the_slope_are_kept(tmp_path: Path) -> None:
    values = write_series(tmp_path, RescaleSlope=0.25, RescaleIntercept=0)
    np.testing.assert_allclose(read_volume(tmp_path).array, values.transpose(1, 0, 2) / 4)


@pytest.mark.parametrize(
    ("first", "others", "factor", "offset"),
    [
        ({"RescaleIntercept": 0}, {"RescaleIntercept": -1000}, 1, -1000),  # below 0 among unsigned values
        ({"RescaleIntercept": 0}, {"RescaleIntercept": 0, "RescaleSlope": 100}, 100, 0),  # beyond 16 bits
        (
            {"RescaleIntercept": 0},
            {"RescaleIntercept": 0, "PixelRepresentation": 1},
            1,
            0,
        ),  # signed among unsigned ones
    ],
)
def test_slices_that_are_scaled_or_stored_each_in_its_own_way(
    tmp_path: Path, first: dict[str, Any], others: dict[str, Any], factor: int, offset: int
) -> None:
    stored = np.array([[7, 900], [-5 if "PixelRepresentation" in others else 5, 2000]])
    for number, tags in enumerate([first, others, others]):
        write_slice(
            tmp_path / f"{number}.dcm",
            abs(stored) if tags is first else stored,
            (0, 0, number),
            **{"PixelRepresentation": 0} | tags,
        )
    array = read_volume(tmp_path).array
    assert array[..., 0].T.tolist() == abs(stored).tolist()
    for slice in (1, 2):
        assert array[..., slice].T.tolist() == (factor * stored + offset).tolist()


def test_real_series_reads_as_in_simpleitk(shared_data: Path) -> None:
    folder = shared_data / "dicom_mr_series"
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    volume = read_volume(folder)
    assert volume.array.shape == image.GetSize() == (35, 51, 32)
    assert np.array_equal(volume.array, sitk.GetArrayFromImage(image).T)


def test_several_series_are_listed_and_one_is_chosen(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_series(folder)
    write_series(folder, 3, prefix="t", SeriesInstanceUID="1.2.3.5", SeriesDescription="thin", SeriesNumber=1)
    expected = (
        "contains 2 series; choose one as study#UID, or all with --series all: 1.2.3.5 'thin' (3 slices), 1.2.3.4"
    )
    with pytest.raises(ValueError, match=re.escape(expected)):
        read_volume(folder)
    assert read_volume(f"{folder}#1.2.3.5").array.shape == (6, 4, 3)
    assert is_volume(f"{folder}#1.2.3.5")
    with pytest.raises(ValueError, match="contains no series 9.9; its series are 1.2.3.5 'thin'"):
        read_volume(f"{folder}#9.9")
    assert dicom.series_paths(folder, "all") == [f"{folder}#1.2.3.5", f"{folder}#1.2.3.4"]
    assert dicom.series_paths(folder, "largest") == [f"{folder}#1.2.3.4"]
    assert dicom.series_paths(folder, "one") == [str(folder)]


def test_a_missing_slice_is_named_with_its_place(tmp_path: Path) -> None:
    write_series(tmp_path, 6)
    (tmp_path / "s03.dcm").unlink()  # the fourth of six, at 36 mm
    expected = "1 slices seem to be missing: 2 mm apart, except between 34 and 38 mm (4 mm)"
    with pytest.raises(ValueError, match=re.escape(expected)):
        read_volume(tmp_path)


def test_rounded_positions_are_no_missing_slices(tmp_path: Path) -> None:
    for number, height in enumerate([0, 0.6, 1.2, 1.9, 2.5, 3.1]):  # 0.625 mm, written with one digit
        write_slice(tmp_path / f"{number}.dcm", np.zeros((4, 6)), (0, 0, height))
    with pytest.raises(ValueError, match="uneven"):
        read_volume(tmp_path)
    for number, height in enumerate([0, 0.62, 1.25, 1.88, 2.5, 3.12]):  # two digits: 2 % of the distance
        write_slice(tmp_path / f"{number}.dcm", np.zeros((4, 6)), (0, 0, height))
    assert read_geometry(tmp_path).spacing_mm[2] == pytest.approx(0.624)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": (0, 0, 0)}, "4 of 5 slices are in the same place as another one"),
        ({"step": (0, 0.4, 2)}, r"shifted against each other by 11.3 degrees \(gantry tilt\)"),
        ({"NumberOfFrames": 7}, "is a multi-frame file of 7 frames; convert it"),
        ({"SamplesPerPixel": 3}, "contains colours"),
        ({"PixelSpacing": [0.0, 1.0]}, "pixel sides of 0 and 1 mm; all must be above 0"),
        ({"ImagePositionPatient": None}, "has no ImagePositionPatient"),
    ],
)
def test_a_stack_that_is_no_volume_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write_series(tmp_path, **change)
    with pytest.raises(ValueError, match=message) as error:
        read_volume(tmp_path)
    assert str(error.value).startswith(str(tmp_path))
    assert "\n" not in str(error.value)


def test_mixed_orientations_and_sizes_are_named(tmp_path: Path) -> None:
    write_series(tmp_path / "localizer")
    write_series(tmp_path / "localizer", 2, prefix="t", ImageOrientationPatient=list(SAGITTAL), step=(2, 0, 0))
    with pytest.raises(ValueError, match=r"mixed orientations in one series \(5 axial, 2 sagittal slices"):
        read_volume(tmp_path / "localizer")
    write_series(tmp_path / "sizes")
    write_slice(tmp_path / "sizes" / "wide.dcm", np.zeros((4, 8)), (-10, 20, 40))
    with pytest.raises(ValueError, match="slices of several sizes in one series: 6x4 at .*, 8x4"):
        read_volume(tmp_path / "sizes")


def test_a_slice_beside_the_others_is_named(tmp_path: Path) -> None:
    write_series(tmp_path, 4)
    write_slice(tmp_path / "x.dcm", np.zeros((4, 6)), (-10, 20, 38))
    write_slice(tmp_path / "s02.dcm", np.zeros((4, 6)), (-7, 20, 34))
    with pytest.raises(ValueError, match="s02.dcm is 3 mm off the line"):
        read_volume(tmp_path)


def test_patients_in_one_folder_are_named(tmp_path: Path) -> None:
    write_series(tmp_path)
    write_series(tmp_path, 3, prefix="t", SeriesInstanceUID="1.2.3.5", PatientID="p2")
    with pytest.raises(ValueError, match=r"contains images of 2 patients \(p1, p2\)"):
        read_volume(tmp_path)
    assert read_volume(f"{tmp_path}#{UID}").array.shape == (6, 4, 5)
    write_slice(tmp_path / "u.dcm", np.zeros((4, 6)), (-10, 20, 40), PatientID="p3")
    with pytest.raises(ValueError, match=r"contains images of 2 patients \(p1, p3\)"):
        read_volume(f"{tmp_path}#{UID}")


def test_empty_and_foreign_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the folder is empty"):
        read_volume(tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match="no DICOM image among its 1 files"):
        read_volume(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        read_volume(tmp_path / "nowhere")
    assert not is_volume(tmp_path)


def test_other_files_and_objects_beside_a_series_are_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path)
    (tmp_path / "README.txt").write_text("exported")
    write_slice(tmp_path / "segmentation.dcm", np.zeros((4, 6)), (0, 0, 0), Modality="SEG", SeriesInstanceUID="7")
    assert read_volume(tmp_path).array.shape == (6, 4, 5)


def test_files_without_an_ending_are_found(tmp_path: Path) -> None:
    write_series(tmp_path)
    for file in list(tmp_path.iterdir()):
        file.rename(file.with_name("1.2.840." + file.stem[1:]))
    assert is_volume(tmp_path)
    assert read_volume(tmp_path).array.shape == (6, 4, 5)


def test_an_encrypted_file_is_named(tmp_path: Path) -> None:
    write_series(tmp_path)
    file = tmp_path / "s02.dcm"
    file.write_bytes(np.random.default_rng(0).bytes(file.stat().st_size))
    with pytest.raises(
        ValueError, match=r"s02.dcm: is not a DICOM file despite its name; is it encrypted or damaged\?"
    ):
        read_volume(tmp_path)


def test_a_compression_that_simpleitk_does_not_know_is_named(tmp_path: Path) -> None:
    frames = pydicom.encaps.encapsulate([b"\x00" * 64])
    write_series(tmp_path, syntax="1.2.840.10008.1.2.4.201", PixelData=frames)
    with pytest.raises(
        ValueError, match=r"pixels of s05.dcm cannot be read \(High-Throughput JPEG 2000.*decompress"
    ) as error:
        read_volume(tmp_path)
    assert "\n" not in str(error.value)


def test_pixels_cut_short_are_named(tmp_path: Path) -> None:
    write_series(tmp_path)
    file = tmp_path / "s02.dcm"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"pixels of s02.dcm cannot be read \(Explicit VR Little Endian; .*truncated"):
        read_volume(tmp_path)


def test_one_file_is_not_taken_for_a_series(tmp_path: Path) -> None:
    write_series(tmp_path)
    with pytest.raises(ValueError, match="s01.dcm: is a single DICOM file; name its folder"):
        read_volume(tmp_path / "s01.dcm")


def test_a_missing_package_is_named_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    write_series(tmp_path)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImportError, match=r"pip install (pydicom|SimpleITK)"):
        read_volume(tmp_path)
    monkeypatch.undo()
    jpeg = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    write_series(tmp_path, syntax="1.2.840.10008.1.2.4.70", PixelData=jpeg)
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(ImportError, match=r"pip install (pydicom|SimpleITK)"):
        read_volume(tmp_path)


def test_one_slice_with_a_thickness_is_a_volume(tmp_path: Path) -> None:
    values = write_series(tmp_path, 1)
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.array, values.transpose(1, 0, 2) - 1024)
    assert volume.geometry.spacing_mm == pytest.approx((0.75, 0.5, 2.0))


def test_slices_too_close_are_uneven_but_none_is_missing(tmp_path: Path) -> None:
    for number, height in enumerate([0, 2, 4, 5, 7, 9]):
        write_slice(tmp_path / f"{number}.dcm", np.zeros((4, 6)), (0, 0, height))
    expected = "0 slices seem to be missing: 2 mm apart, except between 4 and 5 mm (1 mm)"
    with pytest.raises(ValueError, match=re.escape(expected)):
        read_volume(tmp_path)


def test_a_series_without_copies_is_read_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_series(tmp_path)
    read_volume(tmp_path)
    assert caplog.records == []


def test_rules_for_series_refuse_several_patients_and_folders_that_are_not_there(tmp_path: Path) -> None:
    write_series(tmp_path)
    write_series(tmp_path, 3, prefix="t", SeriesInstanceUID="1.2.3.5", PatientID="p2")
    for rule in ("all", "largest"):
        with pytest.raises(ValueError, match=r"contains images of 2 patients \(p1, p2\)"):
            dicom.series_paths(tmp_path, rule)
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        dicom.find_series(tmp_path / "nowhere")


def test_series_are_listed_by_number(tmp_path: Path) -> None:
    for number in (10, 9, 101):
        write_series(tmp_path, 2, prefix=f"s{number}_", SeriesInstanceUID=f"1.{number}", SeriesNumber=number)
    assert [one.number for one in dicom.find_series(tmp_path)] == ["9", "10", "101"]
