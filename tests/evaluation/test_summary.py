"""Summaries against arithmetic, and intervals against scipy's bootstrap."""

import json
import math
import time

import numpy as np
import pytest
from evaluations import scores_of
from scipy.stats import bootstrap

from medseg_monai.evaluation.metrics import METRICS
from medseg_monai.evaluation.summary import Estimate, Summary, score_table, summarise


def row(case, dice, *, name="lesion", hd95=0.0, outcome="ok"):
    jaccard = dice / (2 - dice)
    return scores_of(
        case, name, dice=dice, jaccard=jaccard, hd95=hd95, mean_surface_distance=hd95 / 2, sensitivity=dice, specificity=1.0,
        outcome=outcome,
    )  # fmt: skip


def random_rows(n_cases, seed=0):
    return [row(f"c{i}", dice) for i, dice in enumerate(np.random.default_rng(seed).beta(8, 2, n_cases))]


def test_means_by_hand():
    summary = summarise([row("a", 1.0, hd95=2), row("b", 0.5, hd95=4), row("c", 0.0, hd95=9, outcome="missed")])
    lesion = summary.per_class["lesion"]
    assert summary.n_cases == 3
    assert lesion.scores["dice"].mean == pytest.approx(0.5)
    assert lesion.scores["jaccard"].mean == pytest.approx((1 + 1 / 3) / 3)
    assert lesion.scores["thresholded_jaccard"].mean == pytest.approx(1 / 3)
    assert lesion.scores["hd95"].mean == pytest.approx(5)
    assert lesion.outcomes == {"ok": 2, "missed": 1, "spurious": 0, "absent": 0}


def test_overall_is_the_mean_of_each_cases_mean_over_classes():
    scores = [row("a", 1.0, name="liver"), row("a", 0.5, name="spleen")]
    scores += [row("b", 0.2, name="spleen"), row("b", 0.4, name="liver", outcome="spurious")]
    summary = summarise(scores)
    assert summary.per_class["liver"].scores["dice"].mean == pytest.approx(0.7)
    assert summary.per_class["spleen"].scores["dice"].mean == pytest.approx(0.35)
    assert summary.overall.scores["dice"].mean == pytest.approx((0.75 + 0.3) / 2)
    assert summary.overall.outcomes["ok"] == 3
    assert summary.per_class["liver"].outcomes["spurious"] == 1


def test_interval_of_the_overall_mean_resamples_cases_not_rows():
    # Each case's classes cancel to 0.5: resampling cases leaves no spread, resampling rows would.
    scores = [row(f"c{i}", dice, name=name) for i in range(20) for name, dice in (("x", 0.1), ("y", 0.9))]
    overall = summarise(scores).overall.scores["dice"]
    assert overall.low == pytest.approx(0.5)
    assert overall.high == pytest.approx(0.5)


def test_interval_agrees_with_scipy():
    scores = random_rows(100)
    ours = summarise(scores, n_bootstrap=20_000).overall.scores["dice"]
    values = ([score.dice for score in scores],)
    theirs = bootstrap(values, np.mean, n_resamples=20_000, method="BCa", random_state=1).confidence_interval
    # another method of the same order of accuracy: for 100 cases they differ by less than a tenth of the interval's width
    assert ours.low == pytest.approx(theirs.low, abs=0.004)
    assert ours.high == pytest.approx(theirs.high, abs=0.004)


def test_same_seed_same_numbers_whatever_the_memory(monkeypatch):
    scores = random_rows(30)
    whole = summarise(scores, seed=3)
    assert summarise(scores, seed=3) == whole
    assert summarise(scores, seed=4) != whole
    monkeypatch.setattr("medseg_monai.evaluation.intervals._BLOCK", 1000)
    assert summarise(scores, seed=3) == whole


def test_what_is_not_said_is_as_documented():
    scores = random_rows(5)
    assert summarise(scores) == summarise(scores, seed=0, n_bootstrap=2000, distance_unit="px")
    low, mean, high = (
        getattr(summarise(scores, n_bootstrap=1).overall.scores["dice"], k) for k in ("low", "mean", "high")
    )
    assert low == high != mean  # a single resample


def test_medians_have_intervals_by_order_statistics():
    dice = [0.1, 0.9, 0.8, 0.7, 0.95, 0.6, 0.5, 0.85, 0.65]
    middle = summarise([row(f"c{i}", one) for i, one in enumerate(dice)]).per_class["lesion"].medians["dice"]
    # of 9 cases the second and the eighth
    assert (middle.mean, middle.low, middle.high) == (0.7, 0.5, 0.9)
    few = summarise([row(f"c{i}", one) for i, one in enumerate(dice[:5])]).overall.medians["dice"]
    assert str(few) == "0.800"


def test_one_case_has_no_interval():
    dice = summarise([row("a", 0.25)]).overall.scores["dice"]
    assert str(dice) == "0.250"
    assert np.isnan([dice.low, dice.high]).all()


def test_json_has_no_nan():
    content = summarise([row("a", 0.25), row("b", 0.5)]).to_dict()
    dice = json.loads(json.dumps(content, allow_nan=False))["overall"]["scores"]["dice"]
    assert dice == {"mean": 0.375, "low": None, "high": None}
    assert str(Summary.from_dict(content)) == str(summarise([row("a", 0.25), row("b", 0.5)]))


def test_table_is_in_order_of_first_appearance():
    scores = [row("b", 0.2), row("a", 0.4)]
    values, cases, classes = score_table(scores)
    assert (cases, classes) == (["b", "a"], ["lesion"])
    assert values.shape == (2, 1, len(METRICS))
    assert values[:, 0, METRICS.index("dice")].tolist() == [0.2, 0.4]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([], "no scores"),
        ([row("a", 1.0), row("a", 1.0)], "'a', class 'lesion' is scored twice"),
        ([row("a", 1.0), row("a", 1.0, name="hair"), row("b", 1.0)], "case 'b', class 'hair'"),
    ],
)
def test_unusable_scores_are_named(scores, message):
    with pytest.raises(ValueError, match=message):
        summarise(scores)


def test_no_resamples_is_an_error():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        summarise([row("a", 1.0)], n_bootstrap=0)


def test_ten_thousand_cases_take_seconds():
    scores = random_rows(10_000)
    began = time.process_time()  # whatever else the machine does
    summarise(scores)
    assert time.process_time() - began < 30


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.8124, 0.79, 0.8333), "0.812 (0.790 to 0.833)"),
        (Estimate(12.344, 9, 15.5), "12.34 (9.00 to 15.50)"),
        (Estimate(0.9, 0.85, 1.0), "0.900 (0.850 to 1.000)"),
        (Estimate(0.9, 0.5, 1.01), "0.90 (0.50 to 1.01)"),
        (Estimate(math.nan, math.nan, math.nan), "–"),
    ],
)
def test_estimate_as_text(estimate, text):
    assert str(estimate) == text
