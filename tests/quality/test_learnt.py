"""What was learnt lies beside the weights, is checked against them, and decides flags, probabilities, inner and outer masks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.volume import VolumeGrid
from medseg_monai.inference.recipe import (
    calibration_of_masks,
    calibration_of_probabilities,
    margins_of,
)
from medseg_monai.outputs.journal import made_with
from medseg_monai.quality.calibration import Calibration
from medseg_monai.quality.conformal import Margins, Promise
from medseg_monai.quality.dice_estimate import learn_estimate
from medseg_monai.quality.flagging import Flagd, flag
from medseg_monai.quality.learnt import Quality
from medseg_monai.quality.mask_numbers import VECTOR, VERSION, MaskNumbers
from medseg_monai.quality.usual import UsualAnswers
from medseg_monai.transforms.cleaning import PLAIN, Cleaning
from medseg_monai.transforms.postprocessing import postprocess
from medseg_monai.transforms.volume_restore import restore_mask, restore_probabilities
from medseg_monai.tuning.review import Review

SPEC = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(16, 16))
NUMBERS = MaskNumbers(*[0.5] * len(VECTOR), empty=False)
ARCHITECTURE = {"_target_": "medseg_monai.networks.UNet", "in_channels": 1, "out_channels": 1, "features": [4, 8]}
CALIBRATION = Calibration((2.0,), cases=9, ece_before=0.1, ece_after=0.05, brier_before=0.2, brier_after=0.1)
PROMISE = Promise(0.8, dice=0.7, risk=0.02, confidence=None, cases=100, failures=5, passed=90, failures_passed=0)
REVIEW = Review(threshold=0.5, failure_dice=0.7, cases=10, failures=2, flagged=3, caught=2)
META = {"spatial_shape": torch.tensor([16, 16]), "filename_or_obj": "x.png"}


def quality(**more: Any) -> Quality:
    numbers = [[MaskNumbers(*np.linspace(0.1 * n, 1, len(VECTOR)), empty=False)] for n in range(12)]
    estimate, _ = learn_estimate(
        SPEC.classes, numbers, [[0.5 + 0.03 * n] for n in range(12)], [str(n) for n in range(12)]
    )
    usual = UsualAnswers({"uncertainty": (0.2, 0.1)}, cases=12)
    parts = {"calibration": CALIBRATION, "dice": estimate, "promise": PROMISE, "usual": usual}
    return Quality(**{**parts, "margins": Margins((0.1,), (0.9,), rate=0.9, cover=0.95, cases=12), **more})


def trained(known: Quality | None) -> Trained:
    return Trained(SPEC, ARCHITECTURE, "unet", quality=known)


def logits(inside: float = 2.0) -> torch.Tensor:
    found = torch.full((1, 16, 16), -6.0)
    found[:, 4:12, 4:12] = inside
    return found


def test_it_lies_beside_the_weights_as_plain_numbers(tmp_path: Path) -> None:
    for known in (quality(), Quality(calibration=CALIBRATION), None):
        trained(known).write(tmp_path)
        assert Trained.read(tmp_path) == trained(known)
        assert ('"quality"' in (tmp_path / "spec.json").read_text()) == (known is not None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calibraton": {}}, "did you mean 'calibration'"),
        ({"calibration": {**CALIBRATION.to_dict(), "temperature": [1.0, 2.0]}}, "2 temperatures for 1"),
        (
            {"margins": Margins((0.1, 0.2), (0.9, 0.9), rate=0.9, cover=0.95, cases=12).to_dict()},
            "margins of 2 classes",
        ),
        ({"promise": {"threshold": 0.5}}, "promise"),
        ([], "a mapping is expected"),
    ],
)
def test_what_does_not_fit_the_weights_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    trained(quality()).write(tmp_path)
    content = json.loads((tmp_path / "spec.json").read_text())
    content["quality"] = {**content["quality"], **change} if isinstance(change, dict) else change
    (tmp_path / "spec.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        Trained.read(tmp_path)


def test_an_estimate_of_other_classes_is_refused() -> None:
    other = DatasetSpec("d", "binary", classes=("tumour",), channels=("grey",), size=(16, 16))
    with pytest.raises(ValueError, match="dice is for the classes"):
        quality().check(other)


def test_a_promise_takes_the_place_of_the_threshold_of_uncertainty() -> None:
    low, high = {"lesion": 0.79, "scar": 0.9}, {"lesion": 0.81, "scar": 0.9}
    found = flag(0.1, {}, REVIEW, None, predicted=low, promise=PROMISE)
    assert found == (True, "its mask may be poor: predicted Dice of lesion 0.79, flagged up to 0.80")
    assert flag(0.9, {}, REVIEW, None, predicted=high, promise=PROMISE) == (False, "")
    assert flag(0.9, {}, None, None, predicted=high, promise=PROMISE) == (False, "")
    none = Promise(None, dice=0.7, risk=0.02, confidence=None, cases=8, failures=0, passed=0, failures_passed=0)
    assert flag(0.9, {}, REVIEW, None, predicted=low, promise=none).reason.startswith("uncertain outline")
    assert flag(0.9, {}, None, None, predicted=low, promise=none) == (None, "")


def test_the_transform_says_what_was_learnt_says() -> None:
    data = {"image": torch.zeros(1, 16, 16), "pred": logits(), "image_meta_dict": META, "uncertainty": 0.3}
    found = Flagd(spec=SPEC, quality=quality())(data)
    [numbers] = found["mask_numbers"]
    assert numbers.confidence == pytest.approx(float(torch.tensor(1.0).sigmoid()), abs=1e-5), "calibrated"
    estimate = quality().dice
    assert estimate is not None
    assert found["predicted_dice"] == {"lesion": estimate.predict([numbers])[0]}
    assert found["flagged"] == (found["predicted_dice"]["lesion"] <= 0.8)
    plain = Flagd(spec=SPEC)(data)
    assert (plain["predicted_dice"], plain["flagged"]) == ({}, None)


def test_bars_around_a_photograph_do_not_count() -> None:
    spec = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(16, 16), aspect="pad")
    found = torch.full((1, 16, 16), 9.0)  # of the bars too
    found[:, :, 4:12] = logits()[:, :, 4:12]
    data = {"image": torch.zeros(1, 16, 16), "pred": found, "uncertainty": 0.3}
    data["image_meta_dict"] = {"spatial_shape": torch.tensor([40, 20])}
    [numbers] = Flagd(spec=spec)(data)["mask_numbers"]
    assert 1 / (1 + np.exp(-numbers.size)) == pytest.approx(0.5)


@pytest.mark.parametrize("threshold", [None, 0.5, 0.3, 0.85])
def test_masks_stay_as_they_were_and_probabilities_are_calibrated(threshold: float | None) -> None:
    rng = torch.Generator().manual_seed(0)
    found = torch.randn(1, 16, 16, generator=rng) * 3
    data = {"pred": found, "image_meta_dict": {"spatial_shape": torch.tensor([37, 29])}}
    plain = postprocess(SPEC, threshold=threshold, keep_probabilities=True)(dict(data))
    calibrated = postprocess(SPEC, threshold=threshold, keep_probabilities=True, calibration=CALIBRATION)(dict(data))
    assert torch.equal(calibrated["pred"], plain["pred"])
    assert torch.equal(calibrated["probability"], CALIBRATION.apply(plain["probability"], "binary"))
    assert torch.equal(calibrated["probability"] > 0.5, plain["probability"] > 0.5)


def test_masks_of_calibrated_probabilities_if_that_is_asked_for() -> None:
    data = {"pred": logits(2.0), "image_meta_dict": META}  # 0.88, calibrated 0.73
    for limit, inside in ((0.7, 64), (0.8, 0)):
        mask = postprocess(SPEC, threshold=limit, mask_calibration=CALIBRATION)(dict(data))["pred"]
        assert int(mask.sum()) == inside
    assert int(postprocess(SPEC, threshold=0.8)(dict(data))["pred"].sum()) == 64


def test_volumes_are_calibrated_slab_by_slab() -> None:
    spec = DatasetSpec(
        "v", "multiclass", classes=("a", "b"), channels=("mr",), spatial_dims=3, size=(8, 8, 8), spacing_mm=(1, 1, 1),
        intensity=Intensity("zscore"),
    )  # fmt: skip
    grid = VolumeGrid.whole(Geometry((7, 6, 9), np.eye(4)))
    found = torch.randn(3, 7, 6, 9, generator=torch.Generator().manual_seed(0)) * 3
    plain = restore_probabilities(found, grid, spec).float()
    calibrated = restore_probabilities(found, grid, spec, calibration=CALIBRATION, slab_bytes=600).float()
    assert calibrated.numpy() == pytest.approx(CALIBRATION.apply(plain, "multiclass").numpy(), abs=2e-3)
    assert torch.equal(restore_mask(found, grid, spec, calibration=CALIBRATION), restore_mask(found, grid, spec))
    strict = Cleaning(threshold=(0.9,))
    fewer = restore_mask(found, grid, spec, cleaning=strict, calibration=CALIBRATION)
    assert 0 < int((fewer > 0).sum()) < int((restore_mask(found, grid, spec, cleaning=strict) > 0).sum())


def test_what_a_config_may_say_of_calibration_and_margins() -> None:
    known = trained(quality())
    assert calibration_of_probabilities(known, "probabilities") == CALIBRATION
    assert calibration_of_probabilities(known, "off") is None
    assert calibration_of_probabilities(trained(None), "probabilities") is None
    assert [calibration_of_masks(known, wanted) for wanted in ("probabilities", "masks", "off")] == [
        None,
        CALIBRATION,
        None,
    ]
    with pytest.raises(ValueError, match="probabilities, masks, off"):
        calibration_of_masks(known, "on")
    assert margins_of(known, False, "off") is None
    assert margins_of(known, True, "probabilities") == quality().margins
    with pytest.raises(ValueError, match="leave calibration on"):
        margins_of(known, True, "off")
    with pytest.raises(ValueError, match="run medseg review first"):
        margins_of(trained(None), True, "probabilities")
    few = trained(quality(margins=Margins((None,), (None,), rate=0.9, cover=0.95, cases=3)))
    with pytest.raises(ValueError, match=r"too few cases: run medseg review with more validation cases"):
        margins_of(few, True, "probabilities")


def test_a_class_without_margins_is_everywhere_or_nowhere() -> None:
    margins = Margins((0.2, None), (None, 0.7), rate=0.9, cover=0.95, cases=30)
    masks = margins.masks(np.array([[0.5, 0.1], [0.9, 0.3], [0.4, 0.8]]))  # background first
    assert [plane.tolist() for plane in masks] == [[True, True], [True, True], [False, False], [False, True]]


def test_what_was_learnt_anew_makes_rows_anew() -> None:
    network = torch.nn.Conv2d(1, 1, 1)
    before, after, again = (
        made_with(trained(known), network, cleaning=PLAIN) for known in (None, quality(), quality())
    )
    assert "review" not in before, "as earlier versions wrote it"
    assert after == again
    assert after["review"] != made_with(trained(quality(promise=None)), network, cleaning=PLAIN)["review"]


def test_what_was_learnt_of_numbers_of_another_version_predicts_nothing(caplog: pytest.LogCaptureFixture) -> None:
    dice, _ = learn_estimate(["lesion"], [[NUMBERS]] * 3, [[0.8], [0.9], [0.7]], ["a", "b", "c"])
    quality = Quality(CALIBRATION, dice, PROMISE)
    content = json.loads(json.dumps(quality.to_dict()))
    assert Quality.from_dict(content) == quality
    later = {**content, "dice": {**content["dice"], "version": VERSION + 1}}
    assert Quality.from_dict(later) == Quality(CALIBRATION)
    assert "until medseg review has run again" in caplog.text
    del content["dice"]["version"]  # as the first version wrote it
    assert Quality.from_dict(content) == quality
