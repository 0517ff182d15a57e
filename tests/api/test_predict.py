"""Masks of a folder from Python: the command's files, those to look at first, failures in the result."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Outcome
from PIL import Image

import medseg_monai as mm
from medseg_monai.api.datasets import ImageDataset
from medseg_monai.api.predict import Predictions
from medseg_monai.api.training import Training
from medseg_monai.bundle.trained import Trained
from medseg_monai.tuning.review import Review


@pytest.fixture(scope="module")
def images(data: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images, and one that is none."""
    folder = tmp_path_factory.mktemp("images")
    for number, case in enumerate(data[:3]):
        shutil.copy(case.image_files[0], folder / f"<i>{number}.png")
    (folder / "broken.png").write_bytes(b"x")
    return folder


@pytest.fixture(scope="module")
def weights(training: Training, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that flag every case."""
    folder = tmp_path_factory.mktemp("flagging")
    shutil.copy(training.weights, folder)
    trained = Trained.read(training.folder)
    review = Review(0.0, failure_dice=0.7, cases=1, failures=0, flagged=0, caught=0)
    Trained(trained.dataset, trained.architecture, trained.bundle, review=review).write(folder)
    return folder


@pytest.fixture(scope="module")
def found(images: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictions:
    out = tmp_path_factory.mktemp("out")
    return mm.predict("unet", images, out=out, weights=weights, threshold=0.3, formats=["png", "geojson"])


def test_function_and_command_write_the_same(
    found: Predictions, images: Path, weights: Path, medseg: Callable[..., Outcome], tmp_path: Path
) -> None:
    settings = ("--weights", weights, "--threshold", 0.3, "--format", "png,geojson", "--out", tmp_path)
    ended = medseg("predict", "unet", images, *settings)
    assert ended.code == 1
    assert "1 of 4 images could not be used" in ended.err
    assert "3 flagged" in ended.out
    ours = sorted(file.name for file in found.folder.iterdir())
    assert ours == sorted(file.name for file in tmp_path.iterdir())
    for name in (name for name in ours if name.endswith((".png", ".geojson", ".csv"))):
        assert (found.folder / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_failures_are_returned_and_the_others_done(found: Predictions) -> None:
    assert [Path(failure.path).name for failure in found.failures] == ["broken.png"]
    assert (len(found), len(found.flagged), found.earlier) == (3, 3, 0)
    assert all("uncertain" in case.reason for case in found)


def test_cases_and_rows_are_those_of_the_table(found: Predictions) -> None:
    with (found.folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    in_order = sorted(rows, key=lambda row: int(row["order"]))
    assert [row["case"] for row in found.rows] == [row["case"] for row in in_order], "those to look at first"
    assert [row["pixels"] for row in found.rows] == [int(row["pixels"]) for row in in_order]
    assert found[found[1].case] == found[1]
    with pytest.raises(KeyError, match="no case 'nosuch'"):
        found["nosuch"]


def test_masks_are_read_back(found: Predictions) -> None:
    case = found[0]
    mask = found.mask(case)
    with Image.open(found.folder / f"{case.case}_mask.png") as picture:
        assert np.array_equal(mask, np.asarray(picture) // 255)
    assert np.array_equal(found.mask(case.case), mask)
    assert int(mask.sum()) == case.pixels["lesion"]


def test_it_draws_and_saves_itself(found: Predictions, tmp_path: Path) -> None:
    assert [axes.get_title() for axes in found.plot(2).axes] == [f"{case.case}: look at this" for case in found[:2]]
    assert found.save(tmp_path / "t.csv").is_file()
    assert found.save(tmp_path / "p.html").read_bytes() == (found.page or Path()).read_bytes()


def test_a_notebook_shows_pictures_flags_and_failures(found: Predictions) -> None:
    page = found._repr_html_()
    assert page.count("data:image/jpeg") == 3
    assert "3 images, 3 to look at" in page
    assert "could not be used: broken.png" in page
    assert "&lt;i&gt;0" in page
    assert "<i>" not in page


def test_finished_masks_are_kept(found: Predictions, images: Path, weights: Path) -> None:
    again = mm.predict(
        "unet", images, out=found.folder, weights=weights, threshold=0.3, formats="png,geojson", report=False
    )
    assert (again.earlier, len(again), again.page) == (3, 3, None)


def test_a_folder_of_somebody_elses_masks_is_not_written_to(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "masks").mkdir()
    with pytest.raises(FileExistsError, match="not written by medseg predict"):
        mm.predict("unet", images)
