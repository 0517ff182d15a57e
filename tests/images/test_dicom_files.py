"""Files are DICOM by what they hold, not by what they are called; a disc's index and reports are not images."""

import shutil
from pathlib import Path

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("SimpleITK")

from dicom_series import write_series, write_slice  # noqa: E402

from medseg_monai.images.dicom_files import image_header, is_dicom_file, is_dicom_folder, split_path  # noqa: E402
from medseg_monai.images.volumes import is_volume, read_volume  # noqa: E402
from medseg_monai.inference.volumes import find_volumes  # noqa: E402


def save_without_preamble(file: Path, *, implicit: bool = True, little: bool = True) -> None:
    """As old scanners and network dumps write it: neither preamble nor mark nor file meta information."""
    data = pydicom.dcmread(file)
    if not little:
        data.PixelData = np.frombuffer(data.PixelData, "<i2").astype(">i2").tobytes()
    del data.file_meta
    data.preamble = None
    pydicom.dcmwrite(file, data, implicit_vr=implicit, little_endian=little, enforce_file_format=False)


@pytest.mark.parametrize("suffix", [".dic", ".IMA", ".dc3", ".img", ".7", "", ".dcm"])
@pytest.mark.parametrize("preamble", [True, False])
def test_a_series_is_read_whatever_its_files_are_called(tmp_path: Path, suffix: str, preamble: bool) -> None:
    values = write_series(tmp_path)
    for number, file in enumerate(sorted(tmp_path.iterdir())):
        if not preamble:
            save_without_preamble(file)
        file.rename(tmp_path / f"I{number}{suffix}")
    assert is_volume(tmp_path)
    assert np.array_equal(read_volume(tmp_path).array, values.transpose(1, 0, 2) - 1024)


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_every_encoding_without_a_preamble(tmp_path: Path, implicit: bool, little: bool) -> None:
    values = write_series(tmp_path)
    for file in tmp_path.iterdir():
        save_without_preamble(file, implicit=implicit, little=little)
    assert np.array_equal(read_volume(tmp_path).array, values.transpose(1, 0, 2) - 1024)


def test_meta_information_without_a_preamble(tmp_path: Path) -> None:
    values = write_series(tmp_path)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[132:])
    assert np.array_equal(read_volume(tmp_path).array, values.transpose(1, 0, 2) - 1024)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x08\x00",
        b"\x08\x00\x05\x00\xff\xff\xff\xff" + bytes(200),  # group 8, but of a length that no first element has
        bytes(200),
        "словарь\n".encode() * 40,  # a spelling dictionary also ends in .dic
        b"\x08\x00\x16\x00UI\x04\x001.2\x00" + bytes(200),  # begins well and ends in nothing
    ],
)
def test_files_that_only_look_like_it_are_passed_over(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "words.dic").write_bytes(content)
    assert not is_dicom_folder(tmp_path)
    write_series(tmp_path)
    assert read_volume(tmp_path).array.shape == (6, 4, 5)


def test_only_files_that_may_be_dicom_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.jpg", "b.nii.gz", "c.CSV", ".hidden"):
        (tmp_path / name).write_bytes(bytes(200))
    monkeypatch.setattr(Path, "open", lambda *_args, **_kwargs: pytest.fail("opened"))
    assert not is_dicom_folder(tmp_path)


def write_disc(folder: Path) -> None:
    """A disc: DICOMDIR beside folders of slices, and a folder with nothing but a report."""
    series = folder / "PT0" / "ST0" / "SE0"
    write_series(series)
    for file in series.iterdir():
        file.rename(file.with_suffix(""))
    report = folder / "PT0" / "ST0" / "SE1" / "SR1"
    write_slice(report, np.zeros((4, 6)), (0, 0, 0), Modality="SR", SeriesInstanceUID="7")
    index = pydicom.Dataset()
    index.file_meta = pydicom.dataset.FileMetaDataset()
    index.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    index.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    index.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    index.FileSetID = "DISC"
    index.DirectoryRecordSequence = []
    index.save_as(folder / "DICOMDIR", enforce_file_format=True)


def test_a_disc_is_the_series_on_it(tmp_path: Path) -> None:
    write_disc(tmp_path)
    assert is_dicom_file(tmp_path / "DICOMDIR")
    assert [scan.name.as_posix() for scan in find_volumes(tmp_path)] == ["PT0/ST0/SE0"]
    assert [scan.name.as_posix() for scan in find_volumes(tmp_path, series="all")] == ["PT0/ST0/SE0"]
    shutil.copy(tmp_path / "DICOMDIR", tmp_path / "PT0" / "ST0" / "SE0" / "DICOMDIR")
    assert read_volume(tmp_path / "PT0" / "ST0" / "SE0").array.shape == (6, 4, 5)


def test_a_folder_of_damaged_dicom_is_still_one(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(np.random.default_rng(0).bytes(500))
    assert is_dicom_folder(tmp_path)
    with pytest.raises(ValueError, match=r"a\.dcm: is not a DICOM file despite its name"):
        read_volume(tmp_path)


def test_a_folders_own_sharp_sign_is_no_series(tmp_path: Path) -> None:
    write_series(tmp_path / "a#1")
    assert split_path(tmp_path / "a#1") == (tmp_path / "a#1", "")
    assert split_path(f"{tmp_path / 'a#1'}#1.2.3.4") == (tmp_path / "a#1", "1.2.3.4")
    assert read_volume(tmp_path / "a#1").array.shape == (6, 4, 5)


@pytest.mark.parametrize("error", [ValueError("length"), RuntimeError("no"), AttributeError("x")])
def test_what_breaks_the_parser_is_damaged_if_it_claims_to_be_dicom_and_passed_over_if_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(pydicom, "dcmread", broken)
    begins = b"\x08\x00\x16\x00UI\x04\x001.2\x00" + bytes(200)
    for name in ("words.dic", "IM0001"):
        (tmp_path / name).write_bytes(begins)
        assert image_header(tmp_path / name) is None
    marked = bytes(128) + b"DICM" + bytes(20)
    for name, content in (("a.dcm", begins), ("b.ima", begins), ("IM0002", marked)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}: its DICOM header cannot be read .*; copy it again"):
            image_header(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"\x08\x00", b"\x08\x00\x16\x00UI\x04\x001.2\x00"])
def test_a_few_bytes_are_no_dicom_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert not is_dicom_file(tmp_path / "x")
