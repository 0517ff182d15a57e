"""The smallest change that makes clicks right: against a general solver, and what is promised of it."""

import numpy as np
import pytest
from scipy.optimize import minimize

from medseg_monai.clicks.least_change import JITTER, MARGIN, _kernel, least_change

GENERATOR = np.random.default_rng(5)
FIELD = GENERATOR.normal(0, 2, (12, 17)).astype(np.float32)
COLOURS = GENERATOR.normal(0, 1, (2, 12, 17)).astype(np.float32)
GRID = {"steps": (2.0, 1.0), "reach": 9.0}


def test_it_is_the_minimum_that_a_general_solver_finds():
    """Of weights w >= 0 with w'Gw least, under s·(field + Gw) >= margin at each click, solved in the primal by SLSQP."""
    points, inside = [(2, 3), (3, 5), (8, 12), (9, 12)], [True, False, True, True]
    sign = np.where(inside, 1.0, -1.0)
    kernels = [_kernel(FIELD, COLOURS, point, **GRID) for point in points]
    gram = np.array([[kernel[point] for point in points] for kernel in kernels], np.float64) + JITTER * np.eye(4)
    start = np.array([FIELD[point] for point in points], np.float64)
    solved = minimize(
        lambda w: w @ gram @ w / 2,
        np.linalg.solve(gram, sign * 9 - start),
        jac=lambda w: gram @ w,
        constraints={"type": "ineq", "fun": lambda w: sign * (start + gram @ w) - MARGIN},
        tol=1e-10,
    )
    expected = np.tensordot(solved.x, np.stack(kernels), 1)
    assert np.allclose(least_change(FIELD, COLOURS, points, inside, **GRID), expected, atol=2e-3)


def test_clicks_become_right_by_the_margin():
    points, inside = [(2, 3), (3, 5), (8, 12)], [True, False, True]
    after = FIELD + least_change(FIELD, COLOURS, points, inside, **GRID)
    for point, positive in zip(points, inside, strict=True):
        assert (after[point] if positive else -after[point]) >= MARGIN - 0.01


def test_what_one_click_changes_by_hand():
    """It lifts -2 to 1, so by 3. Half its reach away Wendland's function is (1/2)^4 * 3; unlike pixels follow a normal density."""
    field, colours = np.full((3, 21), -2, np.float32), np.full((2, 3, 21), 0.5, np.float32)
    colours[:, 0, 5] = 1.5, -1.5  # one and two standard deviations off: 2.5 in the mean square
    field[1, 15] = -5  # three off, that is one of the field's scale
    change = least_change(field, colours, [(1, 10)], [True], steps=(1e-9, 1.0), reach=10)
    near = 3 / 16
    assert change[1, 10] == pytest.approx(3, abs=1e-4)
    assert change[1, 5] == pytest.approx(3 * near, abs=1e-4)
    assert change[0, 5] == pytest.approx(3 * near * np.exp(-2.5 / 2), abs=1e-4)
    assert change[1, 15] == pytest.approx(3 * near * np.exp(-1 / 2), abs=1e-4)


def test_clicks_that_say_the_same_have_an_answer():
    """Side by side, with a reach of a thousand pixels, they have all but the same kernel function."""
    field = np.full((3, 4), -2, np.float32)
    change = least_change(
        field, np.zeros((0, 3, 4), np.float32), [(1, 1), (1, 2)], [True, True], steps=(1, 1), reach=1e4
    )
    assert np.allclose(change, 3, atol=1e-3)


def test_clicks_that_are_clearly_right_change_nothing():
    points = [tuple(np.unravel_index(at, FIELD.shape)) for at in (FIELD.argmax(), FIELD.argmin())]
    assert not least_change(FIELD, COLOURS, points, [True, False], **GRID).any()


def test_nothing_changes_beyond_reach():
    """Rows are 2 apart: a reach of 9 is four rows, and eight columns (the ninth is exactly at 9)."""
    change = least_change(
        np.full((30, 40), -2, np.float32), np.zeros((0, 30, 40), np.float32), [(15, 20)], [True], **GRID
    )
    rows, columns = np.nonzero(change)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (11, 19, 12, 28)
    assert change.argmax() == 15 * 40 + 20
    assert np.allclose(change, change[:, np.r_[0, 39:0:-1]], atol=1e-6)  # as far to the left as to the right


def test_pixels_that_look_alike_change_together():
    colours = np.zeros((1, 9, 9), np.float32)
    colours[:, :, 5:] = 4.0
    change = least_change(np.full((9, 9), -2, np.float32), colours, [(4, 4)], [True], steps=(1, 1), reach=20)
    assert change[4, 3] > 2.5 > 0.01 > change[4, 5]
    unaware = least_change(
        np.full((9, 9), -2, np.float32), np.zeros((0, 9, 9), np.float32), [(4, 4)], [True], steps=(1, 1), reach=20
    )
    assert np.isclose(unaware[4, 3], unaware[4, 5])


def test_an_opposite_click_holds_its_place():
    field = np.full((9, 19), -2, np.float32)
    free = field + least_change(field, np.zeros((0, 9, 19), np.float32), [(4, 5)], [True], steps=(1, 1), reach=60)
    held = field + least_change(
        field, np.zeros((0, 9, 19), np.float32), [(4, 5), (4, 11)], [True, False], steps=(1, 1), reach=60
    )
    assert free[4, 11] > 0 > held[4, 11]
    assert held[4, 5] > 0
