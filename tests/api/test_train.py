"""Training from Python: the command's weights, from a data set or a plan that was never in a file."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Outcome

import medseg_monai as mm
from medseg_monai.api.datasets import ImageDataset
from medseg_monai.api.train import bundle_of_start
from medseg_monai.api.training import Training
from medseg_monai.bundle.trained import Trained


def test_function_and_command_train_the_same_weights(
    training: Training, data: ImageDataset, medseg: Callable[..., Outcome], tmp_path: Path
) -> None:
    settings = ("--epochs", 2, "--size", 64, "--batch-size", 4, "--seed", 3, "--set", "architecture#features=[4, 8, 8]")
    ended = medseg("train", "unet", "-d", data.folder, *settings, "--out", tmp_path)
    assert ended.code == 0, ended.err
    assert "unet trained on demo" in ended.out
    ours, theirs = (torch.load(folder / "model.pt", weights_only=True) for folder in (training.folder, tmp_path))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_a_plan_is_followed_and_logging_left_alone(data: ImageDataset, tmp_path: Path) -> None:
    small = {"features": [4, 8, 8]}
    plan = mm.Plan("unet", dataset_dir=str(data.folder), size=(32, 32), batch_size=2, max_epochs=1, architecture=small)
    loggers = [logging.getLogger(), logging.getLogger("medseg_monai"), logging.getLogger("ignite")]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    done = mm.train(plan=plan, out=tmp_path)
    assert [(logger.level, list(logger.handlers)) for logger in loggers] == before
    trained = Trained.read(done.folder)
    assert (trained.dataset.size, trained.architecture["features"], done.epochs) == ((32, 32), [4, 8, 8], 1)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"bundle": "unett"}, "did you mean 'unet'"),
        ({"dataset_dir": "nowhere"}, "no such file or folder: nowhere"),
        ({"minutes": 1, "hours": 1}, "not both"),
        ({"fold": 1}, "are for a training by --folds"),
        ({"folds": 2}, "needs a data set"),
        ({"start_from": "nosuch"}, "no bundle has this name"),
        ({"plan": "nowhere.yaml"}, "no such file or folder"),
    ],
)
def test_what_cannot_be_is_refused_at_once(wrong: dict[str, object], problem: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=problem):
        mm.train(**{"bundle": "unet", **wrong})  # type: ignore[arg-type]


def test_the_bundle_of_weights_is_the_one_that_they_name(training: Training) -> None:
    assert bundle_of_start(str(training.folder)) == "unet"
    assert bundle_of_start(str(training.weights)) == "unet"
    assert Path(bundle_of_start("pspnet") or "").name == "pspnet"
    assert bundle_of_start("nosuch") is None
    assert bundle_of_start(None) is None
