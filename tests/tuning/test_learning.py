"""What is learnt of a bundle's weights: the Dice of each class, and of volumes what is usual, without segmenting the training volumes."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from conftest import REPOSITORY

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset import read_dataset
from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.photo import PhotoGrid
from medseg_monai.predictor import Prediction, Predictor
from medseg_monai.tuning.learning import class_dices, review_bundle


def test_the_dice_of_each_class_by_hand() -> None:
    truth = np.zeros((2, 1, 4), bool)
    truth[0, 0, :2] = truth[1, 0, 3] = True
    mask = np.array([[1, 0, 0, 2]], np.uint8)  # class 1: 1 of 2 pixels, Dice 2/3; class 2: right
    found = Prediction(mask, np.zeros((2, 1, 4)), 0.0, ("a", "b"), PhotoGrid((4, 1)))
    assert class_dices(found, truth) == pytest.approx((2 / 3, 1))


SPEC = DatasetSpec(
    "scans",
    "binary",
    classes=("ball",),
    channels=("mr",),
    spatial_dims=3,
    size=(16, 16, 16),
    spacing_mm=(1, 1, 1),
    intensity=Intensity("zscore"),
)


def draw(folder: Path, number: int) -> dict[str, str]:
    """A scan of a ball, and the ball, as files; the case's entry in dataset.json."""
    rng = np.random.default_rng(number)
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, 14 + int(rng.integers(3)))] * 3, indexing="ij"))
    inside = np.sqrt(((places - rng.uniform(-0.1, 0.1, (3, 1, 1, 1))) ** 2).sum(axis=0)) < rng.uniform(0.4, 0.5)
    values = 100 * inside + places[0] * 20 + 5 * rng.standard_normal(inside.shape)
    files = {key: folder / f"{key}_{number:03d}.nii.gz" for key in ("image", "label")}
    for key, array in (("image", values.astype(np.float32)), ("label", inside.astype(np.uint8))):
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), files[key])
    return {key: file.name for key, file in files.items()}


def save(values: np.ndarray, file: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), np.eye(4)), file)
    return file


def test_what_is_usual_in_volumes_is_learnt_without_segmenting_those_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = {"training": range(40), "validation": range(40, 43)}
    listed: dict[str, Any] = {
        split: [draw(tmp_path, number) for number in numbers] for split, numbers in splits.items()
    }
    (tmp_path / "dataset.json").write_text(json.dumps({**SPEC.to_dict(), **listed, "test": []}))
    torch.manual_seed(0)
    network = {"_target_": "medseg_monai.networks.UNet", "in_channels": 1, "out_channels": 1, "features": [2, 2],
               "spatial_dims": 3}  # fmt: skip
    trained, weights, bundle = Trained(SPEC, network, "unet3d"), tmp_path / "weights", REPOSITORY / "bundles" / "unet3d"
    trained.write(weights)
    torch.save(trained.build_network().state_dict(), weights / "model.pt")
    segmented: list[str] = []
    call = Predictor.__call__
    monkeypatch.setattr(Predictor, "__call__", lambda self, image: segmented.append(str(image)) or call(self, image))
    learnt = review_bundle(bundle, read_dataset(tmp_path), weights=weights, engine="plain", precision="fp32")
    assert learnt.familiarity is not None, learnt.why_not
    assert (learnt.familiarity.training, learnt.familiarity.cases) == (40, 43), (
        "too few validation cases to judge alone"
    )
    assert {Path(file).name for file in segmented} == {case["image"] for case in listed["validation"]}

    predict = Predictor(bundle, weights=weights, engine="plain", precision="fp32")
    known = Trained.read(weights).familiarity
    assert known == learnt.familiarity
    usual = tmp_path / draw(tmp_path, 99)["image"]
    noise = save(np.random.default_rng(0).standard_normal((15, 15, 15)), tmp_path / "noise.nii.gz")
    assert "unlike the training images" not in predict(usual).reason
    assert predict(noise).reason.startswith("unlike the training images: ")
    for file in (usual, noise):
        described, seen = predict.describe(file), predict(file).description
        assert set(described) == set(seen)
        assert all(np.array_equal(described[part], seen[part]) for part in seen)
