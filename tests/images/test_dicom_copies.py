"""A slice that is there twice is read once; different slices in one place are told apart by what differs."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("SimpleITK")

from dicom_series import write_series  # noqa: E402

from medseg_monai.images.volumes import read_geometry, read_volume  # noqa: E402


def test_copies_are_read_once_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = write_series(tmp_path)
    shutil.copy(tmp_path / "s02.dcm", tmp_path / "s02 (1).dcm")
    again = pydicom.dcmread(tmp_path / "s04.dcm")  # sent twice: another identifier, another encoding, the same slice
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = "1.2.77"
    again.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
    again.save_as(tmp_path / "again.dcm")
    assert read_geometry(tmp_path).shape == (6, 4, 5)
    with caplog.at_level(logging.WARNING):
        volume = read_volume(tmp_path)
    assert np.array_equal(volume.array, values.transpose(1, 0, 2) - 1024)
    assert "2 of 7 files are copies of a slice; each slice is read once" in caplog.text


def test_a_whole_series_twice(tmp_path: Path) -> None:
    values = write_series(tmp_path)
    for file in list(tmp_path.iterdir()):
        shutil.copy(file, tmp_path / f"copy of {file.name}")
    assert np.array_equal(read_volume(tmp_path).array, values.transpose(1, 0, 2) - 1024)


@pytest.mark.parametrize(
    ("tag", "values"),
    [("EchoTime", (4.6, 9.2)), ("AcquisitionNumber", (1, 2)), ("TemporalPositionIdentifier", (1, 2))],
)
def test_two_acquisitions_are_told_apart(tmp_path: Path, tag: str, values: tuple[float, float]) -> None:
    write_series(tmp_path, **{tag: values[0]})
    for file in list(tmp_path.iterdir()):
        data = pydicom.dcmread(file)
        setattr(data, tag, values[1])
        data.PixelData = data.PixelData[::-1]
        data.save_as(tmp_path / f"t{file.name}")
    expected = (
        rf"5 of 10 slices are in the same place as another one \(they differ in {tag}: {values[0]}, {values[1]}\)"
    )
    with pytest.raises(ValueError, match=expected):
        read_volume(tmp_path)


def test_a_changed_slice_is_not_a_copy(tmp_path: Path) -> None:
    write_series(tmp_path)
    data = pydicom.dcmread(tmp_path / "s02.dcm")
    data.RescaleIntercept = 0
    data.save_as(tmp_path / "t02.dcm")
    with pytest.raises(ValueError, match="1 of 6 slices are in the same place as another one: several echoes"):
        read_volume(tmp_path)
