"""DICOM-SEG read back by highdicom and by dcmqi: the same mask on the same images; what is not a DICOM series is refused."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom")
pytest.importorskip("highdicom")
sitk = pytest.importorskip("SimpleITK")

from dicom_series import write_series  # noqa: E402

from medseg_monai.dataset.spec import DatasetSpec  # noqa: E402
from medseg_monai.formats import dicom_seg  # noqa: E402
from medseg_monai.formats.dicom_seg import write_dicom_seg  # noqa: E402
from medseg_monai.grids.geometry import LPS  # noqa: E402
from medseg_monai.images.volumes import read_geometry  # noqa: E402

NUMBERS = DatasetSpec(
    "d", "multiclass", classes=("anterior", "posterior"), channels=("mr",), spatial_dims=3, size=(8, 8, 8)
)
ORGANS = DatasetSpec(
    "d", "multilabel", classes=("anterior", "posterior"), channels=("mr",), spatial_dims=3, size=(8, 8, 8)
)


pytestmark = pytest.mark.filterwarnings("ignore")  # highdicom and pydicom on missing and odd attributes


@pytest.fixture(scope="module")
def series(shared_data: Path) -> Path:
    return shared_data / "dicom_mr_series"


def marked(shape: tuple[int, ...]) -> np.ndarray:
    """Two unequal boxes that overlap, one of them in the last slice; (2, I, J, K)."""
    planes = np.zeros((2, *shape), np.uint8)
    planes[0, 2:9, 3:20, 1:4] = 1
    planes[1, 5:12, 15:17, 3:5] = planes[1, 0, 0, -1] = 1
    return planes


@pytest.mark.parametrize("spec", [ORGANS, NUMBERS], ids=["overlapping", "exclusive"])
def test_the_mask_comes_back_on_the_images_it_was_made_from(series: Path, tmp_path: Path, spec: DatasetSpec) -> None:
    import highdicom
    import pydicom

    planes = marked(read_geometry(series).shape)
    planes[1] &= 1 - planes[0] if spec is NUMBERS else 1
    mask = planes if spec is ORGANS else np.argmax([np.zeros_like(planes[0]), *planes], axis=0).astype(np.uint8)[None]
    file = write_dicom_seg(mask, series, tmp_path / "x.dcm", spec)
    read = highdicom.seg.segread(file)
    images = [pydicom.dcmread(path) for path in sorted(series.iterdir())]
    assert {uid for _, _, uid in read.get_source_image_uids()} <= {image.SOPInstanceUID for image in images}
    assert [str(s.SegmentLabel) for s in read.SegmentSequence] == ["anterior", "posterior"]
    assert read.PatientID == images[0].PatientID
    assert read.FrameOfReferenceUID == images[0].FrameOfReferenceUID
    # by position in the patient, not by the order in which they were given
    images.sort(key=lambda image: float(np.dot(image.ImagePositionPatient, across(image))))
    found = read.get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in images], ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(found.transpose(3, 2, 1, 0), planes)  # (slices, rows, columns, classes)


def across(image: object) -> np.ndarray:
    """The normal of a slice."""
    row, column = np.array(image.ImageOrientationPatient[:3]), np.array(image.ImageOrientationPatient[3:])
    return np.cross(row, column)


def test_an_empty_mask_is_written_too(series: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import highdicom

    caplog.set_level("INFO")
    file = write_dicom_seg(np.zeros((1, *read_geometry(series).shape), np.uint8), series, tmp_path / "x.dcm", NUMBERS)
    assert not highdicom.seg.segread(file).pixel_array.any()
    assert "copy" not in caplog.text


def test_what_is_no_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a DICOM series, but a DICOM-SEG refers to one"):
        write_dicom_seg(np.zeros((1, 2, 2, 2), np.uint8), tmp_path / "x.nii.gz", tmp_path / "x.dcm", NUMBERS)


def test_a_mask_of_another_grid_is_refused(series: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="voxels, but the series"):
        write_dicom_seg(np.zeros((1, 2, 2, 2), np.uint8), series, tmp_path / "x.dcm", NUMBERS)


def read_by_dcmqi(file: Path, folder: Path) -> list[Any]:
    """The segments as SimpleITK images, by dcmqi (on DCMTK and ITK), which shares no code with what wrote them."""
    dcmqi = pytest.importorskip("dcmqi")
    folder.mkdir()
    program = Path(dcmqi.__file__).parent / "bin" / "segimage2itkimage"
    command = [program, "--inputDICOM", file, "--outputDirectory", folder, "-t", "nrrd"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return [sitk.ReadImage(str(segment)) for segment in sorted(folder.glob("*.nrrd"))]


def check_elsewhere(series: Path, folder: Path) -> None:
    """Write two boxes as DICOM-SEG of a series of 6x4x5 voxels; dcmqi must find them on the series' own grid."""
    geometry = read_geometry(series)
    planes = np.zeros((2, *geometry.shape), np.uint8)
    planes[0, 1:3, 2:4, 1:3] = planes[1, 4:, :2, 2] = 1
    segments = read_by_dcmqi(write_dicom_seg(planes, series, folder / "x.dcm", ORGANS), folder / "dcmqi")
    assert len(segments) == 2
    affine = LPS @ geometry.affine
    for segment, plane in zip(segments, planes, strict=True):
        assert segment.GetSize() == geometry.shape
        np.testing.assert_allclose(segment.GetSpacing(), geometry.spacing_mm, atol=1e-5)
        np.testing.assert_allclose(segment.GetOrigin(), affine[:3, 3], atol=1e-5)
        directions = np.array(segment.GetDirection()).reshape(3, 3)
        np.testing.assert_allclose(directions * segment.GetSpacing(), affine[:3, :3], atol=1e-5)
        assert np.array_equal(sitk.GetArrayFromImage(segment).T > 0, plane > 0)


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"SpacingBetweenSlices": 7},
        {"SpacingBetweenSlices": -1},
        {"SpacingBetweenSlices": 0},
        {"SliceThickness": 5, "SpacingBetweenSlices": None},
        {"SliceThickness": None},
    ],
    ids=str,
)
def test_other_software_lays_it_out_by_the_positions(tmp_path: Path, tags: dict[str, Any]) -> None:
    write_series(tmp_path / "ct", **tags)
    check_elsewhere(tmp_path / "ct", tmp_path)


def test_other_software_lays_out_oblique_slices(tmp_path: Path) -> None:
    oblique = (0.8, 0.6, 0, 0, 0, -1)
    step = 1.5 * np.cross(oblique[:3], oblique[3:])
    write_series(tmp_path / "mr", step=step, ImageOrientationPatient=list(oblique), SpacingBetweenSlices=3)
    check_elsewhere(tmp_path / "mr", tmp_path)


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 192", "Ωμέγα^山田"),
    ],
)
def test_names_of_every_script_stay_what_they_are(tmp_path: Path, charset: Any, name: str) -> None:
    import pydicom

    write_series(tmp_path / "ct", SpecificCharacterSet=charset, PatientName=name, PatientID=name.split("^")[0])
    spec = DatasetSpec("d", "binary", classes=("опухоль 腫瘍",), channels=("ct",), spatial_dims=3, size=(8, 8, 8))
    mask = np.ones((1, *read_geometry(tmp_path / "ct").shape), np.uint8)
    read = pydicom.dcmread(write_dicom_seg(mask, tmp_path / "ct", tmp_path / "x.dcm", spec))
    assert str(read.PatientName) == name
    assert read.PatientID == name.split("^")[0]
    assert read.SegmentSequence[0].SegmentLabel == "опухоль 腫瘍"
    assert len(read_by_dcmqi(tmp_path / "x.dcm", tmp_path / "dcmqi")) == 1


@pytest.mark.parametrize(
    "tags",
    [
        {"PatientSex": "U"},
        {"PatientBirthDate": "1/1/1950"},
        {"PatientBirthDate": "00000000"},
        {"StudyTime": "12:30:00"},
        {"AccessionNumber": "1" * 40, "StudyID": "x" * 40, "PatientID": "p" * 80},
        {"SeriesNumber": -5},
        {"SeriesNumber": None},
        {"Modality": ""},
        {"PatientName": "a=b=c=d"},
    ],
    ids=str,
)
def test_odd_headers_are_no_reason_to_refuse(tmp_path: Path, tags: dict[str, Any]) -> None:
    write_series(tmp_path / "ct", **tags)
    check_elsewhere(tmp_path / "ct", tmp_path)


@pytest.mark.parametrize("tag", ["FrameOfReferenceUID", "StudyInstanceUID", "SOPInstanceUID"])
def test_a_missing_reference_is_named(tmp_path: Path, tag: str) -> None:
    write_series(tmp_path / "ct", **{tag: ""})
    mask = np.ones((1, *read_geometry(tmp_path / "ct").shape), np.uint8)
    with pytest.raises(ValueError, match=rf"s05\.dcm: has no {tag}, which a DICOM-SEG refers to"):
        write_dicom_seg(mask, tmp_path / "ct", tmp_path / "x.dcm", NUMBERS)
    assert not (tmp_path / "x.dcm").exists()


def test_what_highdicom_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import highdicom

    def refuse(**_: Any) -> None:
        raise TypeError("two\nlines")

    write_series(tmp_path / "ct")
    monkeypatch.setattr(highdicom.seg, "Segmentation", refuse)
    mask = np.ones((1, *read_geometry(tmp_path / "ct").shape), np.uint8)
    with pytest.raises(
        ValueError, match=r"ct: a DICOM-SEG cannot refer to these headers \(two lines\): write nifti or nrrd"
    ):
        write_dicom_seg(mask, tmp_path / "ct", tmp_path / "x.dcm", NUMBERS)


def test_a_large_segmentation_leaves_its_empty_frames_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pydicom

    write_series(tmp_path / "ct")
    mask = np.zeros((1, *read_geometry(tmp_path / "ct").shape), np.uint8)
    mask[0, 2, 2, 3] = 1
    whole = pydicom.dcmread(write_dicom_seg(mask, tmp_path / "ct", tmp_path / "whole.dcm", NUMBERS))
    monkeypatch.setattr(dicom_seg, "WHOLE_SERIES_BYTES", 1)
    sparse = pydicom.dcmread(write_dicom_seg(mask, tmp_path / "ct", tmp_path / "sparse.dcm", NUMBERS))
    assert (whole.NumberOfFrames, sparse.NumberOfFrames) == (2 * 5, 1)


def test_how_far_a_mask_is_to_be_trusted_stands_in_its_description(tmp_path: Path) -> None:
    import pydicom

    series = tmp_path / "ct"
    write_series(series)
    mask = np.ones((1, *read_geometry(series).shape), np.uint8)
    said = {NUMBERS.classes[0]: 0.62}
    file = write_dicom_seg(mask, series, tmp_path / "x.dcm", NUMBERS, predicted_dice=said, reason="likely wrong")
    first, second = pydicom.dcmread(file).SegmentSequence[:2]
    assert first.SegmentDescription == "predicted Dice 0.62; a person should look at it: likely wrong"
    assert second.SegmentDescription == "a person should look at it: likely wrong"
    assert read_by_dcmqi(file, tmp_path / "dcmqi")
    long = write_dicom_seg(mask, series, tmp_path / "y.dcm", NUMBERS, reason="é" * 3000)
    assert len(pydicom.dcmread(long).SegmentSequence[0].SegmentDescription) == 1024
    plain = write_dicom_seg(mask, series, tmp_path / "z.dcm", NUMBERS)
    assert "SegmentDescription" not in pydicom.dcmread(plain).SegmentSequence[0]
