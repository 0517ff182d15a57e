"""The Gaussian of descriptions: distances by hand, the covariance by scikit-learn, parts that are what remains of the whole."""

import numpy as np
import pytest
from sklearn.covariance import OAS

from medseg_monai.quality.gaussian import Gaussian, shrunk_covariance, symmetric

RNG = np.random.default_rng(0)
MIXED = np.array([[1.0, 0.8, 0.0], [0.0, 0.6, 0.0], [0.0, 0.0, 3.0]])


@pytest.mark.parametrize("count", [5, 40, 400])
def test_the_covariance_is_scikit_learns(count: int) -> None:
    centred = RNG.standard_normal((count, 3)) @ MIXED
    centred -= centred.mean(axis=0)
    assert np.allclose(shrunk_covariance(centred), OAS(assume_centered=True).fit(centred).covariance_)


def test_distances_by_hand() -> None:
    known = Gaussian({"a": 1, "b": 1}, np.array([1.0, 2.0]), np.array([1.0, 2.0]), symmetric([1, 0, 4], 2))
    case = {"a": np.array([4.0]), "b": np.array([10.0])}
    # 3 off in units of 1 and variance 1: 9; 8 off in units of 2 and variance 4: 16 / 4 = 4; the mean of the two
    assert known.distance(case) == pytest.approx(np.sqrt((9 + 4) / 2))
    assert known.distances(case) == pytest.approx({"a": 3, "b": 2})


def test_numbers_that_do_not_go_together_are_further_off_than_each_alone() -> None:
    known = Gaussian({"a": 1, "b": 1}, np.zeros(2), np.ones(2), symmetric([1, 0.9, 1], 2))
    together, apart = ({"a": np.ones(1), "b": np.full(1, sign)} for sign in (1.0, -1.0))
    # the inverse of [[1, 0.9], [0.9, 1]] is [[1, -0.9], [-0.9, 1]] / 0.19
    assert known.distance(together) == pytest.approx(np.sqrt((2 - 1.8) / 0.19 / 2))
    assert known.distance(apart) == pytest.approx(np.sqrt((2 + 1.8) / 0.19 / 2))
    assert known.distances(together) == known.distances(apart) == {"a": 1, "b": 1}


def test_a_fit_has_the_cases_mean_and_spread_whatever_the_order_of_parts_later() -> None:
    cases = [{"a": np.array([value, 2 * value]), "b": np.array([-value])} for value in (1.0, 2.0, 6.0)]
    known = Gaussian.fitted(cases)
    assert known.mean.tolist() == [3, 6, -3]
    spread = np.sqrt(14 / 3)
    assert known.scale == pytest.approx([spread, 2 * spread, spread], rel=1e-4)
    turned = {"b": cases[0]["b"], "a": cases[0]["a"]}
    assert known.distance(turned) == known.distance(cases[0])
