"""Preparing from Python: the source by name or by what the folder contains; options of another source are refused."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

import medseg_monai as mm


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    raw = tmp_path / "photos"
    generator = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (raw / kind).mkdir(parents=True)
    for number in range(6):
        pixels = generator.integers(0, 255, (32, 40, 3), dtype=np.uint8)
        mask = np.zeros((32, 40), np.uint8)
        mask[5:20, 8 : 20 + number] = 255
        Image.fromarray(pixels).save(raw / "images" / f"{number}.png")
        Image.fromarray(mask).save(raw / "masks" / f"{number}.png")
    (raw / "images" / "broken.png").write_bytes(b"x")
    return raw


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    raw = tmp_path / "volumes"
    for kind in ("images", "labels"):
        (raw / kind).mkdir(parents=True)
    for number in range(4):
        label = np.zeros((10, 12, 8), np.uint8)
        label[2:5, 3:7, 2 : 4 + number] = 1
        for kind, values in (("images", label * 100.0 + number), ("labels", label)):
            nibabel.save(nibabel.Nifti1Image(values.astype(np.int16), np.eye(4)), raw / kind / f"{number}.nii.gz")
    return raw


def test_a_folder_of_pictures_is_recognised(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = mm.prepare(photos, classes="spot", size=32)
    assert (len(data), data.classes, data.spec.size) == (6, ("spot",), (32, 32))
    assert data.folder.resolve() == tmp_path / "data" / "photos"
    assert data.layout
    assert any("broken" in str(file) for file, _ in data.left_out)
    assert "broken.png" in data._repr_html_()
    assert [case.id for case in mm.load_dataset("photos")] == [case.id for case in data]


def test_a_folder_of_volumes_is_recognised(volumes: Path, tmp_path: Path) -> None:
    data = mm.prepare(volumes, out=tmp_path / "out", size=(8, 8, 8), modality="mr")
    assert (data.spec.spatial_dims, data.spec.size, len(data)) == (3, (8, 8, 8), 4)


def test_a_source_by_name(photos: Path, tmp_path: Path) -> None:
    data = mm.prepare("folder", photos, out=tmp_path / "out", name="mine", aspect="pad", classes=["spot=255"])
    assert (data.name, data.spec.aspect) == ("mine", "pad")
    demo = mm.prepare("demo", out=tmp_path / "demo", kind="mr", n=12, size=32)
    assert (len(demo), demo.spec.task) == (12, "multilabel")


@pytest.mark.parametrize(
    ("arguments", "options", "problem"),
    [
        (("isic2017", "RAW"), {"fold": 1}, "isic2017 does not take fold: it is for uwmadison"),
        (("RAW",), {"window": (0, 1)}, "folder does not take window: it is for msd, amos, nifti"),
        (("isic201", "RAW"), {}, "unknown source 'isic201'"),
        (("isic2017",), {}, "isic2017: name the raw folder as well"),
        (("demo", "RAW"), {}, "no raw folder to give"),
        (("RAW",), {"size": (1, 2, 3)}, "one number for pictures"),
        (("nifti", "RAW"), {"size": 8}, "three numbers for a patch"),
        (("nifti", "RAW"), {"modality": "all"}, "all is for amos"),
        (("nowhere",), {}, "no such file or folder: nowhere"),
        (("RAW",), {"splits": "nowhere.csv"}, "no such file or folder: nowhere.csv"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: tuple[str, ...], options: dict[str, object], problem: str, photos: Path, tmp_path: Path
) -> None:
    given = [photos if argument == "RAW" else argument for argument in arguments]
    with pytest.raises((ValueError, FileNotFoundError), match=problem):
        mm.prepare(*given, out=tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
