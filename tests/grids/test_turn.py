"""Axes turned to right-anterior-superior: shown on a volume that one can count, and undone for every turn there is."""

from itertools import permutations, product

import numpy as np
import pytest

from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.turn import Turn, turned_shape

TURNS = [Turn(axes, flipped) for axes in permutations(range(3)) for flipped in product((False, True), repeat=3)]  # type: ignore[arg-type]


def test_rows_that_run_to_the_left_are_turned_round() -> None:
    # i runs down, j to the left, k forward: turned axis 0 (right) is j backwards, 1 (anterior) is k, 2 (superior) is i backwards
    affine = np.array([[0, -1, 0, 0], [0, 0, 1, 0], [-1, 0, 0, 0], [0, 0, 0, 1]], float)
    turn = Turn.to_ras(affine)
    assert turn == Turn((1, 2, 0), (True, False, True))
    stored = np.arange(24).reshape(2, 3, 4)
    turned = turn.apply(stored)
    assert turned.shape == turned_shape(Geometry((2, 3, 4), affine)) == (3, 4, 2)
    assert turned[0, 0, 0] == stored[1, 2, 0]
    assert turned[2, 3, 1] == stored[0, 0, 3]


@pytest.mark.parametrize("turn", TURNS)
def test_every_turn_is_undone_without_a_copy(turn: Turn) -> None:
    stored = np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4)  # a leading axis, of classes
    turned = turn.apply(stored)
    assert turned.shape == (2, *(stored.shape[1 + axis] for axis in turn.axes))
    assert np.shares_memory(turned, stored)
    np.testing.assert_array_equal(turn.undo(turned), stored)


@pytest.mark.parametrize("turn", TURNS)
def test_a_turn_is_read_off_the_affine(turn: Turn) -> None:
    affine = np.eye(4)
    affine[:3, :3] = 0
    for world, (axis, flip) in enumerate(zip(turn.axes, turn.flipped, strict=True)):
        affine[world, axis] = -1.5 if flip else 1.5
    assert Turn.to_ras(affine) == turn
