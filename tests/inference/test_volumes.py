"""Volumes to segment: which files and folders are taken, and under which id."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.inference.cases import find_cases
from medseg_monai.transforms import load

pydicom = pytest.importorskip("pydicom")

from dicom_series import write_series  # noqa: E402

SPEC = DatasetSpec(
    "x", "binary", classes=("a",), channels=("ct",), spatial_dims=3, spacing_mm=(1, 1, 1), size=(8, 8, 8)
)
FLAT = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(8, 8))


def touch(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"not looked at yet")


def ids(*sources: Path, **options: object) -> list[str]:
    return [case["id"] for case in find_cases(list(sources), spec=SPEC, **options)]  # type: ignore[arg-type]


def test_volumes_of_all_formats_are_found_under_their_names(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("b.nii.gz", "a.b.nii", "sub/c.nrrd", "sub/d.mha", "e.MHD", ".hidden.nii")))
    touch(tmp_path / "notes.txt", tmp_path / "out" / "old.nii.gz", tmp_path / ".trash" / "z.nii.gz")
    write_series(tmp_path / "patient" / "ct 1")
    found = ids(tmp_path, leave_out=tmp_path / "out")
    assert sorted(found) == ["a.b", "b", "e", "patient/ct 1", "sub/c", "sub/d"]


def test_a_named_file_or_dicom_folder_is_taken(tmp_path: Path) -> None:
    touch(tmp_path / "scan.nii.gz")
    write_series(tmp_path / "series")
    assert ids(tmp_path / "scan.nii.gz", tmp_path / "series") == ["scan", "series"]
    [case] = find_cases(f"{tmp_path / 'series'}#1.2.3.4", spec=SPEC)
    assert case == {"image": f"{tmp_path / 'series'}#1.2.3.4", "id": "series"}


def test_the_same_name_in_two_formats_stays_apart(tmp_path: Path) -> None:
    touch(tmp_path / "a.nii.gz", tmp_path / "a.nrrd")
    write_series(tmp_path / "a")
    assert sorted(ids(tmp_path)) == ["a_dicom", "a_nii_gz", "a_nrrd"]


def test_several_series_are_a_case_each_when_asked_for(tmp_path: Path) -> None:
    write_series(tmp_path / "study")
    write_series(tmp_path / "study", 3, prefix="t", SeriesInstanceUID="1.2.3.5", SeriesNumber=1)
    assert ids(tmp_path) == ["study"]  # one case, which fails with the list of its series
    assert ids(tmp_path, series="all") == ["study_1", "study_2"]
    [largest] = find_cases(tmp_path, spec=SPEC, series="largest")
    assert largest == {"image": f"{tmp_path / 'study'}#1.2.3.4", "id": "study"}
    [chosen] = find_cases(tmp_path, spec=SPEC, series="1.2.3.5")
    assert chosen["image"].endswith("#1.2.3.5")
    with pytest.raises(ValueError, match="study: contains 2 series; choose one as study#UID"):
        load(SPEC, keys=("image",))(find_cases(tmp_path, spec=SPEC)[0])


def test_a_chosen_series_loads(tmp_path: Path) -> None:
    write_series(tmp_path / "study")
    write_series(tmp_path / "study", 3, prefix="t", SeriesInstanceUID="1.2.3.5")
    spec = DatasetSpec(
        "x", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(8, 8, 8), intensity=_window()
    )
    case = load(spec, keys=("image",))(find_cases(f"{tmp_path / 'study'}#1.2.3.5", spec=spec)[0])
    assert case["image_meta_dict"]["spatial_shape"].tolist() == [6, 4, 3]
    assert case["image_meta_dict"]["filename_or_obj"] == f"{tmp_path / 'study'}#1.2.3.5"


def _window() -> "object":
    from medseg_monai.dataset.intensity import Intensity

    return Intensity("window", lower=-1000, upper=1000)


def test_photographs_and_volumes_in_one_folder_go_to_the_network_that_takes_them(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "photo.png")
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4)), tmp_path / "scan.nii.gz")
    assert ids(tmp_path) == ["scan"]
    assert [case["id"] for case in find_cases(tmp_path, spec=FLAT)] == ["photo"]
    (tmp_path / "scan.nii.gz").unlink()
    with pytest.raises(ValueError, match="no volumes in .*the 1 pictures there are for a network of 2D images"):
        find_cases(tmp_path, spec=SPEC)


def test_a_folder_of_volumes_is_explained_to_a_network_of_pictures(tmp_path: Path) -> None:
    touch(tmp_path / "scan.nii.gz")
    with pytest.raises(ValueError, match="no images in .*the 1 volumes there are for a 3D network"):
        find_cases(tmp_path, spec=FLAT)


def test_nothing_and_nowhere_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no volumes in .*looked for .nii"):
        find_cases(tmp_path, spec=SPEC)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        find_cases(tmp_path / "nowhere", spec=SPEC)
    touch(tmp_path / "scan.nii.gz")
    with pytest.raises(ValueError, match="is both input and output"):
        find_cases(tmp_path, spec=SPEC, leave_out=tmp_path)
