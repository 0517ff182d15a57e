"""DICOM-SEG read back by highdicom: the same mask on the same images; what is no DICOM series is refused."""

from pathlib import Path

import numpy as np
import pytest

from medseg_monai.formats.dicom_seg import write_dicom_seg
from medseg_monai.images.volumes import read_geometry
from medseg_monai.spec import DatasetSpec

NUMBERS = DatasetSpec(
    "d", "multiclass", classes=("anterior", "posterior"), channels=("mr",), spatial_dims=3, size=(8, 8, 8)
)
ORGANS = DatasetSpec(
    "d", "multilabel", classes=("anterior", "posterior"), channels=("mr",), spatial_dims=3, size=(8, 8, 8)
)


@pytest.fixture(scope="module")
def series(shared_data: Path) -> Path:
    pytest.importorskip("highdicom")
    return shared_data / "dicom_mr_series"


def marked(shape: tuple[int, ...]) -> np.ndarray:
    """Two unequal boxes that overlap, one of them in the last slice; (2, I, J, K)."""
    planes = np.zeros((2, *shape), np.uint8)
    planes[0, 2:9, 3:20, 1:4] = 1
    planes[1, 5:12, 15:17, 3:5] = planes[1, 0, 0, -1] = 1
    return planes


@pytest.mark.filterwarnings("ignore")  # highdicom on the fixture's missing attributes
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


@pytest.mark.filterwarnings("ignore")
def test_an_empty_mask_is_written_too(series: Path, tmp_path: Path) -> None:
    import highdicom

    file = write_dicom_seg(np.zeros((1, *read_geometry(series).shape), np.uint8), series, tmp_path / "x.dcm", NUMBERS)
    assert not highdicom.seg.segread(file).pixel_array.any()


def test_what_is_no_series_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    with pytest.raises(ValueError, match="is no DICOM series, and a DICOM-SEG refers to one"):
        write_dicom_seg(np.zeros((1, 2, 2, 2), np.uint8), tmp_path / "x.nii.gz", tmp_path / "x.dcm", NUMBERS)


@pytest.mark.filterwarnings("ignore")
def test_a_mask_of_another_grid_is_refused(series: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="voxels came for a series of"):
        write_dicom_seg(np.zeros((1, 2, 2, 2), np.uint8), series, tmp_path / "x.dcm", NUMBERS)
