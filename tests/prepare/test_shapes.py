import numpy as np
import pytest
from scipy import ndimage

from medseg_monai.prepare.shapes import blob, fractal_noise, grid, solid, strokes


def test_grid_has_its_origin_in_the_middle_and_square_pixels():
    x, y = grid((4, 2))
    np.testing.assert_allclose(x[0], [-1.5, -0.5, 0.5, 1.5])
    np.testing.assert_allclose(y[:, 0], [-0.5, 0.5])


def test_blob_has_the_area_of_its_circle():
    inside = blob(np.random.default_rng(0), (300, 200), centre=(0.2, -0.1), radius=0.5, ragged=0, rough=0) > 0
    assert inside.sum() == pytest.approx(np.pi * 50**2, rel=0.01)  # half the shorter side is 100 pixels
    row, column = ndimage.center_of_mass(inside)
    assert (column, row) == (pytest.approx(149.5 + 20, abs=0.5), pytest.approx(99.5 - 10, abs=0.5))


def test_noise_has_mean_0_and_deviation_1_about():
    noise = fractal_noise(np.random.default_rng(0), (256, 256), 16)
    assert (noise.shape, noise.dtype) == ((256, 256), np.float32)
    assert abs(noise.mean()) < 0.2
    assert 0.75 < noise.std() < 1.25


def test_solid_keeps_the_largest_piece_and_fills_it():
    drawn = np.array([list("####.#"), list("#..#.."), list("####.#")]) == "#"
    filled = np.array([list("####.."), list("####.."), list("####..")]) == "#"
    assert (solid(drawn) == filled).all()


def test_strokes_cover_a_line_of_the_given_width():
    cover = strokes((20, 10), [(np.array([[-2.0, 5.0], [22.0, 5.0]]), 2.0)])
    assert cover.shape == (10, 20)
    np.testing.assert_allclose(cover.sum(axis=0), 2, atol=0.4)
    assert cover[:3].max() == 0
