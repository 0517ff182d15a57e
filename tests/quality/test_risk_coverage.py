"""The area under the risk-coverage curve by hand, by its definition, and by what it must not depend on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.quality.risk_coverage import aurc, aurc_interval, risk_curve

CASES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12)


def test_by_hand() -> None:
    # from the surest on: Dice 0.9, 0.5, 0.7; mean risks 0.1, 0.3, 0.3
    assert risk_curve([0.2, 0.9, 0.5], [0.7, 0.9, 0.5]).tolist() == pytest.approx([0.1, 0.3, 0.3])
    assert aurc([0.2, 0.9, 0.5], [0.7, 0.9, 0.5]) == pytest.approx(0.7 / 3)


@given(CASES)
def test_it_is_the_mean_risk_among_each_number_of_the_surest(cases: list[tuple[float, float]]) -> None:
    score, dice = map(list, zip(*cases, strict=True))
    surest = sorted(range(len(cases)), key=lambda n: -score[n])
    risks = [1 - np.mean([dice[n] for n in surest[:count]]) for count in range(1, len(cases) + 1)]
    assert aurc(score, dice) == pytest.approx(np.mean(risks), abs=1e-9)


@given(CASES)
def test_nothing_sorts_better_than_the_dice_and_only_the_order_counts(cases: list[tuple[float, float]]) -> None:
    score, dice = map(list, zip(*cases, strict=True))
    assert aurc(dice, dice) <= aurc(score, dice) + 1e-12
    ranks = np.unique(score, return_inverse=True)[1]
    assert aurc(score, dice) == aurc(ranks, dice)


def test_the_interval_holds_the_area_and_is_a_point_if_all_cases_are_equal() -> None:
    random = np.random.default_rng(1)
    dice = random.uniform(0.5, 1, 80)
    score = dice + random.normal(0, 0.1, 80)
    low, high = aurc_interval(score, dice)
    assert low < aurc(score, dice) < high
    assert (low, high) == aurc_interval(score, dice), "the same each time"
    assert aurc_interval([0.5] * 4, [0.8] * 4) == pytest.approx((0.2, 0.2))
