"""Slices of volumes: which way they are turned, which are chosen, and that their pixels are square."""

import numpy as np
import pytest

from medseg_monai.figures.axial import fullest_slice, spread_slices, to_axial, with_square_pixels


@pytest.mark.parametrize("channels", [(), (2,)])
def test_the_same_place_in_the_body_is_drawn_in_the_same_corner_however_it_is_stored(channels):
    # right, front, top of the patient: voxel (3, 4, 5) of a file stored towards right, front, head
    ras = np.zeros((*channels, 4, 5, 6), np.uint8)
    ras[..., 3, 4, 5] = 1
    stored = {
        "RAS": (ras, np.diag([1.0, 2, 3, 1])),
        "LPI": (ras[..., ::-1, ::-1, ::-1], np.diag([-1.0, -2, -3, 1])),
        "SRA": (np.moveaxis(ras, -1, -3), np.array([[0, 1, 0, 0], [0, 0, 2, 0], [3, 0, 0, 0], [0, 0, 0, 1.0]])),
    }
    for name, (volume, affine) in stored.items():
        turned, spacing = to_axial(volume, affine)
        assert turned.shape == (*channels, 4, 5, 6), name
        assert np.argwhere(turned)[-1][-3:].tolist() == [0, 0, 5], name  # the picture's left and top, the last slice
        assert spacing == (1, 2, 3), name


def test_without_an_affine_nothing_is_turned():
    volume = np.arange(24).reshape(2, 3, 4)
    turned, spacing = to_axial(volume)
    assert (turned == volume).all()
    assert spacing == (1, 1, 1)


def test_an_oblique_affine_goes_to_the_nearest_axes_with_true_voxel_sizes():
    angle = np.deg2rad(10)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([0.5, 0.8, 4])
    volume = np.zeros((2, 3, 4))
    volume[1, 2, 3] = 1
    turned, spacing = to_axial(volume, affine)
    assert np.argwhere(turned).tolist() == [[0, 0, 3]]
    assert spacing == pytest.approx((0.5, 0.8, 4))


def test_slices_are_chosen_where_the_masks_are():
    masks = np.zeros((2, 3, 3, 10), bool)
    masks[0, 0, 0, 4:8] = masks[1, :, :, 6] = True
    assert fullest_slice(masks) == 6
    assert spread_slices(masks, 2) == [4, 7]
    assert spread_slices(masks, 1) == [4]


def test_pixels_become_square():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    masks = np.array([[[True, False], [False, True]]])
    larger, planes = with_square_pixels(picture, masks, (1.0, 2.5))
    assert larger.shape == (5, 2, 3)
    assert planes.shape == (1, 5, 2)
    assert planes[0, :2].tolist() == [[True, False]] * 2
    same, _ = with_square_pixels(picture, masks, (0.7, 0.7))
    assert same is picture
    _, none = with_square_pixels(picture, masks[:0], (1.0, 2.5))
    assert none.shape == (0, 5, 2)
