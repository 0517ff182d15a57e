"""Which weights a name stands for, what they must have in common with the data, and their mean."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from untrained import untrained

from medseg_monai.distillation.teachers import Teacher, Teachers, check_teacher, mask_of
from medseg_monai.predictor import Predictor
from medseg_monai.prepare.demo import demo_spec

SPEC = demo_spec(size=32)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def test_a_folder_and_a_file_of_any_bundle(tmp_path: Path) -> None:
    folder = untrained(tmp_path / "w", SPEC, seed=0, bundle="resunetpp")
    by_folder, by_file = Teacher.find(folder, SPEC), Teacher.find(folder / "model.pt", SPEC)
    assert by_folder == by_file
    assert by_folder.bundle.name == "resunetpp"
    assert by_folder.weights == folder / "model.pt"


def test_a_bundles_name_is_the_weights_that_it_ships() -> None:
    teacher = Teacher.find("unetpp", SPEC)
    assert teacher.trained.dataset.name == "isic2017"
    assert teacher.weights.parent.name == "models"


@pytest.mark.parametrize("named", ["no_such_bundle", "missing/folder"])
def test_what_is_not_there(named: str) -> None:
    with pytest.raises(FileNotFoundError):
        Teacher.find(named, SPEC)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"classes": ("mole",)}, "classes: mole there, lesion here"),
        ({"channels": ("blue", "green", "red")}, "channels: blue, green, red there, red, green, blue here"),
        ({"task": "multilabel"}, "task: multilabel there, binary here"),
    ],
)
def test_weights_for_other_data_are_refused_by_what_differs(change: dict[str, object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        check_teacher(replace(SPEC, **change), SPEC, "w")  # type: ignore[arg-type]


def test_the_mean_of_two_by_hand(tmp_path: Path, picture: Path) -> None:
    folders = [untrained(tmp_path / str(seed), SPEC, seed=seed) for seed in (1, 2)]
    alone = [Predictor("unet", weights=folder, calibration="off")(picture).probabilities for folder in folders]
    both = Teachers([Teacher.find(folder, SPEC) for folder in folders])(picture)
    assert np.abs(alone[0] - alone[1]).max() > 0.2
    np.testing.assert_allclose(both.probabilities, (alone[0] + alone[1]) / 2, atol=1e-6)
    np.testing.assert_array_equal(both.mask, (alone[0] + alone[1] > 1)[0])


def test_the_digest_tells_weights_and_how_they_are_asked_apart(tmp_path: Path) -> None:
    one, other = (Teacher.find(untrained(tmp_path / str(seed), SPEC, seed=seed), SPEC) for seed in (1, 2))
    digests = {
        Teachers([one]).digest,
        Teachers([other]).digest,
        Teachers([one, other]).digest,
        Teachers([one], {"tta": "flips"}).digest,
    }
    assert len(digests) == 4
    moved = tmp_path / "moved"
    (tmp_path / "1").rename(moved)
    assert Teachers([Teacher.find(moved, SPEC)]).digest in digests


def test_nobody_to_learn_from() -> None:
    with pytest.raises(ValueError, match="name at least one teacher"):
        Teachers([])


def test_masks_of_each_task() -> None:
    shares = np.array([[0.2, 0.6, 0.45], [0.1, 0.55, 0.3]])
    assert mask_of(shares[:1], "binary").tolist() == [0, 1, 0]
    assert mask_of(shares, "multilabel").tolist() == [[0, 1, 0], [0, 1, 0]]
    assert mask_of(shares, "multiclass").tolist() == [0, 1, 1]  # 0.25 is left for the background of the last


def test_a_path_in_spec_json_runs_no_configs(tmp_path: Path) -> None:
    """A stranger's folder that calls itself a bundle, with configs that would run."""
    folder = untrained(tmp_path / "w", SPEC, seed=0, bundle=str(tmp_path / "w"))
    (folder / "configs").mkdir()
    (folder / "configs" / "train.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="is a folder, not a bundle"):
        Teacher.find(folder, SPEC)


def test_a_path_that_is_none_of_weights_says_what_is_wrong(tmp_path: Path) -> None:
    untrained(tmp_path / "teacher", SPEC, seed=0)
    with pytest.raises(FileNotFoundError, match=r"techer: no such folder or file.*did you mean '.*/teacher'"):
        Teacher.find(tmp_path / "techer", SPEC)
    with pytest.raises(FileNotFoundError, match=r"unett: no such folder or file, and no bundle .*did you mean 'unet'"):
        Teacher.find("unett", SPEC)
    (tmp_path / "images").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"images: there is no spec.json in it; a teacher is a bundle's name, or"
    ):
        Teacher.find(tmp_path / "images", SPEC)
    (tmp_path / "images" / "model.pt").touch()
    with pytest.raises(FileNotFoundError, match=r"model.pt: there is no spec.json beside it"):
        Teacher.find(tmp_path / "images" / "model.pt", SPEC)
