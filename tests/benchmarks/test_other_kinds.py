"""Kinds of images that are none of training's: drawn alike each time, read from folders, cut from scans."""

import importlib
from pathlib import Path
from types import ModuleType

import nibabel
import numpy as np
import pytest
from PIL import Image

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("other_pictures")


@pytest.fixture
def volumes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("other_volumes")


def test_painted_lesions_are_darker_in_the_middle_and_the_same_for_a_seed(pictures: ModuleType) -> None:
    for draw in pictures.HELD_OUT.values():
        one, again = (np.asarray(draw(np.random.default_rng(3)), float) for _ in range(2))
        assert np.array_equal(one, again)
        height, width, channels = one.shape
        assert channels == 3
        middle = one[height // 3 : -height // 3, width // 3 : -width // 3].mean()
        assert middle < one[: height // 10].mean() - 10


def test_of_a_folder_evenly_spaced_pictures_are_shown_on_white(
    pictures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "COUNT", 1)
    monkeypatch.setattr(pictures, "GENERATED", {"one colour": pictures.single_colour})
    monkeypatch.setattr(pictures, "HELD_OUT", {"flat*": pictures.flat_lesion})
    for number in range(9):
        Image.new("RGBA", (40, 30), (number, 0, 0, 255 if number < 8 else 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    spoilt = [tmp_path / "0.png"]
    found = pictures.other_pictures(spoilt, {"mine": tmp_path, "none": tmp_path / "missing"}, most=3)
    assert [picture.getpixel((0, 0)) for picture in found["mine"]] == [(0, 0, 0), (4, 0, 0), (255, 255, 255)]
    assert "none" not in found
    assert [len(found[name]) for name in ("one colour", "flat*")] == [1, 1]


def test_a_scan_of_sixteen_bits_ends_with_white(pictures: ModuleType, tmp_path: Path) -> None:
    Image.fromarray(np.arange(0, 40000, 4, dtype=np.uint16).reshape(100, 100)).save(tmp_path / "scan.png")
    found = np.asarray(pictures._opened(tmp_path / "scan.png"))
    assert (int(found.min()), int(found.max())) == (0, 255)
    assert np.mean(found == 255) == pytest.approx(0.01, abs=0.005)


def test_generated_volumes_vary_and_have_the_wanted_shape(volumes: ModuleType) -> None:
    for name, draw in volumes.GENERATED.items():
        one, other = (draw(np.random.default_rng(seed), (12, 14, 10)) for seed in range(2))
        assert one.shape == ((64,) * 3 if "head" in name else (12, 14, 10))
        assert one.std() > 0
        assert not np.array_equal(one, other) or "cubes" in name


def test_crops_have_the_wanted_size_in_mm_and_are_not_background(volumes: ModuleType, tmp_path: Path) -> None:
    values = np.zeros((40, 40, 30), np.float32)
    values[10:] = 1 + np.random.default_rng(0).random((30, 40, 30), np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 4.0, 1.0])), tmp_path / "scan.nii.gz")
    parts = volumes.crops(np.random.default_rng(0), tmp_path / "scan.nii.gz", np.array([20.0, 24.0, 40.0]))
    assert len(parts) == volumes.COUNT
    for part, spacing in parts:
        assert (part.shape, spacing) == ((10, 12, 10), (2, 2, 4))
        assert (part > 0).mean() > 0.6
