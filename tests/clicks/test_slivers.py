"""Small pieces that a change leaves behind."""

import numpy as np
import pytest

from medseg_monai.clicks.slivers import slivers


def grid(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows])


BEFORE = grid(
    "#############..",
    "#############..",
    "#############.#",
    "###############",
)


def test_a_remnant_beside_what_was_removed():
    """34 pixels were removed: a piece of three at their rim is a sliver, one of four is not, and none that a click wants."""
    after = grid(
        "####.........#.",
        "####...........",
        "####...........",
        "####.......####",
    )
    after[0, 13] = False
    found = slivers(BEFORE, after, {}, inside=False)
    assert not found.any()
    after[3, 11] = False
    assert np.array_equal(np.argwhere(slivers(BEFORE, after, {}, inside=False)), [[3, 12], [3, 13], [3, 14]])
    assert not slivers(BEFORE, after, {(3, 13): True}, inside=False).any()
    assert slivers(BEFORE, after, {(1, 8): False}, inside=False).any()


def test_a_hole_in_what_was_added():
    after = np.ones_like(BEFORE)
    after[1, 5] = False
    before = np.zeros_like(BEFORE)
    assert np.array_equal(np.argwhere(slivers(before, after, {}, inside=True)), [[1, 5]])
    assert not slivers(before, after, {(1, 5): False}, inside=True).any()


@pytest.mark.parametrize(("added", "goes"), [(20, True), (19, False)])
def test_up_to_a_tenth_of_the_change_is_small(added: int, goes: bool):
    after = grid("............", ".########...", ".##..####...", ".########...", "............")
    before = np.zeros_like(after)
    before[1, 1 : 1 + 22 - added] = True
    hole = grid("............", "............", "...##.......", "............", "............")
    assert np.array_equal(slivers(before, after, {}, inside=True), hole & goes)


def test_a_corner_is_no_contact():
    before = np.ones((4, 6), bool)
    beside, across = np.zeros((2, 4, 6), bool)
    beside[3, 3] = across[3, 4] = True
    before[3] = before[:, 4:] = False  # 12 pixels, of which none is left
    assert np.array_equal(slivers(before | beside, beside, {}, inside=False), beside)
    assert not slivers(before | across, across, {}, inside=False).any()


def test_what_was_there_elsewhere_stays():
    after = BEFORE.copy()
    after[:, 4:] = False
    before = BEFORE.copy()
    before[:, :3] = False
    before[0, 0] = after[0, 0] = True
    after[:, 1:4] = False
    assert not slivers(before, after, {}, inside=False).any()


def test_without_a_change_there_is_none():
    assert not slivers(BEFORE, BEFORE, {}, inside=True).any()
