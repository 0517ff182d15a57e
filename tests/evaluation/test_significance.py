"""The paired test against scipy and arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, permutation_test

from medseg_monai.evaluation.significance import group_permutation_p, holm, paired_permutation_p


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 1, 1, 1], 2 / 16),  # ++++ and ----
        ([3, 1, 1, -1], 8 / 16),  # 3+1+1+1, three ways to 4, and the same with signs turned
        ([0, 0, 0], 1.0),
        ([2, -2], 1.0),
        ([5], 1.0),
    ],
)
def test_exact_p_by_hand(differences, p):
    assert paired_permutation_p(differences) == p


def test_exact_p_equals_scipy():
    differences = np.random.default_rng(0).normal(0.3, 1, 12)
    expected = permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert paired_permutation_p(differences) == pytest.approx(expected.pvalue)


def test_all_signs_are_tried_if_there_are_no_more_than_draws():
    differences = [0.1, 0.2, 0.3]
    assert paired_permutation_p(differences, n_permutations=8) == 2 / 8
    drawn = paired_permutation_p(differences, n_permutations=7) * 8  # seven draws and the observed signs
    assert drawn == pytest.approx(round(drawn))


def test_drawn_p_depends_on_the_seed_alone_which_is_0_unless_given():
    differences = np.random.default_rng(4).normal(0.2, 1, 20)  # more choices of signs than draws
    drawn = [paired_permutation_p(differences, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert paired_permutation_p(differences) == drawn[0]


def test_drawn_p_is_near_the_exact_one():
    differences = np.random.default_rng(1).normal(0.5, 1, 13)
    exact = paired_permutation_p(differences)
    drawn = paired_permutation_p(differences, n_permutations=8000)  # fewer than 2^13
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 8000))


def test_p_is_never_zero():
    assert paired_permutation_p(np.ones(500)) == 1 / 10_001


def test_false_findings_are_as_rare_as_promised():
    generator = np.random.default_rng(2)
    found = [paired_permutation_p(generator.normal(0, 1, 8)) <= 0.05 for _ in range(400)]
    assert 0.02 < np.mean(found) < 0.085  # 0.05 within three standard errors


def test_blocks_change_nothing(monkeypatch):
    differences = np.random.default_rng(3).normal(0.1, 1, 40)
    whole = paired_permutation_p(differences, seed=5)
    assert whole == paired_permutation_p(differences, seed=5)
    monkeypatch.setattr("medseg_monai.evaluation.significance._BLOCK", 1 << 12)
    assert paired_permutation_p(differences, seed=5) == pytest.approx(whole, abs=0.02)


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # 4 x 0.005, 3 x 0.01, 2 x 0.03, then not below
        ([0.6, 0.7], [1.0, 1.0]),
        ([0.04], [0.04]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values, expected):
    assert holm(p_values) == pytest.approx(expected)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=10))
def test_holm_is_stricter_than_a_rate_and_milder_than_bonferroni(p_values):
    corrected = np.array(holm(p_values))
    assert (corrected >= false_discovery_control(p_values) - 1e-12).all()
    assert (corrected <= np.minimum(1, np.array(p_values) * len(p_values)) + 1e-12).all()


@pytest.mark.parametrize("differences", [[], [[1.0, 2.0]]])
def test_no_differences_is_an_error(differences):
    with pytest.raises(ValueError, match="at least one number"):
        paired_permutation_p(differences)


def test_a_groups_p_is_scipys():
    values = np.random.default_rng(0).beta(8, 2, 40)
    members = np.arange(40) < 9
    values[members] -= 0.07

    def difference(inside, outside, axis):
        return inside.mean(axis=axis) - outside.mean(axis=axis)

    theirs = permutation_test(
        (values[members], values[~members]), difference, n_resamples=20_000, vectorized=True, rng=1
    )
    # scipy's two-sided p is twice the smaller tail; ours counts both, which are nearly alike here
    assert group_permutation_p(values, members) == pytest.approx(theirs.pvalue, rel=0.35)


def test_a_groups_p_is_the_share_of_choices_that_are_as_extreme():
    # of the 10 pairs of 5 cases, {0.1, 0.2} and {0.4, 0.5} are as far from the middle
    p = group_permutation_p([0.1, 0.2, 0.3, 0.4, 0.5], [True, True, False, False, False], n_permutations=20_000)
    assert p == pytest.approx(0.2, abs=0.01)
    assert group_permutation_p([1.0] * 6, [True] * 3 + [False] * 3) == 1


@pytest.mark.parametrize("members", [[True] * 3, [False] * 3])
def test_a_group_of_all_or_none_has_nothing_to_compare(members):
    with pytest.raises(ValueError, match="cannot be compared with the others"):
        group_permutation_p([0.1, 0.2, 0.3], members)
