"""Scores against arithmetic on grids one can draw, and MONAI."""

import time

import numpy as np
import pytest
import torch
from evaluations import scores_of
from hypothesis import given
from hypothesis.extra.numpy import arrays
from monai.metrics import DiceMetric, MeanIoU

from medseg_monai.evaluation.metrics import (
    CALIBRATION_METRICS,
    LESION_METRICS,
    METRICS,
    OUTLINE_METRICS,
    OVERLAP_METRICS,
    class_masks,
    score_case,
    split_ignored,
)
from medseg_monai.evaluation.options import MeasureOptions

masks_6x6 = arrays(np.bool_, (6, 6))


def grid(text):
    """A (W, H) mask from a drawing whose lines are the first axis."""
    return np.array([[sign == "#" for sign in line] for line in text.split()])


TRUTH = grid("...... .##... .##... .##... ...... ......")  # 3 x 2 pixels
SHIFTED = grid("...... ..##.. ..##.. ..##.. ...... ......")  # one step along the second axis
EMPTY = np.zeros((6, 6), bool)
FULL = np.ones((6, 6), bool)


def score(pred, truth, spacing=None):
    (scores,) = score_case(pred[None], truth[None], case="a", classes=["lesion"], spacing=spacing)
    return scores


def test_scores_by_hand():
    scores = score(SHIFTED, TRUTH, spacing=(1, 2))
    assert (scores.dice, scores.jaccard) == (6 / 12, 3 / 9)
    assert (scores.sensitivity, scores.specificity) == (3 / 6, 27 / 30)
    assert (scores.hd95, scores.mean_surface_distance) == (2, 1)
    assert (scores.truth_pixels, scores.predicted_pixels, scores.outcome) == (6, 6, "ok")
    # bands of at least 1 pixel are the masks here: 3 of 9 pixels are shared, as by the masks themselves
    assert scores.boundary_iou == 3 / 9
    assert (scores.lesion_precision, scores.lesion_recall, scores.lesion_f1) == (0, 0, 0)  # IoU 1/3
    assert (scores.true_lesions, scores.predicted_lesions, scores.matched_lesions) == (1, 1, 0)
    assert (scores.size_difference, scores.relative_size_difference, scores.border) == (0, 0, "inside")
    assert scores.truth_size == pytest.approx(100 / 6)


def test_options_decide_what_is_near_and_what_is_found():
    near = MeasureOptions(tolerance=1, lesion_iou=0.3)
    far = MeasureOptions(tolerance=2)
    (scores,) = score_case(SHIFTED[None], TRUTH[None], case="a", classes=["x"], spacing=(1, 2), options=near)
    assert (scores.surface_dice, scores.lesion_f1) == (
        0.5,
        1,
    )  # half of each outline lies in the other, the rest 2 away
    (scores,) = score_case(SHIFTED[None], TRUTH[None], case="a", classes=["x"], spacing=(1, 2), options=far)
    assert scores.surface_dice == 1


def test_sizes_by_hand():
    scores = score(FULL, TRUTH)
    assert (scores.size_difference, scores.relative_size_difference, scores.relative_size_error) == (30, 5, 5)
    scores = score(grid(".#.... .##... ...... ......"), grid("#..... .##... .##... .#...."))
    assert (scores.relative_size_difference, scores.relative_size_error, scores.border) == (-0.5, 0.5, "touches")
    volume = np.ones((4, 5, 6), bool)
    half = volume.copy()
    half[2:] = False
    scores = score(half, volume, spacing=(1, 2, 5))  # 60 voxels of 10 mm³
    assert (scores.size_difference, scores.truth_size) == (pytest.approx(-0.6), pytest.approx(1.2))


@pytest.mark.parametrize(
    ("pred", "truth", "outcome", "overlap", "distance", "sensitivity", "specificity"),
    [
        (EMPTY, EMPTY, "absent", 1, 0, 1, 1),
        (EMPTY, TRUTH, "missed", 0, np.hypot(12, 6), 0, 1),
        (TRUTH, EMPTY, "spurious", 0, np.hypot(12, 6), 1, 30 / 36),
        (FULL, FULL, "ok", 1, 0, 1, 1),
        (EMPTY, FULL, "missed", 0, np.hypot(12, 6), 0, 1),
        (FULL, EMPTY, "spurious", 0, np.hypot(12, 6), 1, 0),
    ],
    ids=["absent", "missed", "spurious", "full", "full missed", "full spurious"],
)
def test_rule_for_empty_masks(pred, truth, outcome, overlap, distance, sensitivity, specificity):
    scores = score(pred, truth, spacing=(2, 1))
    assert scores.outcome == outcome
    assert scores.dice == scores.jaccard == overlap
    assert scores.hd95 == scores.mean_surface_distance == pytest.approx(distance)
    assert (scores.sensitivity, scores.specificity) == (sensitivity, pytest.approx(specificity))
    assert scores.boundary_iou == scores.surface_dice == scores.lesion_f1 == scores.lesion_precision == overlap
    assert scores.lesion_recall == sensitivity
    assert scores.relative_size_difference == {"missed": -1, "spurious": 1}.get(outcome, 0)
    assert scores.border == {"absent": "", "spurious": ""}.get(outcome, "touches" if truth is FULL else "inside")


def test_truth_without_background_has_a_specificity():
    half = FULL.copy()
    half[:, 3:] = False
    assert (score(half, FULL).sensitivity, score(half, FULL).specificity) == (0.5, 1.0)


def test_masks_apart_have_no_overlap_but_a_distance():
    scores = score(grid("#..... ...... ......"), grid("...... ...... ....#."), spacing=(2, 1))
    assert (scores.dice, scores.outcome) == (0, "ok")
    assert scores.hd95 == pytest.approx(np.hypot(4, 4))


@pytest.mark.parametrize(("jaccard", "expected"), [(0.64, 0), (0.65, 0.65), (0.9, 0.9)])
def test_thresholded_jaccard(jaccard, expected):
    scores = scores_of("a", jaccard=jaccard)
    assert scores.thresholded_jaccard == expected


@given(pred=masks_6x6, truth=masks_6x6)
def test_scores_are_finite_symmetric_and_agree_with_each_other(pred, truth):
    there, back = score(pred, truth, (2, 1)), score(truth, pred, (2, 1))
    assert all(np.isfinite(getattr(there, name)) for name in METRICS if name not in CALIBRATION_METRICS)
    for name in (*OVERLAP_METRICS, *OUTLINE_METRICS, *LESION_METRICS):
        assert 0 <= getattr(there, name) <= 1
    assert there.lesion_precision == back.lesion_recall or not (pred.any() and truth.any())
    assert there.size_difference == -back.size_difference
    for name in ("dice", "jaccard", "hd95", "boundary_iou", "surface_dice", "lesion_f1"):
        assert getattr(there, name) == getattr(back, name)
    assert there.mean_surface_distance == pytest.approx(back.mean_surface_distance)
    assert there.dice == pytest.approx(2 * there.jaccard / (1 + there.jaccard))


@pytest.mark.parametrize("shape", [(3, 2, 20, 17), (2, 3, 9, 8, 7)], ids=["2D", "3D"])
def test_overlap_equals_monai(shape):
    pred, truth = np.random.default_rng(0).random((2, *shape)) < 0.4
    pred[0, 0] = truth[0, 0] = pred[1, 1] = truth[1, 0] = False  # absent, missed, spurious
    tensors = [torch.from_numpy(masks.astype(np.float32)) for masks in (pred, truth)]
    dice = DiceMetric(ignore_empty=False, reduction="none")(*tensors)
    jaccard = MeanIoU(ignore_empty=False, reduction="none")(*tensors)
    names = ["a", "b", "c"][: shape[1]]
    ours = [score_case(p, t, case="x", classes=names) for p, t in zip(pred, truth, strict=True)]
    np.testing.assert_allclose([[s.dice for s in case] for case in ours], dice.numpy(), rtol=1e-6)
    np.testing.assert_allclose([[s.jaccard for s in case] for case in ours], jaccard.numpy(), rtol=1e-6)


def test_each_class_is_scored_on_its_own_channel():
    pred, truth = np.stack([TRUTH, EMPTY]), np.stack([TRUTH, SHIFTED])
    scores = score_case(pred, truth, case="a", classes=("liver", "spleen"))
    assert [(s.class_name, s.dice, s.outcome) for s in scores] == [
        ("liver", 1, "ok"),
        ("spleen", 0, "missed"),
    ]


def test_class_masks():
    index_map = np.array([[[0, 1], [2, 1]]], np.uint8)
    expected = [[[False, True], [False, True]], [[False, False], [True, False]]]
    assert class_masks(index_map, 2).tolist() == expected
    assert class_masks(index_map == 1, 1).tolist() == expected[:1]
    overlapping = np.ones((2, 3, 3), np.uint8)
    assert class_masks(overlapping, 2).all()
    assert class_masks([[0, 1, 2]], 2).tolist() == [[False, True, False], [False, False, True]]
    with pytest.raises(ValueError, match=r"1 or 2 channels, not shape \(1,\)"):
        class_masks([0], 2)


@pytest.mark.parametrize(
    ("label", "n_classes", "message"),
    [
        (np.full((1, 2, 2), 3), 2, "0 to 2, not 3 to 3"),
        (np.full((2, 2, 2), 255), 2, "0 to 1, not 255 to 255"),
        (np.zeros((3, 2, 2), int), 2, "1 or 2 channels"),
    ],
)
def test_class_masks_refuse(label, n_classes, message):
    with pytest.raises(ValueError, match=message):
        class_masks(label, n_classes)


@pytest.mark.parametrize(
    ("pred", "truth", "spacing", "error", "message"),
    [
        (FULL[None].astype(float), FULL[None], None, TypeError, "'a': pred has dtype float64"),
        (FULL[None], np.ones((1, 6, 5), bool), None, ValueError, r"'a': pred has shape .* truth \(1, 6, 5\)"),
        (FULL, FULL, None, ValueError, r"\(1, W, H\)"),
        (FULL[None], FULL[None], (1, 1, 1), ValueError, "spacing must be 2 positive numbers"),
        (np.zeros((1, 0, 6), bool), np.zeros((1, 0, 6), bool), None, ValueError, r"not \(1, 0, 6\)"),
    ],
)
def test_bad_input_is_named(pred, truth, spacing, error, message):
    with pytest.raises(error, match=message):
        score_case(pred, truth, case="a", classes=["lesion"], spacing=spacing)


def disc(centre, radius):
    x, y = np.ogrid[:6000, :4000]
    return ((x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2)[None]


def test_photograph_of_24_megapixels_takes_seconds():
    pred, truth = disc((3000, 2000), 1500), disc((3100, 1900), 1400)
    began = time.process_time()  # whatever else the machine does
    (scores,) = score_case(pred, truth, case="a", classes=["lesion"])
    assert time.process_time() - began < 10  # measured: 0.4 s on one core
    # Centres lie 141.4 apart and radii differ by 100: no surface point is farther than 241.4 from the other.
    assert 220 < scores.hd95 < 242


@given(masks_6x6, masks_6x6, arrays(np.bool_, (6, 2)))
def test_ignored_pixels_change_no_score(pred, truth, noise):
    """Columns that are ignored may hold anything; overlap scores are those of the grids without them."""
    ignored = np.zeros((1, 6, 6), bool)
    ignored[..., 4:] = True
    other = pred.copy()
    other[:, 4:] = noise
    (one,) = score_case(pred[None], truth[None], case="a", classes=["lesion"], ignored=ignored)
    (two,) = score_case(other[None], truth[None], case="a", classes=["lesion"], ignored=ignored)
    (cut,) = score_case(pred[None, :, :4], truth[None, :, :4], case="a", classes=["lesion"])
    assert one == two
    for name in ("dice", "jaccard", "sensitivity", "specificity", "truth_pixels", "predicted_pixels", "outcome"):
        assert getattr(one, name) == getattr(cut, name)


def test_ignored_pixels_of_a_label_are_told_apart():
    label = np.array([[[0, 1, 2, 255]]], np.uint8)
    with pytest.raises(ValueError, match="label values must be 0 to 2, not 0 to 255"):
        class_masks(label, 2)
    clean, ignored = split_ignored(label)
    assert class_masks(clean, 2).astype(int).tolist() == [[[0, 1, 0, 0]], [[0, 0, 1, 0]]]
    assert ignored.tolist() == [[[False, False, False, True]]]
    assert split_ignored(clean)[1] is None
