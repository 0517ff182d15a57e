"""Grids of volumes: spacing, orientation, volume of a voxel, and whether two are the same."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.grids.geometry import LPS, Geometry, check_same_grid, grid_distance

TURNED = np.array([[0, 0, 3.0, 1], [-2, 0, 0, 2], [0, 1, 0, 3], [0, 0, 0, 1]])


def test_spacing_orientation_and_volume_follow_from_the_affine() -> None:
    grid = Geometry((4, 5, 6), TURNED)
    assert grid.spacing_mm == (2, 1, 3)
    assert grid.orientation == "PSR"  # the first axis leads to the back, the second to the head, the third to the right
    assert grid.voxel_ml == pytest.approx(0.006)


def test_dicom_counts_to_the_left_and_back() -> None:
    assert (LPS @ [1, 2, 3, 1]).tolist() == [-1, -2, 3, 1]  # right, front and above of the origin


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.diag([1, 0, 1, 1]), "sides are 1, 0, 1 mm: none may be 0"),
        (np.diag([1, np.nan, 1, 1]), "4 x 4 matrix of finite numbers"),
        (np.eye(3), "4 x 4 matrix of finite numbers"),
        ([[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "are not perpendicular .*sheared"),
    ],
)
def test_a_grid_that_is_none_is_refused(affine: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Geometry((2, 3, 4), np.array(affine, float))


def test_the_angle_of_a_sheared_grid_is_said() -> None:
    affine = np.eye(4)
    affine[:3, 2] = (0, np.sin(np.radians(30)), np.cos(np.radians(30)))  # leans 30 degrees: meets the second axis at 60
    with pytest.raises(ValueError, match="meet at 60.0 degrees"):
        Geometry((2, 3, 4), affine)


@pytest.mark.parametrize("direction", [(1, 1, 0), (0.6, 0.48, 0.64), (1, 2, 3)])
def test_parallel_axes_are_refused_with_their_angle(direction: tuple[float, ...]) -> None:
    affine = np.eye(4)
    affine[:3, 0] = affine[:3, 1] = direction
    with pytest.raises(ValueError, match=r"meet at 0.0 degrees"):
        Geometry((2, 3, 4), affine)


def test_a_lean_that_rounding_may_give_is_taken() -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.0009
    assert Geometry((1, 1, 1), affine).spacing_mm == pytest.approx((1, 1, 1))
    affine[0, 1] = 0.0011
    with pytest.raises(ValueError, match="not perpendicular"):
        Geometry((1, 1, 1), affine)


def test_axes_that_are_not_three_are_refused() -> None:
    with pytest.raises(ValueError, match=r"has 2 axes \(5x6\)"):
        Geometry((5, 6), np.eye(4))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="5x0x6"):
        Geometry((5, 0, 6), np.eye(4))


def test_distance_is_that_of_the_farthest_corner() -> None:
    one = Geometry((11, 2, 2), np.eye(4))
    stretched = np.diag([1.1, 1, 1, 1])
    assert grid_distance(one, Geometry((11, 2, 2), stretched)) == pytest.approx(1.0)  # ten steps of 0.1 mm


@given(
    shape=st.tuples(*[st.integers(1, 4)] * 3),
    sides=st.tuples(*[st.floats(0.5, 3)] * 3),
    shift=st.tuples(*[st.floats(-5, 5)] * 3),
)
def test_no_voxel_lies_further_off_than_the_farthest_corner(
    shape: tuple[int, int, int], sides: tuple[float, ...], shift: tuple[float, ...]
) -> None:
    affine = np.diag([*sides, 1.0])
    affine[:3, 3] = shift
    voxels = np.array([(*index, 1) for index in product(*map(range, shape))])
    apart = np.linalg.norm((voxels @ affine.T - voxels @ TURNED.T)[:, :3], axis=1)
    assert grid_distance(Geometry(shape, affine), Geometry(shape, TURNED)) == pytest.approx(apart.max())


def test_grids_are_the_same_up_to_a_tenth_of_a_voxel() -> None:
    image = Geometry((3, 4, 5), np.diag([2.0, 2, 5, 1]))
    near, far = np.diag([2.0, 2, 5, 1]), np.diag([2.0, 2, 5, 1])
    near[0, 3], far[0, 3] = 0.19, 0.21
    check_same_grid(Geometry((3, 4, 5), near), image)
    with pytest.raises(ValueError, match=r"0.21 mm away from its image \(at most 0.2 mm"):
        check_same_grid(Geometry((3, 4, 5), far), image)
    coarse, moved = np.diag([10.0, 10, 10, 1]), np.diag([10.0, 10, 10, 1])
    moved[2, 3] = 1.0  # the tenth itself
    check_same_grid(Geometry((3, 4, 5), moved), Geometry((3, 4, 5), coarse))
    with pytest.raises(ValueError, match="has 3x4x6 voxels, but its image 3x4x5"):
        check_same_grid(Geometry((3, 4, 6), image.affine), image)
