"""Tuning finds what was planted, measures what the metrics measure, and keeps nothing that luck could explain."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from tuned_cases import EXCLUSIVE, ONE, TWO, discs, stored

from medseg_monai.bundle.trained import Trained
from medseg_monai.transforms.cleaning import PLAIN, Cleaning, clean
from medseg_monai.tuning.cases import TuningCases
from medseg_monai.tuning.search import tune, tuning_markdown


@given(arrays(np.float32, (2, 5, 5), elements=st.floats(0, 1, width=32)), st.integers(1, 199))
def test_thresholds_lose_nothing_in_storage(probabilities, step):
    cases = stored([probabilities], [np.zeros((2, 5, 5), bool)], TWO)
    setting = Cleaning(threshold=step / 200)
    (case,) = cases._cases
    assert np.array_equal(cases._mask(case, setting), clean(probabilities.astype(float), setting, "multilabel") > 0)


def test_a_timid_network_gets_a_lower_threshold():
    truths = discs()
    tuning = tune(stored(np.where(truths, 0.42, 0.1), truths))
    assert 0.1 < tuning.cleaning.threshold[0] <= 0.4
    assert tuning.before == {"lesion": 0}
    assert tuning.after == {"lesion": 1}
    assert [decision.kept for decision in tuning.decisions] == [True, False]


def test_each_class_gets_what_it_needs():
    truths = np.stack([discs(), discs()[::-1]], axis=1)
    probabilities = np.where(truths, 0.9, 0.1)
    probabilities[:, 1, 1, 1] = probabilities[:, 1, 22, 20] = 0.8  # specks in the second class
    tuning = tune(stored(probabilities, truths, TWO))
    assert tuning.cleaning.for_class(0, 2) == Cleaning(threshold=0.5)
    cleaned = clean(probabilities[0], tuning.cleaning, "multilabel") > 0
    assert np.array_equal(cleaned, truths[0])
    report = tuning_markdown(tuning, on="d, validation")
    assert "| stomach | components |" in report
    assert "20 cases of 20 groups: d, validation" in report
    assert json.loads(json.dumps(tuning.to_dict()))["cleaning"] == tuning.cleaning.to_dict()


def test_exclusive_classes_are_tuned_too():
    truths = discs().astype(int)
    truths[:, :2, :8] = 2
    labels = truths.copy()
    labels[:, 20, 3] = 1
    probabilities = np.eye(3)[labels].transpose(0, 3, 1, 2) * 0.8 + 0.1
    tuning = tune(stored(probabilities, truths[:, None], EXCLUSIVE))
    assert tuning.cleaning.threshold == ()
    assert tuning.after == {"a": 1, "b": 1}


def test_what_is_right_already_stays_plain():
    truths = discs()
    tuning = tune(stored(np.where(truths, 0.9, 0.1), truths))
    assert tuning.cleaning == PLAIN
    assert tuning.after == tuning.before == {"lesion": 1}


def test_a_gain_in_one_case_is_no_reason():
    truths = discs()
    probabilities = np.where(truths, 0.9, 0.1)
    probabilities[3] = np.where(truths[3], 0.42, 0.1)  # one of 20 would gain 1
    tuning = tune(stored(probabilities, truths))
    assert tuning.decisions[0].gain == pytest.approx(0.05)
    assert tuning.cleaning == PLAIN


def test_many_slices_of_few_patients_are_no_reason():
    truths = discs()
    cases = stored(np.where(truths, 0.42, 0.1), truths, group=lambda n: str(n % 5))
    tuning = tune(cases)
    assert tuning.cleaning == PLAIN
    assert tuning.after == tuning.before
    assert "Fewer than 8 groups" in tuning_markdown(tuning, on="x")


def test_noise_is_not_learned():
    generator = np.random.default_rng(0)
    truths = discs(40)
    kept = 0
    for _ in range(5):  # blurred steps at random: every threshold is as good as another, on average
        offset = generator.normal(0, 0.15, (40, 1, 1))
        probabilities = np.clip(np.where(truths, 0.75, 0.25) + offset + generator.normal(0, 0.1, truths.shape), 0, 1)
        kept += tune(stored(probabilities, truths)).decisions[0].kept
    assert kept <= 1


def test_an_organ_in_one_slice_is_dropped_where_that_helps():
    truths = np.zeros((160, 6, 6), bool)
    pred = truths.copy()
    for scan in range(10):
        truths[16 * scan + 4 : 16 * scan + 9, 1:4, 1:4] = True
        pred[16 * scan + 13, 1:4, 1:5] = True
    pred |= truths
    cases = stored(
        pred.astype(float), truths, ONE, "competition", lambda n: f"s{n // 16}_slice_{n % 16}", lambda n: str(n // 16)
    )
    assert tune(cases).cleaning.drop_isolated == (True,)


def test_wrong_calls_are_named():
    with pytest.raises(ValueError, match="unknown metric 'dise' .did you mean 'dice'"):
        TuningCases(ONE, "dise")
    with pytest.raises(ValueError, match="there is no case to tune on"):
        tune(TuningCases(ONE, "dice"))
    with pytest.raises(ValueError, match="'1' is not a slice: use dice"):
        TuningCases(ONE, "competition").add("1", "1", np.zeros((1, 2, 2)), np.zeros((1, 2, 2)))


def test_the_command(medseg, demo_data: Path, trained: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(trained, weights)
    outcome = medseg("tune", "unetpp", "-d", demo_data, "-w", weights)
    assert outcome.code == 0, outcome.err
    assert "| class | before | after | gain |" in outcome.out
    assert Trained.read(weights).dataset == Trained.read(trained).dataset
    wrong = medseg("tune", "unetpp", "-d", demo_data, "-w", weights, "--metric", "competition")
    assert wrong.code == 1
    assert "is not a slice: use dice" in wrong.err


def test_evaluation_and_prediction_use_what_was_tuned(medseg, demo_data: Path, trained: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(trained, weights)
    replace(Trained.read(trained), cleaning=Cleaning(min_size=10**6)).write(weights)
    image = sorted((demo_data / "images").iterdir())[0]

    def pixels(*options: object) -> int:
        assert medseg("predict", "unetpp", image, "-w", weights, "--out", tmp_path, "--overwrite", *options).code == 0
        with Image.open(next(tmp_path.glob("*_mask.png"))) as mask:
            return int(np.count_nonzero(np.asarray(mask)))

    low = ("--threshold", "0.01")
    assert pixels(*low) == 0
    assert pixels(*low, "--set", "cleaning=off") > 0
    assert pixels(*low, "--min-size", 0) == pixels(*low, "--set", "cleaning=off")
    medseg("evaluate", "unetpp", "-d", demo_data, "-w", weights, "--out", tmp_path / "e")
    summary = json.loads((tmp_path / "e" / "summary.json").read_text())
    assert summary["run"]["cleaning"]["min_size"] == [10**6]
    assert summary["overall"]["outcomes"]["ok"] == 0
