"""The pass over labelled cases: what is given of each, what is left out, and whose weights it is for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tuned_cases import ONE, KnownNetwork, drawn_dataset

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset import Dataset
from medseg_monai.tuning.predicted import Learner

ARCHITECTURE = {"_target_": "medseg_monai.networks.UNet", "in_channels": 1, "out_channels": 1}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two pictures of 6 x 5: one with its left column set, one with nothing."""
    truths = np.zeros((2, 6, 5), bool)
    truths[0, 0] = True
    Trained(ONE, ARCHITECTURE, "unet").write(tmp_path)
    (tmp_path / "model.pt").touch()
    return drawn_dataset(tmp_path, truths)


@pytest.fixture
def learner(dataset: Dataset) -> Learner:
    return Learner.of(Path("unet"), dataset, dataset.root)


NETWORK = KnownNetwork({"0.png": np.full((5, 6), 0.9), "1.png": np.zeros((5, 6))})


def test_truth_has_the_axes_of_the_prediction(learner: Learner, dataset: Dataset) -> None:
    first, second = learner.predicted(NETWORK, learner.cases(dataset, "validation"))  # type: ignore[arg-type]
    assert first.truth.shape == (1, *first.prediction.mask.shape) == (1, 5, 6)
    assert first.truth[0].tolist() == [[True, *[False] * 5]] * 5
    assert (first.ignored, second.truth.any()) == (None, False)
    assert [first.case["id"], second.case["id"]] == ["0", "1"]


def test_ignored_pixels_are_told(learner: Learner, dataset: Dataset) -> None:
    label = np.zeros((5, 6), np.uint8)
    label[4] = 7
    Image.fromarray(label).save(dataset.root / "1.png")
    spec = replace(ONE, ignore=(7,))
    cases = Dataset(spec, dataset.root, validation=dataset.validation[1:]).cases("validation")
    (found,) = learner.predicted(NETWORK, cases)  # type: ignore[arg-type]
    assert found.ignored is not None
    assert found.ignored[0].tolist() == [*[[False] * 6] * 4, [True] * 6]


def test_a_case_that_cannot_be_used_is_left_out_and_named(
    learner: Learner, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    cases = learner.cases(dataset, "validation")
    Image.new("L", (9, 9)).save(dataset.root / "other.png")
    cases[1]["label"] = str(dataset.root / "other.png")  # type: ignore[index]
    assert [found.case["id"] for found in learner.predicted(NETWORK, cases)] == ["0"]  # type: ignore[arg-type]
    assert "left out: 1: " in caplog.text
    with pytest.raises(ValueError, match="none of the 1 cases could be used; the first: "):
        list(learner.predicted(NETWORK, cases[1:]))  # type: ignore[arg-type]


def test_unreadable_pictures_are_left_out_of_predictions(
    learner: Learner, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    def network(image: str) -> str:
        if Path(image).name == "0.png":
            raise OSError("torn")
        return "found"

    cases = learner.cases(dataset, "validation")
    assert list(learner.predictions(network, cases)) == [(cases[1], "found")]  # type: ignore[arg-type]
    assert "left out: 0: torn" in caplog.text


def test_weights_for_other_classes_are_refused(learner: Learner, dataset: Dataset) -> None:
    other = Dataset(replace(ONE, classes=("mole",)), dataset.root, validation=dataset.validation)
    with pytest.raises(ValueError, match="trained for the classes lesion, but data set d has mole"):
        learner.cases(other, "validation")


def test_weights_are_not_named_by_an_assignment(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="name the weights with --weights"):
        Learner.of(Path("unet"), dataset, None, assignments={"weights": "x"})


@pytest.mark.parametrize("folds", [0, 5])
def test_what_is_learnt_from_cases_that_folds_have_seen_is_doubtful(
    dataset: Dataset, caplog: pytest.LogCaptureFixture, folds: int
) -> None:
    Trained(ONE, ARCHITECTURE, "unet", {"folds": folds} if folds else {}).write(dataset.root)
    learner = Learner.of(Path("unet"), dataset, dataset.root)
    assert learner.weights_file == dataset.root / "model.pt"
    assert ("holds the networks of 5 folds" in caplog.text) == bool(folds)
