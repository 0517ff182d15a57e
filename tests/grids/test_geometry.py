"""Grids of volumes: spacing, orientation, volume of a voxel, and whether two are the same."""

import numpy as np
import pytest

from medseg_monai.grids.geometry import Geometry, check_same_grid, grid_distance

TURNED = np.array([[0, 0, 3.0, 1], [-2, 0, 0, 2], [0, 1, 0, 3], [0, 0, 0, 1]])


def test_spacing_orientation_and_volume_follow_from_the_affine() -> None:
    grid = Geometry((4, 5, 6), TURNED)
    assert grid.spacing_mm == (2, 1, 3)
    assert grid.orientation == "PSR"  # the first axis leads to the back, the second to the head, the third to the right
    assert grid.voxel_ml == pytest.approx(0.006)


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.diag([1, 0, 1, 1]), "sides 1, 0, 1 mm: none may be 0"),
        (np.diag([1, np.nan, 1, 1]), "4 x 4 finite numbers"),
        (np.eye(3), "4 x 4 finite numbers"),
        ([[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], "do not stand at right angles .*sheared"),
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


def test_axes_that_are_not_three_are_refused() -> None:
    with pytest.raises(ValueError, match=r"has 2 axes \(5x6\)"):
        Geometry((5, 6), np.eye(4))  # type: ignore[arg-type]


def test_distance_is_that_of_the_farthest_corner() -> None:
    one = Geometry((11, 2, 2), np.eye(4))
    stretched = np.diag([1.1, 1, 1, 1])
    assert grid_distance(one, Geometry((11, 2, 2), stretched)) == pytest.approx(1.0)  # ten steps of 0.1 mm


def test_grids_are_the_same_up_to_a_tenth_of_a_voxel() -> None:
    image = Geometry((3, 4, 5), np.diag([2.0, 2, 5, 1]))
    near, far = np.diag([2.0, 2, 5, 1]), np.diag([2.0, 2, 5, 1])
    near[0, 3], far[0, 3] = 0.19, 0.21
    check_same_grid(Geometry((3, 4, 5), near), image)
    with pytest.raises(ValueError, match=r"0.21 mm away from its image \(at most 0.2 mm"):
        check_same_grid(Geometry((3, 4, 5), far), image)
    with pytest.raises(ValueError, match="has 3x4x6 voxels, its image 3x4x5"):
        check_same_grid(Geometry((3, 4, 6), image.affine), image)
