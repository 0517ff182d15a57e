"""Intervals against scipy, brute force and their promise: they contain the true value as often as they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, bootstrap, quantile_test, sem, t

from medseg_monai.evaluation.intervals import LEAST_CASES, mean_interval, median_interval

DICE = np.array([0.91, 0.88, 0.95, 0.93, 0.20, 0.85, 0.97, 0.90, 0.79, 0.94])


def interval(values, n_bootstrap=2000, seed=0, **ends):
    low, high = mean_interval(values, seed=seed, n_bootstrap=n_bootstrap, **ends)
    return float(low), float(high)


def studentised(values, n_bootstrap, seed):
    """Efron and Tibshirani's recipe, resample by resample."""
    generator, ratios = np.random.default_rng(seed), []
    for _ in range(n_bootstrap):
        drawn = generator.choice(values, len(values))
        if drawn.std() > 0:
            ratios.append((drawn.mean() - values.mean()) / (drawn.std(ddof=1) / len(values) ** 0.5))
    low, high = np.quantile(ratios, [0.025, 0.975])
    error = values.std(ddof=1) / len(values) ** 0.5
    return values.mean() - high * error, values.mean() - low * error


def test_it_is_the_studentised_bootstrap():
    theirs = studentised(DICE, 20_000, seed=5)
    assert interval(DICE, 20_000) == pytest.approx(theirs, rel=0.05)  # other draws, so not the same digits


def test_for_many_cases_of_a_symmetric_score_all_methods_agree():
    values = np.random.default_rng(0).normal(0.8, 0.05, 400)
    theirs = bootstrap((values,), np.mean, n_resamples=5000, method="BCa", random_state=1).confidence_interval
    assert interval(values, 5000) == pytest.approx((theirs.low, theirs.high), abs=0.0006)


def test_columns_have_their_own_intervals_from_the_same_resamples():
    other = np.linspace(3, 60, len(DICE))
    low, high = mean_interval(np.stack([DICE, other], axis=1), seed=0, n_bootstrap=500)
    for column, values in enumerate((DICE, other)):
        assert (low[column], high[column]) == pytest.approx(interval(values, 500))


def test_a_column_that_was_not_measured_leaves_the_others_alone():
    low, high = mean_interval(np.stack([np.full(len(DICE), np.nan), DICE], axis=1), seed=0, n_bootstrap=500)
    assert np.isnan([low[0], high[0]]).all()
    assert (low[1], high[1]) == pytest.approx(interval(DICE, 500))


def test_a_possible_value_is_the_furthest_end():
    values = [1.0] * 9 + [0.2]
    low, high = interval(values, least=0, most=1)
    assert 0 <= low < np.mean(values) < high <= 1
    assert interval(values)[1] > 1
    assert interval(np.subtract(1, values), least=0)[0] == 0


def test_equal_cases_leave_nothing_to_vary():
    assert interval([0.3] * 8) == pytest.approx((0.3, 0.3))


def test_a_single_case_that_differs_has_students_interval():
    values = np.array([1.0] * 41 + [0.5])  # more than a third of the resamples are without it
    low, high = interval(values)
    assert (low, high) == pytest.approx(t.interval(0.95, 41, values.mean(), sem(values)))
    assert low < values.mean() - 0.02


def test_too_few_cases_have_no_interval():
    assert np.isnan(interval(DICE[: LEAST_CASES - 1])).all()
    assert not np.isnan(interval(DICE[:LEAST_CASES])).any()
    for end in mean_interval(np.ones((LEAST_CASES - 1, 3)), seed=0, n_bootstrap=10):
        assert np.isnan(end).tolist() == [True] * 3  # of each column


@given(arrays(np.float64, st.integers(LEAST_CASES, 30), elements=st.floats(0, 1, width=16)), st.floats(0.5, 4))
def test_it_scales_and_shifts_with_the_scores(values, scale):
    ends = np.array(interval(values, 200))
    assert interval(values * scale + 1, 200) == pytest.approx(ends * scale + 1, abs=1e-6)
    assert ends[0] <= values.mean() + 1e-12
    assert ends[1] >= values.mean() - 1e-12


def coverage(draw, truth, *, cases, repeats):
    """How often 95 % intervals contain the truth."""
    generator = np.random.default_rng(0)
    tables = draw(generator, (cases, repeats))
    low, high = mean_interval(tables, seed=1, n_bootstrap=1000, least=0)
    return np.mean((low <= truth) & (truth <= high))


def test_intervals_of_a_skewed_score_hold_what_they_promise():
    # Of 800 samples 95 % would be 760 +- 6. A percentile interval has 0.889 here.
    assert 0.925 < coverage(lambda g, shape: g.beta(8, 2, shape), 0.8, cases=10, repeats=800) < 0.975


@pytest.mark.slow
@pytest.mark.parametrize("cases", [20, 50, 200])
def test_intervals_of_heavy_tails_hold_nearly_what_they_promise(cases):
    # log-normal, as distances are; a percentile interval has 0.87 with 20 cases
    found = coverage(lambda g, shape: g.lognormal(1.5, 1, shape), np.exp(2), cases=cases, repeats=2000)
    assert 0.91 < found < 0.97


@given(st.integers(6, 200))
def test_the_medians_interval_is_the_shortest_that_is_sure_enough(cases):
    low, high = median_interval(np.arange(1, cases + 1))  # values are their own ranks
    assert low + high == cases + 1
    assert binom.cdf(high - 1, cases, 0.5) - binom.cdf(low - 1, cases, 0.5) >= 0.95
    assert binom.cdf(high - 2, cases, 0.5) - binom.cdf(low, cases, 0.5) < 0.95


def test_the_medians_interval_is_scipys():
    values = np.random.default_rng(2).lognormal(size=57)
    theirs = quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    assert median_interval(values) == pytest.approx((theirs.low, theirs.high))


def test_five_cases_are_too_few_for_a_median():
    assert np.isnan(median_interval([1, 2, 3, 4, 5])).all()
    assert median_interval([6, 2, 3, 4, 5, 1]) == (1, 6)
