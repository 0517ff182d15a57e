"""Saved masks are the files that `medseg predict` writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import REPOSITORY, Outcome
from PIL import Image

from medseg_monai.app.commands import prepare_corrections
from medseg_monai.app.opened import Opened
from medseg_monai.app.saving import add_to_training, corrections_in, formats_for, save_case
from medseg_monai.bundle.paths import find_bundle
from medseg_monai.bundle.workflow import run_bundle
from medseg_monai.dataset import read_dataset
from medseg_monai.prediction import Prediction
from medseg_monai.predictor import Predictor

PHOTO = REPOSITORY / "examples" / "ISIC_0000253.jpg"


@pytest.fixture(scope="module")
def prediction() -> Prediction:
    return Predictor("unetpp")(PHOTO)


@pytest.fixture
def case(prediction: Prediction) -> Opened:
    case = Opened("moles/ISIC_0000253", PHOTO)
    case.set_prediction(prediction)
    return case


def test_files_equal_those_of_the_command(case: Opened, tmp_path: Path) -> None:
    values = {"dataset_dir": [str(PHOTO)], "output_dir": str(tmp_path / "command"), "formats": ["png", "geojson"]}
    run_bundle(find_bundle("unetpp"), "inference", values)
    written = save_case(case, tmp_path / "page", ["PNG", "GeoJSON"])
    assert [file.relative_to(tmp_path / "page").as_posix() for file in written] == [
        "moles/ISIC_0000253_mask.png", "moles/ISIC_0000253_mask.geojson",
    ]  # fmt: skip
    for file in written:
        assert file.read_bytes() == (tmp_path / "command" / file.name).read_bytes()
    assert case.saved


def test_volumes_and_overlapping_classes_have_other_places(tmp_path: Path) -> None:
    """A volume's formats are for volumes; neither is what `prepare folder` reads."""
    volume = SimpleNamespace(grid=SimpleNamespace(own_shape=(4, 5, 6)), mask=np.zeros((4, 5, 6), np.uint8))
    assert formats_for(volume)["NIfTI"] == "_mask.nii.gz"  # type: ignore[arg-type]
    for mask in (volume.mask, np.zeros((2, 4, 5), np.uint8)):
        case = SimpleNamespace(id="a", path=PHOTO, answer=lambda mask=mask: SimpleNamespace(mask=mask))
        with pytest.raises(ValueError, match="only photographs whose classes do not overlap"):
            add_to_training(case, tmp_path / "data")  # type: ignore[arg-type]
    assert not (tmp_path / "data").exists()


def test_a_corrected_mask_is_saved_as_it_is_now(case: Opened, tmp_path: Path) -> None:
    stamp = np.zeros(case.mask.shape, bool)
    stamp[:9, :9] = True
    case.paint(stamp, lambda values: values, 0, erase=False)
    assert not case.saved
    (file,) = save_case(case, tmp_path, ["PNG"])
    assert np.array_equal(np.asarray(Image.open(file)) > 0, case.mask > 0)
    assert np.asarray(Image.open(file))[:9, :9].all()


def test_what_is_added_is_a_data_set_with_this_mask(
    case: Opened, tmp_path: Path, medseg: Callable[..., Outcome]
) -> None:
    folder = tmp_path / "my corrections"
    for name in ("a/1", "a/2", "b/1"):  # as many as splits need
        case.id = name
        added = add_to_training(case, folder)
        assert np.array_equal(np.asarray(Image.open(added)) > 0, case.mask > 0)
    outcome = medseg(*prepare_corrections(folder, ["lesion"]))
    assert outcome.code == 0, outcome.err
    dataset = read_dataset(folder / "dataset")
    assert dataset.spec.classes == ("lesion",)
    assert sum(len(getattr(dataset, split)) for split in ("training", "validation", "test")) >= 1


def test_the_same_image_is_replaced_and_another_of_its_name_is_not(case: Opened, tmp_path: Path) -> None:
    case.id = "mole"
    assert add_to_training(case, tmp_path).name == "mole.png"
    assert add_to_training(case, tmp_path).name == "mole.png"
    assert corrections_in(tmp_path) == 1
    other = Opened("mole", tmp_path / "other.jpg")
    Image.new("RGB", (30, 20)).save(other.path)
    other.set_prediction(replace(case.answer(), mask=np.ones((20, 30), np.uint8)))
    assert add_to_training(other, tmp_path).name == "mole_2.png"
    png = Opened("mole", tmp_path / "other.png")
    Image.new("RGB", (30, 20)).save(png.path)
    png.set_prediction(other.answer())
    assert add_to_training(png, tmp_path).name == "mole_3.png", "masks are named after images without their suffix"
    assert (tmp_path / "images" / "mole.jpg").read_bytes() == PHOTO.read_bytes()
    assert corrections_in(tmp_path) == 3
