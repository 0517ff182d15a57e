"""Temperatures against what data were made with, calibration error and Brier score against scikit-learn, masks as they were."""

import numpy as np
import pytest
import torch
from scipy.special import expit, logit, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.quality.calibration import BINS, Calibration, CalibrationCases, Reliability
from medseg_monai.transforms.decision import as_mask

BINARY = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(32, 32))
TWO = DatasetSpec("d", "multilabel", classes=("liver", "tumour"), channels=("grey",), size=(32, 32))
EXCLUSIVE = DatasetSpec("d", "multiclass", classes=("front", "back"), channels=("grey",), size=(32, 32))


def calibration(*temperature: float) -> Calibration:
    return Calibration(temperature, cases=3, ece_before=0.1, ece_after=0.05, brier_before=0.2, brier_after=0.1)


def too_sure(rng: np.random.Generator, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Truth drawn from probabilities, and these as a network would say them that is too sure by a temperature: (1, 4000)."""
    right = rng.normal(0, 1.5, (1, 4000))
    return expit(temperature * right), rng.random(right.shape) < expit(right)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_data_were_made_with_is_found(temperature: float) -> None:
    rng = np.random.default_rng(0)
    cases = CalibrationCases(BINARY)
    for _ in range(20):
        cases.add(*too_sure(rng, temperature))
    found = cases.learn()
    assert found.temperature[0] == pytest.approx(temperature, rel=0.05)
    assert found.cases == 20
    if temperature != 1:
        assert found.ece_after < 0.3 * found.ece_before
        assert found.brier_after < found.brier_before


def test_each_overlapping_class_has_its_own() -> None:
    rng = np.random.default_rng(0)
    cases = CalibrationCases(TWO)
    for _ in range(20):
        pairs = [too_sure(rng, temperature) for temperature in (3.0, 1.0)]
        cases.add(*(np.concatenate(arrays) for arrays in zip(*pairs, strict=True)))
    assert cases.learn().temperature == pytest.approx((3.0, 1.0), rel=0.06)


def test_exclusive_classes_share_one_and_it_is_the_likeliest() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (3, 6000))
    numbers = np.array([rng.choice(3, p=p) for p in softmax(logits, axis=0).T])
    probs = softmax(2 * logits, axis=0)
    cases = CalibrationCases(EXCLUSIVE)
    cases.add(probs, np.stack([numbers == 1, numbers == 2]))
    found = cases.learn()
    assert found.temperature == pytest.approx((2.0,), rel=0.06)
    calibrated = [found.apply(torch.from_numpy(probs), "multiclass").numpy()]
    others = [softmax(np.log(probs) / t, axis=0) for t in (1.5, 1.8, 2.2, 2.5)]
    losses = [-np.log(one[numbers, np.arange(6000)]).mean() for one in calibrated + others]
    assert min(losses) == losses[0]


def test_cases_weigh_the_same_whatever_their_size() -> None:
    rng = np.random.default_rng(0)
    cases = CalibrationCases(BINARY)
    large, small = too_sure(rng, 4.0), too_sure(rng, 1.0)
    for _ in range(5):
        cases.add(*(np.tile(array, 3) for array in large))
        cases.add(*small)
    mean = CalibrationCases(BINARY)
    mean.add(*(np.concatenate(arrays, axis=1) for arrays in zip(large, small, strict=True)))
    assert cases.learn().temperature == pytest.approx(mean.learn().temperature, rel=0.01)


def test_ignored_pixels_are_not_learnt_from() -> None:
    probs, truth = too_sure(np.random.default_rng(0), 2.0)
    cases, spoilt = CalibrationCases(BINARY), CalibrationCases(BINARY)
    cases.add(probs, truth)
    more = np.concatenate([truth, ~truth], axis=1)
    spoilt.add(np.tile(probs, 2), more, np.arange(8000)[None] >= 4000)
    assert spoilt.learn() == cases.learn()


def test_error_and_brier_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    found = Reliability(("lesion",))
    probs, truth = too_sure(rng, 2.0)
    found.add(probs, truth)
    assert found.brier()[0] == pytest.approx(brier_score_loss(truth[0], probs[0]))
    frequency, mean = calibration_curve(truth[0], probs[0], n_bins=BINS)
    curve = found.curve(0)
    assert curve[0] == pytest.approx(mean)
    assert curve[1] == pytest.approx(frequency)
    counts = np.bincount(np.minimum((probs[0] * BINS).astype(int), BINS - 1), minlength=BINS)
    assert curve[2] == pytest.approx(counts[counts > 0] / 4000)
    assert found.ece()[0] == pytest.approx(float(counts[counts > 0] / 4000 @ np.abs(frequency - mean)))


def test_error_by_hand() -> None:
    found = Reliability(("lesion",))
    found.add(np.array([[0.9, 0.9, 0.9, 0.9, 0.1]]), np.array([[True, True, True, False, False]]))
    # bin of 0.9: frequency 0.75, off by 0.15, 4 of 5 pixels; bin of 0.1: off by 0.1, 1 of 5
    assert found.ece()[0] == pytest.approx(0.8 * 0.15 + 0.2 * 0.1)
    found.add(np.array([[0.5, 0.0]]), np.array([[True, True]]), np.array([[False, True]]))
    assert found.brier()[0] == pytest.approx(((3 * 0.01 + 0.81 + 0.01) / 5 + 0.25) / 2)


def test_each_case_has_its_own_errors_and_a_class_without_pixels_has_none() -> None:
    found = Reliability(("a", "b"))
    probs = np.array([[[0.9, 0.9, 0.9, 0.1]], [[0.5, 0.5, 0.5, 0.5]]])
    truth = np.array([[[1, 1, 0, 0]], [[1, 1, 0, 0]]], bool)
    ece, brier = found.add(probs, truth)
    assert ece == pytest.approx([0.75 * (0.9 - 2 / 3) + 0.25 * 0.1, 0])
    assert brier == pytest.approx([(0.01 + 0.01 + 0.81 + 0.01) / 4, 0.25])
    assert (found.ece(), found.brier()) == (pytest.approx(ece), pytest.approx(brier))
    lost = np.stack([np.zeros((1, 4), bool), np.ones((1, 4), bool)])
    ece, brier = found.add(probs, truth, lost)
    assert (ece[1], brier[1], found.cases) == (0, 0, 1)


def test_nothing_cannot_be_measured_or_learnt_from() -> None:
    with pytest.raises(ValueError, match="no case"):
        Reliability(("lesion",)).ece()
    with pytest.raises(ValueError, match="no case"):
        CalibrationCases(BINARY).learn()
    empty = Reliability(("lesion",))
    empty.add(np.array([[0.5]]), np.array([[True]]), np.array([[True]]))
    assert empty.cases == 0


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_masks_and_order_stay_as_they_are(temperature: float) -> None:
    rng = np.random.default_rng(0)
    probs = torch.from_numpy(expit(rng.normal(0, 4, (2, 30, 30)))).float()
    known = calibration(temperature, temperature)
    assert torch.equal(as_mask(known.apply(probs, "multilabel"), TWO), as_mask(probs, TWO))
    assert known.apply(probs, "multilabel").numpy() == pytest.approx(
        expit(logit(probs.numpy()) / temperature), abs=1e-5
    )
    exclusive = torch.from_numpy(softmax(rng.normal(0, 4, (3, 30, 30)), axis=0)).float()
    calibrated = calibration(temperature).apply(exclusive, "multiclass")
    assert torch.equal(as_mask(calibrated, EXCLUSIVE), as_mask(exclusive, EXCLUSIVE))
    assert calibrated.sum(dim=0).numpy() == pytest.approx(1.0)


def test_certainty_stays_certain() -> None:
    ends = torch.tensor([[0.0, 1.0]])
    assert calibration(3.0).apply(ends, "binary").tolist() == [[0.0, 1.0]]
    assert calibration(3.0).apply(torch.tensor([[1.0], [0.0], [0.0]]), "multiclass").flatten().tolist() == [1, 0, 0]


def test_it_is_kept_as_json_and_wrong_entries_are_refused() -> None:
    known = calibration(1.5, 2.0)
    assert Calibration.from_dict(known.to_dict()) == known
    for change in ({"temperature": [0]}, {"temperature": []}, {"temprature": [1]}, {"ece_after": 2}, {"cases": 0.5}):
        with pytest.raises(ValueError, match="calibration"):
            Calibration.from_dict({**known.to_dict(), **change})
    with pytest.raises(ValueError, match="1 temperatures for 2"):
        calibration(1.5).check(TWO)
    calibration(1.5).check(EXCLUSIVE)


def test_too_few_cases_leave_probabilities_as_they_are() -> None:
    rng = np.random.default_rng(0)
    cases = CalibrationCases(TWO)
    for _ in range(4):
        cases.add(*(np.concatenate(arrays) for arrays in zip(*[too_sure(rng, 3.0)] * 2, strict=True)))
    few = cases.learn(least=5)
    assert few.temperature == (1.0, 1.0)
    assert few.cases == 4
    assert few.ece_after == few.ece_before > 0.05
    assert cases.learn(least=4).temperature[0] > 2
    one = CalibrationCases(EXCLUSIVE)
    one.add(np.full((3, 4), 1 / 3), np.zeros((2, 4), bool))
    assert one.learn(least=2).temperature == (1.0,)


def test_cases_of_two_are_learnt_from_together_and_those_without_pixels_do_not_count() -> None:
    rng = np.random.default_rng(0)
    pairs = [too_sure(rng, 2.0) for _ in range(4)]
    whole, first, second = (CalibrationCases(BINARY) for _ in range(3))
    for kept, some in ((whole, pairs), (first, pairs[:1]), (second, pairs[1:])):
        for pair in some:
            kept.add(*pair)
    first.add(*pairs[0], np.ones((1, 4000), bool))
    both = first.with_those_of(second)
    assert (first.cases, second.cases, both.cases) == (1, 3, 4)
    assert both.learn() == whole.learn()
