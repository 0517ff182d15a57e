"""Surface distances against drawings, brute force and MONAI."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import HausdorffDistanceMetric, SurfaceDiceMetric, SurfaceDistanceMetric

from medseg_monai.evaluation import surfaces
from medseg_monai.evaluation.surfaces import surface, surface_distances

masks_6x6 = arrays(np.bool_, (6, 6))


def grid(text):
    """A (W, H) mask from a drawing whose lines are the first axis."""
    return np.array([[sign == "#" for sign in line] for line in text.split()])


TRUTH = grid("...... .##... .##... .##... ...... ......")


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("##### ##### ##### #####", "##### #...# #...# #####"),  # the image's border counts as outside
        ("..... ..#.. .###. ..#.. .....", "..... ..#.. .#.#. ..#.. ....."),
        (".....  .###. .###. .###. .....", "..... .###. .#.#. .###. ....."),
    ],
)
def test_surface_is_the_pixels_with_a_neighbour_outside(mask, expected):
    assert np.array_equal(surface(grid(mask)), grid(expected))


def test_surface_of_a_cube_leaves_its_inside():
    cube = np.ones((5, 4, 3), bool)
    assert surface(cube).sum() == 60 - 3 * 2 * 1


@pytest.mark.parametrize(("spacing", "step"), [(None, 1.0), ((2, 1), 1.0), ((1, 2), 2.0)])
def test_distances_use_the_spacing_of_their_own_axis(spacing, step):
    # Three of the six points of each surface lie on the other, three a step along the second axis away.
    found = surface_distances(np.roll(TRUTH, 1, axis=1), TRUTH, spacing)
    assert sorted(found.pred_to_truth) == sorted(found.truth_to_pred) == [0, 0, 0, step, step, step]
    assert (found.hd95, found.mean) == (step, pytest.approx(step / 2))


def test_hd95_is_the_larger_directed_percentile():
    # Truth is one pixel, the prediction a row of 20 that begins there: distances 0 to 19, and 0 back.
    truth, pred = np.zeros((2, 1, 20), bool)
    truth[0, 0], pred[0, :] = True, True
    found = surface_distances(pred, truth)
    assert found.hd95 == surface_distances(truth, pred).hd95 == pytest.approx(0.95 * 19)
    assert found.mean == pytest.approx(190 / 21)


def brute_force(pred, truth, spacing):
    """Surface distances by comparing every pixel with every other."""

    def points(mask):
        padded = np.pad(mask, 1)
        inside = [np.roll(padded, shift, axis)[1:-1, 1:-1] for shift in (1, -1) for axis in (0, 1)]
        return np.argwhere(mask & ~np.logical_and.reduce(inside)) * spacing

    between = np.linalg.norm(points(pred)[:, None] - points(truth)[None], axis=2)
    return between.min(axis=1), between.min(axis=0)


@pytest.mark.parametrize("dense", [0.0, 1.0], ids=["distance transform", "search tree"])
@given(pred=masks_6x6, truth=masks_6x6)
def test_distances_match_brute_force(pred, truth, dense):
    pred[2, 3], truth[1, 1] = True, True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surfaces, "DENSE_SURFACE", dense)
        found = surface_distances(pred, truth, (2, 1))
    there, back = brute_force(pred, truth, (2, 1))
    np.testing.assert_allclose(np.sort(found.pred_to_truth), np.sort(there))
    np.testing.assert_allclose(np.sort(found.truth_to_pred), np.sort(back))


@pytest.mark.parametrize(
    ("points", "slow"), [(10, "medseg_monai.evaluation.surfaces.distance_transform_edt"), (11, "scipy.spatial.KDTree")]
)
def test_a_tenth_of_surface_decides_how_the_nearest_is_searched(monkeypatch, points, slow):
    """Up to a tenth, a tree; above it, a distance transform: the other one takes several times as long."""
    isolated = np.zeros((10, 10), bool)
    isolated.flat[[0, 98, 22, 25, 28, 42, 45, 48, 62, 65, 68][:points]] = True  # apart, each with free pixels beside it
    moved = np.roll(isolated, 1, axis=1)  # the box around both is the whole image of 100 pixels
    monkeypatch.setattr(slow, None)
    found = surface_distances(moved, isolated)
    assert found.pred_to_truth.tolist() == found.truth_to_pred.tolist() == [1.0] * points


@given(mask=masks_6x6, x=st.integers(0, 9), y=st.integers(0, 9))
def test_distances_do_not_depend_on_where_in_the_image(mask, x, y):
    mask[2, 2] = True
    moved = [np.pad(drawing, ((x, 9 - x), (y, 9 - y))) for drawing in (mask, TRUTH)]
    still = surface_distances(np.pad(mask, 7), np.pad(TRUTH, 7))
    assert surface_distances(*moved).hd95 == pytest.approx(still.hd95)


@pytest.mark.parametrize("shape", [(24, 17), (12, 9, 10)], ids=["2D", "3D"])
@pytest.mark.parametrize("density", [0.02, 0.5])
def test_distances_equal_monai(shape, density):
    pred, truth = np.random.default_rng(1).random((2, *shape)) < density
    spacing = [2.0, 1.0, 0.5][: len(shape)]
    tensors = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (pred, truth)]
    hausdorff = HausdorffDistanceMetric(include_background=True, percentile=95)(*tensors, spacing=spacing)
    mean = SurfaceDistanceMetric(include_background=True, symmetric=True)(*tensors, spacing=spacing)
    ours = surface_distances(pred, truth, spacing)
    assert ours.hd95 == pytest.approx(hausdorff.item())
    assert ours.mean == pytest.approx(mean.item())


def test_empty_mask_is_an_error():
    with pytest.raises(ValueError, match="empty mask"):
        surface_distances(TRUTH, np.zeros((6, 6), bool))


@pytest.mark.parametrize("spacing", [(1, 1, 1), (1, 0), (1, float("inf"))])
def test_bad_spacing_is_named(spacing):
    with pytest.raises(ValueError, match="spacing must be 2 positive numbers"):
        surface_distances(TRUTH, TRUTH, spacing)


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 2.5, 4.0])
@pytest.mark.parametrize(("shape", "spacing"), [((20, 17), (1.0, 2.5)), ((9, 8, 7), (2.0, 1.0, 3.0))], ids=["2D", "3D"])
def test_share_within_a_tolerance_equals_monais_surface_dice(shape, spacing, tolerance):
    pred, truth = np.random.default_rng(1).random((2, *shape)) < 0.3
    tensors = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (pred, truth)]
    theirs = SurfaceDiceMetric([tolerance], include_background=True)(*tensors, spacing=list(spacing))
    assert surface_distances(pred, truth, spacing).within(tolerance) == pytest.approx(theirs.item())


@given(arrays(np.bool_, (2, 6, 6)), st.floats(0.3, 5))
def test_share_within_grows_with_the_tolerance_and_scales_with_the_spacing(pair, tolerance):
    pair[:, 3, 3] = True
    distances = surface_distances(*pair, (1, 2))
    assert distances.within(tolerance) <= distances.within(tolerance + 1) <= 1
    assert distances.within(distances.hd95 + 100) == 1
    assert surface_distances(*pair, (3, 6)).within(3 * tolerance) == distances.within(tolerance)
    assert surface_distances(*pair[::-1], (1, 2)).within(tolerance) == distances.within(tolerance)


def test_a_distance_equal_to_the_tolerance_is_within():
    left, right = np.zeros((2, 1, 9), bool)
    left[0, 1], right[0, 4] = True, True
    assert surface_distances(left, right, (1, 0.1)).within(0.3) == 1  # 0.30000000000000004 apart
    assert surface_distances(left, right, (1, 0.1)).within(0.29) == 0
