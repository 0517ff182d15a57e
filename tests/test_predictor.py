"""Prediction from Python: the command line's and MONAI's pixels, from paths, pictures and arrays."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import REPOSITORY, Outcome
from monai.bundle import run
from PIL import Image, ImageEnhance
from scipy.stats import spearmanr

from medseg_monai.bundle.trained import Trained
from medseg_monai.clicks import Box, Click
from medseg_monai.dataset import read_dataset
from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import split_ignored
from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.truth import read_truth
from medseg_monai.grids.volume import VolumeGrid
from medseg_monai.images.masks import read_mask
from medseg_monai.predictor import Predictor
from medseg_monai.quality.calibration import Calibration
from medseg_monai.quality.learnt import Quality
from medseg_monai.quality.usual import UsualAnswers
from medseg_monai.transforms import Pipeline, load, normalise
from medseg_monai.transforms.batches import collate
from medseg_monai.tuning.review import Review

UNETPP = REPOSITORY / "bundles" / "unetpp"


@pytest.fixture(scope="module")
def images(demo_data: Path) -> list[Path]:
    return sorted((demo_data / "images").iterdir())


@pytest.fixture(scope="module")
def trained(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that find most lesions, after a second or two: a loop of its own, for the session's `trained` finds none yet."""
    torch.manual_seed(0)
    dataset = read_dataset(demo_data)
    spec = replace(dataset.spec, size=(64, 64))
    arguments = {"in_channels": 3, "out_channels": 1, "features": [8, 16], "deep_supervision": False}
    content = Trained(spec, {"_target_": "medseg_monai.networks.UNetPlusPlus", **arguments}, "unetpp")
    network = content.build_network().train()
    read = Pipeline([load(spec), normalise(spec)])
    batch = collate([read(case) for case in dataset.cases("training")])
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(40):
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(network(batch["image"]), batch["label"].float()).backward()
        optimiser.step()
    folder = tmp_path_factory.mktemp("learnt")
    content.write(folder)
    torch.save(network.state_dict(), folder / "model.pt")
    return folder


@pytest.fixture(scope="module")
def predictor(trained: Path) -> Predictor:
    return Predictor(UNETPP, weights=trained)


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


def test_command_line_bundle_and_python_give_the_same_pixels(
    medseg: Callable[..., Outcome], images: list[Path], trained: Path, predictor: Predictor, tmp_path: Path
) -> None:
    theirs = {"dataset_dir": str(images[0].parent), "output_dir": str(tmp_path / "bundle"), "weights": str(trained)}
    config = str(UNETPP / "configs" / "inference.json")
    assert medseg("predict", "unetpp", images[0].parent, "-w", trained, "--out", tmp_path / "cli").code == 0
    run(run_id="run", config_file=config, bundle_root=str(UNETPP), **theirs)
    found = list(predictor.batches(images, size=3))
    assert sum(prediction.mask.any() for prediction in found) > len(found) / 2
    for image, prediction in zip(images, found, strict=True):
        name = f"{image.stem}_mask.png"
        assert np.array_equal(pixels(tmp_path / "cli" / name), 255 * prediction.mask)
        assert np.array_equal(pixels(tmp_path / "bundle" / name), 255 * prediction.mask)


def test_a_prediction_holds_mask_probabilities_and_how_sure_it_is(predictor: Predictor, images: list[Path]) -> None:
    prediction = predictor(images[0])
    assert prediction.mask.shape == (80, 96)
    assert prediction.probabilities.shape == (1, 80, 96)
    assert np.array_equal(prediction.probabilities[0] > 0.5, prediction.mask == 1)
    assert 0 < prediction.uncertainty < 1
    assert (prediction.geometry, prediction.flagged) == (None, None)


def test_channels_may_have_a_file_each(predictor: Predictor, images: list[Path], tmp_path: Path) -> None:
    files = [tmp_path / f"{band}.png" for band in "RGB"]
    with Image.open(images[0]) as photograph:
        upright = photograph.convert("RGB")
        upright.save(tmp_path / "whole.png")
        for band, file in zip(upright.split(), files, strict=True):
            band.save(file)
    whole, channels = predictor(tmp_path / "whole.png"), predictor(files)
    assert np.array_equal(whole.probabilities, channels.probabilities)


def test_a_prediction_is_corrected_by_clicks_that_add_up_and_can_be_undone(
    predictor: Predictor, images: list[Path]
) -> None:
    found = predictor(images[0])
    row, column = (int(at) for at in np.argwhere(found.mask == 0)[0])
    clicks = [Click(row, column), Click(*(int(at) for at in np.argwhere(found.mask == 1)[0]), inside=False)]
    step_by_step = found.correct(clicks[:1]).correct(clicks[1:])
    at_once = found.correct(clicks)
    assert [at_once.mask[click.row, click.column] for click in clicks] == [1, 0]
    assert np.array_equal(step_by_step.mask, at_once.mask)
    assert np.array_equal(step_by_step.probabilities, at_once.probabilities)
    assert step_by_step.clicks == tuple(clicks)
    assert step_by_step.original is found
    assert found.mask[row, column] == 0  # it is unchanged
    assert np.array_equal(found.correct(clicks[:1]).mask, step_by_step.original.correct(clicks[:1]).mask)
    box = Box((row, column), (79, 95))
    assert not found.correct(box=box).correct().mask[:row].any()


def test_a_correction_sees_the_image_where_it_lies(predictor: Predictor, images: list[Path]) -> None:
    """Upright, (channels, height, width), as bright as the network saw it: brightness rises with the file's, pixel by pixel."""
    found = predictor(images[0])
    assert found.image is not None
    assert found.image.shape == (3, 80, 96)
    with Image.open(images[0]) as picture:
        own = np.asarray(picture.convert("RGB"), np.float64).transpose(2, 0, 1)
    assert np.corrcoef(own.ravel(), found.image.ravel())[0, 1] > 0.95


def test_what_was_said_of_the_networks_mask_is_not_said_of_a_corrected_one(
    predictor: Predictor, images: list[Path]
) -> None:
    flagged = replace(predictor(images[0]), flagged=True, reason="a reason", predicted_dice={"lesion": 0.4})
    corrected = flagged.correct([Click(0, 0, inside=False)])
    assert (corrected.flagged, corrected.reason, corrected.predicted_dice) == (None, "", {})
    assert corrected.grid is flagged.grid


def test_pictures_and_arrays_are_segmented_as_their_files(
    predictor: Predictor, images: list[Path], tmp_path: Path
) -> None:
    with Image.open(images[1]) as picture:
        colours = np.asarray(picture)
        turned = picture.copy()
    Image.fromarray(colours).save(tmp_path / "same.png")
    expected = predictor(tmp_path / "same.png").mask
    assert np.array_equal(predictor(colours).mask, expected)
    assert np.array_equal(predictor(Image.fromarray(colours)).mask, expected)
    four = Image.fromarray(colours).convert("CMYK")  # as a printer's JPEG opens
    assert np.array_equal(predictor(four).mask, predictor(four.convert("RGB")).mask)
    turned.getexif()[0x0112] = 6  # shown turned by 90 degrees
    assert predictor(turned).mask.shape == (96, 80)
    assert predictor(colours[..., 0]).mask.shape == (80, 96)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (3, TypeError),
        (np.zeros((4, 4)), ValueError),
        (Image.new("F", (8, 8)), ValueError),
        ("nowhere.jpg", FileNotFoundError),
    ],
)
def test_what_is_no_image_is_refused(predictor: Predictor, wrong: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"got |no such file"):
        predictor(wrong)


def test_options_are_those_of_the_config(trained: Path, images: list[Path]) -> None:
    low = Predictor(UNETPP, weights=trained, threshold=0.01, tta="flips")(images[0])
    assert low.mask.sum() > Predictor(UNETPP, weights=trained, threshold=0.99)(images[0]).mask.sum()
    with pytest.raises(ValueError, match="unknown config key 'treshold'.*threshold"):
        Predictor(UNETPP, weights=trained, treshold=0.3)


def test_an_ensemble_of_one_network_with_itself_changes_nothing(
    trained: Path, images: list[Path], predictor: Predictor
) -> None:
    twice = Predictor(UNETPP, weights=[trained, trained], precision="fp32")(images[0])
    once = Predictor(UNETPP, weights=trained, precision="fp32")(images[0])
    assert np.allclose(twice.probabilities, once.probabilities, atol=1e-4)


def test_it_is_flagged_where_the_weights_say_from_when_on(trained: Path, images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes((trained / "model.pt").read_bytes())
    content = Trained.read(trained)
    for threshold, flagged in ((0.0, True), (1.0, False)):
        review = Review(threshold, failure_dice=0.7, cases=1, failures=0, flagged=0, caught=0)
        Trained(content.dataset, content.architecture, content.bundle, review=review).write(tmp_path)
        found = Predictor(UNETPP, weights=tmp_path)(images[0])
        assert (found.flagged, "uncertain outline" in found.reason) == (flagged, flagged)


def test_uncertain_predictions_are_worse(demo_data: Path, trained: Path) -> None:
    dataset = read_dataset(demo_data)
    predict = Predictor(UNETPP, weights=trained, tta="flips")
    dices, numbers = [], []
    for case in [case for split in ("training", "validation", "test") for case in dataset.cases(split)]:
        truth = read_mask(case["label"], dataset.spec)[0].T > 0
        for contrast in (1, 0.9, 0.8, 0.7):  # the fainter, the harder
            found = predict(ImageEnhance.Contrast(Image.open(case["image"])).enhance(contrast))
            if found.mask.any():  # an empty mask has no outline to be uncertain of
                dices.append(2 * np.sum(found.mask & truth) / (found.mask.sum() + truth.sum()))
                numbers.append(found.uncertainty)
    assert spearmanr(numbers, dices).statistic < -0.1


def test_review_learns_the_threshold_and_predict_flags(
    medseg: Callable[..., Outcome], demo_data: Path, trained: Path, images: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "weights")
    learnt = medseg(
        "review", "unetpp", "-d", demo_data, "-w", tmp_path / "weights", "--failure-dice", 0.99, "--catch", 1
    )
    assert learnt.code == 0, learnt.err
    review = Trained.read(tmp_path / "weights").review
    assert review is not None
    assert review.failures == review.caught == review.cases == len(read_dataset(demo_data).cases("validation"))
    assert f"{review.flagged} of {review.cases} validation cases flagged" in learnt.out
    training = len(read_dataset(demo_data).cases("training"))
    assert f"unfamiliar images are not flagged: {training} training" in learnt.out, "too few of them"
    assert (
        medseg("predict", "unetpp", images[0].parent, "-w", tmp_path / "weights", "--out", tmp_path / "out").code == 0
    )
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(images)
    for row in rows:
        assert row["flagged"] == ("yes" if float(row["uncertainty"]) >= review.threshold else "no")
        assert 0 <= float(row["predicted_dice"]) <= 1
    assert sorted(int(row["order"]) for row in rows) == list(range(1, len(rows) + 1))
    quality = Trained.read(tmp_path / "weights").quality
    assert quality is not None
    assert quality.calibration is not None
    assert str(quality.calibration) in learnt.out
    assert "no promise that" in learnt.out, "of a few cases"
    assert "at least 49 are needed" in learnt.out
    refused = medseg("predict", "unetpp", images[0], "-w", tmp_path / "weights", "--out", tmp_path / "m", "--margins")
    assert refused.code == 1
    assert "too few cases" in refused.err


def test_probabilities_are_calibrated_and_masks_are_not_changed(
    trained: Path, images: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "weights")
    plain = Predictor(UNETPP, weights=tmp_path / "weights")(images[0])
    known = Calibration((3.0,), cases=9, ece_before=0.1, ece_after=0.05, brier_before=0.2, brier_after=0.1)
    replace(Trained.read(tmp_path / "weights"), quality=Quality(calibration=known)).write(tmp_path / "weights")
    found = Predictor(UNETPP, weights=tmp_path / "weights")(images[0])
    assert np.array_equal(found.mask, plain.mask)
    expected = known.apply(torch.from_numpy(plain.probabilities), "binary").numpy()
    assert found.probabilities == pytest.approx(expected, abs=1e-5)
    off = Predictor(UNETPP, weights=tmp_path / "weights", calibration="off")(images[0])
    assert np.array_equal(off.probabilities, plain.probabilities)


def test_drift_is_an_alarm_with_an_exit_code_of_its_own(
    medseg: Callable[..., Outcome], trained: Path, images: list[Path], tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "weights")
    nothing = medseg("drift", "unetpp", images[0].parent, "-w", tmp_path / "weights", "--out", tmp_path / "none")
    assert (nothing.code, "run medseg review first" in nothing.err) == (1, True)
    predict = Predictor(UNETPP, weights=trained)
    sizes = [prediction.sizes()["size of lesion"] for prediction in map(predict, images)]
    (tmp_path / "batch").mkdir()
    for number in range(12):
        shutil.copy(images[number % len(images)], tmp_path / "batch" / f"{number}.png")
    (tmp_path / "batch" / "broken.png").write_bytes(b"x")
    for usual, code in ((float(np.mean(sizes)), 1), (-5.0, 3)):  # 1: one could not be used
        known = UsualAnswers({"size of lesion": (usual, max(float(np.std(sizes)), 0.2))}, cases=50)
        replace(Trained.read(tmp_path / "weights"), quality=Quality(usual=known)).write(tmp_path / "weights")
        found = medseg("drift", "unetpp", tmp_path / "batch", "-w", tmp_path / "weights", "--out", tmp_path / "drift")
        assert found.code == code, found.err
        content = json.loads((tmp_path / "drift" / "drift.json").read_text())
        assert (content["alarm"], content["images"]) == (code == 3, 12)
        assert list(content["left_out"]) == [str(tmp_path / "batch" / "broken.png")]
        assert "could not be used" in found.out
        assert ("changed: size of lesion higher" in found.out) == (code == 3)
        assert (tmp_path / "drift" / "drift.png").is_file()


def test_a_volumes_truth_on_another_grid_is_refused(tmp_path: Path) -> None:
    spec = DatasetSpec("v", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(8, 8, 8))
    nibabel.save(nibabel.Nifti1Image(np.eye(4, dtype=np.uint8)[..., None], np.diag([-1, 1, 1, 1])), tmp_path / "y.nii")
    case = {"label": str(tmp_path / "y.nii")}
    on_grid = VolumeGrid.whole(Geometry((4, 4, 1), np.diag([-1, 1, 1, 1])))
    truth, ignored = split_ignored(read_truth(case, on_grid, spec))
    assert (truth.sum(), ignored) == (4, None)
    with pytest.raises(ValueError, match="away from its image"):
        read_truth(case, VolumeGrid.whole(Geometry((4, 4, 1), np.eye(4))), spec)


def test_a_volume_comes_back_on_its_own_grid(tmp_path: Path) -> None:
    spec = DatasetSpec(
        "v", "multiclass", classes=("a", "b"), channels=("ct",), spatial_dims=3, size=(16, 16, 16),
        spacing_mm=(2, 2, 2), intensity=Intensity("zscore"),
    )  # fmt: skip
    torch.manual_seed(0)
    arguments = {"in_channels": 1, "out_channels": 3, "features": [4, 8], "spatial_dims": 3}
    content = Trained(spec, {"_target_": "medseg_monai.networks.UNet", **arguments}, "unet3d")
    content.write(tmp_path)
    torch.save(content.build_network().state_dict(), tmp_path / "model.pt")
    affine = np.diag([-2.0, 2.0, 3.0, 1.0])
    voxels = np.random.default_rng(0).normal(size=(20, 24, 10)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "x.nii.gz")
    found = Predictor(UNETPP, weights=tmp_path)(tmp_path / "x.nii.gz")
    assert found.mask.shape == voxels.shape
    assert found.probabilities.shape == (2, *voxels.shape)
    assert found.geometry is not None
    assert np.allclose(found.geometry.affine, affine)
    assert set(np.unique(found.mask)) <= {0, 1, 2}
