"""Generated torsos: one patient whatever the grid, structures where a body has them, values in Hounsfield units."""

import numpy as np
import pytest

from medseg_monai.grids.geometry import Geometry
from medseg_monai.prepare.torso import AIR, EXTENT_MM, STRUCTURES, Ellipsoid, Torso, draw_torso, torso_grid

GRID = Geometry((64, 56, 40), np.array([[4, 0, 0, -126], [0, 4, 0, -110], [0, 0, 4, -78], [0, 0, 0, 1.0]]))


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    return draw_torso(Torso.draw(np.random.default_rng(0)), GRID)


def test_an_ellipsoid_is_1_at_its_centre_and_0_on_its_surface() -> None:
    shape = Ellipsoid(np.array([1.0, 2, 3]), np.array([2.0, 4, 8]))
    points = np.array([[1.0, 2, 3], [3, 2, 3], [1, -2, 3], [1, 2, 11], [5, 2, 3]])
    assert shape.inside(points).tolist() == [1, 0, 0, 0, -1]


def test_structures_lie_where_a_body_has_them(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    values, label = drawn
    assert (values.dtype, label.dtype, label.shape) == (np.int16, np.uint8, GRID.shape)
    assert set(np.unique(label)) == set(range(len(STRUCTURES) + 1))
    centre = {
        number: np.argwhere(label == number).mean(axis=0) @ GRID.affine[:3, :3].T + GRID.affine[:3, 3]
        for number in (1, 3)
    }
    assert centre[1][0] > 20, "the liver is on the right"
    assert centre[3][1] < -30, "the vertebra is behind"
    kidneys = np.argwhere(label == 2)[:, 0] * 4 - 126
    assert (kidneys > 0).any()
    assert (kidneys < 0).any()


def test_values_are_those_of_tissue(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    values, label = drawn
    assert values[0, 0].mean() == pytest.approx(AIR, abs=20)
    medians = [np.median(values[label == number]) for number in (1, 2, 3)]
    assert medians == [pytest.approx(hounsfield, abs=15) for hounsfield in (105, 170, 350)]


def test_a_patient_is_the_same_every_time() -> None:
    one, again = (draw_torso(Torso.draw(np.random.default_rng(5)), GRID) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_a_grid_is_about_as_asked_and_centred(seed: int) -> None:
    grid = torso_grid(np.random.default_rng(seed), (4.0, 4.0, 8.0))
    in_patient = np.abs(grid.affine[:3, :3]).max(axis=1)
    assert all(0.85 <= found / asked <= 1.2 for found, asked in zip(in_patient, (4, 4, 8), strict=True))
    corners = [grid.affine[:3, 3], grid.affine[:3, :3] @ (np.array(grid.shape) - 1) + grid.affine[:3, 3]]
    assert np.abs(sum(corners)).max() < 1e-9
    extent = np.abs(grid.affine[:3, :3]) @ np.array(grid.shape)
    assert np.abs(extent - EXTENT_MM).max() <= 10
