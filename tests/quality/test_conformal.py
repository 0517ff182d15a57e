"""Promises kept in simulation, thresholds and margins by hand, and what cannot be promised."""

import math

import numpy as np
import pytest
from scipy.stats import beta

from medseg_monai.quality.conformal import (
    MarginCases,
    Margins,
    Promise,
    inner_probability,
    least_cases,
    make_promise,
    one_per_group,
    outer_probability,
)


def drawn(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Predicted Dice, and Dice that fail with a probability that the prediction tells."""
    predicted = rng.uniform(0, 1, count)
    return predicted, np.where(rng.random(count) < 0.6 * (1 - predicted) ** 3, 0.5, 0.9)


def true_risk(threshold: float) -> float:
    """Of those above a threshold."""
    return 0.15 * (1 - threshold) ** 3


def test_the_share_of_failures_that_pass_is_kept_on_average() -> None:
    rng = np.random.default_rng(0)
    made = [make_promise(*drawn(rng, 150), risk=0.03) for _ in range(400)]
    risks = [true_risk(promise.threshold) if promise.threshold is not None else 0.0 for promise in made]
    assert 0.015 < np.mean(risks) < 0.03, "kept, and not by flagging everything"


def test_with_a_confidence_it_is_kept_that_often() -> None:
    rng = np.random.default_rng(0)
    made = [make_promise(*drawn(rng, 400), risk=0.05, confidence=0.8) for _ in range(400)]
    broken = np.mean([promise.threshold is not None and true_risk(promise.threshold) > 0.05 for promise in made])
    assert broken <= 0.2 + 3 * math.sqrt(0.2 * 0.8 / 400)
    assert np.mean([promise.threshold is not None for promise in made]) > 0.9


def test_the_lowest_threshold_that_keeps_it_by_hand() -> None:
    predicted = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    dices = [0.9, 0.9, 0.9, 0.3, 0.9, 0.9]
    found = make_promise(predicted, dices, dice=0.5, risk=0.25)
    # three pass without a failure: (0 + 1) / (3 + 1); with one failure seven would have to pass
    assert found == Promise(0.6, 0.5, 0.25, None, cases=6, failures=1, passed=3, failures_passed=0)
    assert [found.flags(value) for value in (0.59, 0.6, 0.6001)] == [True, True, False]
    lax = make_promise(predicted, dices, dice=0.5, risk=0.3)
    assert lax.threshold == 0.0, "(1 + 1) / (6 + 1) is below 0.3: nothing need be flagged"


def test_with_a_confidence_by_the_exact_binomial_bound() -> None:
    predicted = np.linspace(0.99, 0.01, 150)
    dices = np.where(np.arange(150) == 130, 0.1, 0.9)
    found = make_promise(predicted, dices, risk=0.02, confidence=0.9)
    assert (found.passed, found.failures_passed) == (130, 0)
    upper = beta.ppf(0.9, 1, 130)  # Clopper and Pearson's, of 0 in 130
    assert upper <= 0.02 < beta.ppf(0.9, 1, 113)


@pytest.mark.parametrize(
    ("risk", "confidence", "least"), [(0.02, None, 49), (0.02, 0.9, 114), (0.1, 0.95, 29), (0.5, None, 1)]
)
def test_how_many_cases_it_takes(risk: float, confidence: float | None, least: int) -> None:
    assert least_cases(risk, confidence) == least
    for count, possible in ((least, True), (least - 1, False)):
        if count:
            made = make_promise([0.9] * count, [0.9] * count, risk=risk, confidence=confidence)
            assert (made.threshold is not None) == possible


def test_what_cannot_be_promised_is_said_in_one_line() -> None:
    few = make_promise([0.9] * 8, [0.9] * 8)
    assert str(few) == (
        "no promise that at most 2.0% of the masks that are not flagged lie below Dice 0.7, on average: validation has 8 cases, "
        "and at least 49 are needed"
    )
    assert not few.flags(0.0)
    bad = make_promise(np.linspace(0, 1, 100), np.where(np.arange(100) % 3, 0.9, 0.1), confidence=0.9)
    assert "34 of 100 validation cases fail" in str(
        make_promise(np.linspace(0, 1, 100), np.where(np.arange(100) % 3, 0.9, 0.1))
    )
    assert "at least 114 are needed" in str(bad)


def test_ties_pass_or_are_flagged_together() -> None:
    found = make_promise([0.9] * 60 + [0.5] * 60, [0.9] * 60 + [0.1] * 60)
    assert (found.threshold, found.passed) == (0.5, 60)
    assert make_promise([0.9] * 120, [0.9] * 60 + [0.1] * 60).threshold is None


def test_one_case_of_each_patient() -> None:
    groups = ["b", "a", "b", "c", "a", "b"]
    chosen = one_per_group(groups)
    assert sorted(groups[place] for place in chosen) == ["a", "b", "c"]
    assert {tuple(one_per_group(groups, seed=seed)) for seed in range(30)} > {tuple(chosen)}, "by chance"


def test_the_outer_probability_covers_and_the_inner_one_lies_within() -> None:
    rng = np.random.default_rng(0)
    for cover in (0.8, 0.95, 1.0):
        probs, truth = np.round(rng.uniform(0, 1, (20, 20)), 2), rng.random((20, 20)) < 0.5
        outer = outer_probability(probs, truth, cover)
        assert (truth & (probs >= outer)).sum() >= cover * truth.sum()
        assert (truth & (probs > outer)).sum() < cover * truth.sum(), "the highest one"
    sure = np.where(truth, probs / 2 + 0.5, probs * 0.75)
    inner = inner_probability(sure, truth, 0.95)
    for level in np.unique(sure[sure >= inner]):
        assert truth[sure >= level].mean() >= 0.95
    assert truth[sure >= np.unique(sure[sure < inner])[-1]].mean() < 0.95, "the lowest one"
    assert math.isnan(outer_probability(probs, np.zeros_like(truth), 0.9))
    assert inner_probability(probs, np.zeros_like(truth), 0.9) == math.inf


def lesion(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a disc, and a truth whose radius differs."""
    x = np.linspace(-1, 1, 40)
    radius = np.hypot(*np.meshgrid(x, x))
    return (1 / (1 + np.exp(12 * (radius - 0.5))))[None], (radius < 0.5 + rng.normal(0, 0.1))[None]


def test_margins_hold_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    held: list[tuple[bool, bool]] = []
    for _ in range(40):
        cases = MarginCases(1)
        for _ in range(30):
            cases.add(*lesion(rng))
        margins = cases.learn(rate=0.8)
        [outer], [inner] = margins.outer, margins.inner
        assert outer is not None
        assert inner is not None
        for _ in range(20):
            probs, truth = lesion(rng)
            within = truth[probs >= inner]
            held.append((truth[probs >= outer].sum() >= 0.95 * truth.sum(), not len(within) or within.mean() >= 0.95))
    outer_rate, inner_rate = np.mean(held, axis=0)
    assert 0.78 < outer_rate < 0.88
    assert 0.78 < inner_rate < 0.88


def test_margins_by_hand_and_with_too_few_cases() -> None:
    truth = np.array([[True, False]])
    cases = MarginCases(1, cover=1.0)
    for high, low in ((0.9, 0.1), (0.8, 0.2), (0.7, 0.3), (0.6, 0.4)):
        cases.add(np.array([[high, low]]), truth)
    assert cases.learn(rate=0.8) == Margins((0.6,), (0.9,), 0.8, 1.0, 4)
    assert cases.learn(rate=0.6) == Margins((0.7,), (0.8,), 0.6, 1.0, 4)
    assert cases.learn([0, 1, 2], rate=0.8) == Margins((None,), (None,), 0.8, 1.0, 3)
    assert "too few cases" in str(cases.learn([0], rate=0.8))
    cases.add(np.array([[0.5, 0.95]]), truth, np.array([[False, True]]))
    assert cases.learn(rate=0.8).outer == (0.5,), "what is ignored counts for nothing"


def test_a_class_that_is_never_there_has_no_outer_mask() -> None:
    cases = MarginCases(2)
    for _ in range(30):
        cases.add(np.array([[0.9, 0.1], [0.2, 0.1]]), np.array([[True, False], [False, False]]))
    margins = cases.learn()
    assert margins.outer == (0.9, None)
    assert margins.inner == (0.9, None), "nothing of it is right at any probability"


def test_both_are_kept_as_json_and_wrong_entries_are_refused() -> None:
    promise, margins = make_promise([0.9] * 60, [0.9] * 60), Margins((0.1, None), (0.9, None), 0.9, 0.95, 30)
    assert Promise.from_dict(promise.to_dict()) == promise
    assert Margins.from_dict(margins.to_dict()) == margins
    for change in ({"threshold": 2}, {"risk": 0}, {"confidence": 1}, {"passed": 61}, {"pased": 1}):
        with pytest.raises(ValueError, match="promise"):
            Promise.from_dict({**promise.to_dict(), **change})
    for wrong in (
        {"outer": [2, None]},
        {"inner": [0.9, "x"]},
        {"outer": [0.1]},
        {"cover": 0},
        {"cases": -1},
        {"rates": 1},
    ):
        with pytest.raises(ValueError, match=r"margins|promise"):
            Margins.from_dict({**margins.to_dict(), **wrong})
    with pytest.raises(ValueError, match="promise"):
        make_promise([], [])


def test_every_case_may_fail_and_none_may_be_more_than_all() -> None:
    all_fail = Promise(None, 0.7, 0.02, None, cases=3, failures=3, passed=3, failures_passed=3)
    for change in ({"failures": 4}, {"passed": 4}, {"failures": 2}, {"passed": 2}, {"cases": 2}):
        with pytest.raises(ValueError, match="do not fit each other"):
            Promise.from_dict({**all_fail.to_dict(), **change})


def test_levels_are_not_below_zero_in_the_masks() -> None:
    margins = Margins((0.25, None), (0.75, None), 0.9, 0.95, 30)
    probabilities = np.random.default_rng(0).integers(0, 9, (3, 6, 5)) / 8
    levels = margins.levels(probabilities)
    assert levels.shape == (4, 6, 5)
    assert np.array_equal(levels >= 0, np.stack(list(margins.masks(probabilities))))
    assert levels[0] == pytest.approx(probabilities[1] - 0.25), "the last channels are the classes'"
    assert margins.known
    assert not Margins((None,), (None,), 0.9, 0.95, 3).known
