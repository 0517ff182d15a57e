"""Lesions counted by hand, and matched by brute force."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medseg_monai.evaluation.lesions import LesionCounts, count_lesions


def grid(text):
    return np.array([[sign == "#" for sign in line] for line in text.split()])


def parts(mask):
    """Connected parts as sets of pixels, by flooding; corners connect."""
    left, found = {tuple(pixel) for pixel in np.argwhere(mask).tolist()}, []
    while left:
        part, edge = set(), {left.pop()}
        while edge:
            part |= edge
            edge = {
                other
                for other in left
                if any(max(abs(a - b) for a, b in zip(other, p, strict=True)) == 1 for p in edge)
            }
            left -= edge
        found.append(part)
    return found


def best_matching(pred, truth, iou):
    """The most pairs of all assignments."""
    few, many = sorted((parts(truth), parts(pred)), key=len)
    near = [[len(a & b) / len(a | b) > iou for b in many] for a in few]
    return max(
        (sum(near[i][j] for i, j in enumerate(order)) for order in permutations(range(len(many)), len(few))), default=0
    )


@given(arrays(np.bool_, st.tuples(st.just(2), st.just(5), st.just(6))), st.sampled_from([0, 0.1, 0.3, 0.5, 0.7]))
def test_counts_are_those_of_brute_force(pair, iou):
    found = count_lesions(*pair, iou=iou)
    assert (found.predicted, found.true) == (len(parts(pair[0])), len(parts(pair[1])))
    assert found.matched == best_matching(*pair, iou)
    back = count_lesions(*pair[::-1], iou=iou)
    assert (back.true, back.predicted, back.matched) == (found.predicted, found.true, found.matched)


def test_one_prediction_over_two_lesions_finds_one():
    truth, pred = grid("##.## ##.##"), grid("##### #####")
    assert count_lesions(pred, truth, iou=0) == LesionCounts(true=2, predicted=1, matched=1)
    assert count_lesions(pred, truth) == LesionCounts(true=2, predicted=1, matched=0)


def test_as_many_pairs_as_possible():
    # The long prediction overlaps the first lesion more than the second, the short one overlaps only the first: both are found.
    truth, pred = grid("######..# ........# ........#"), grid("#........ ..####### .........")
    truth[1, 2:5] = True
    assert count_lesions(pred, truth, iou=0) == LesionCounts(true=2, predicted=2, matched=2)


def test_an_iou_at_the_threshold_is_no_match():
    truth, pred = grid("####"), grid("##..")
    assert count_lesions(pred, truth, iou=0.5).matched == 0
    assert count_lesions(pred, truth, iou=0.49).matched == 1


@pytest.mark.parametrize(
    ("counts", "precision", "recall", "f1"),
    [
        (LesionCounts(0, 0, 0), 1, 1, 1),
        (LesionCounts(2, 0, 0), 0, 0, 0),
        (LesionCounts(0, 2, 0), 0, 1, 0),
        (LesionCounts(4, 2, 1), 1 / 2, 1 / 4, 1 / 3),
    ],
)
def test_scores_by_hand(counts, precision, recall, f1):
    assert (counts.precision, counts.recall, counts.f1) == (precision, recall, pytest.approx(f1))


def test_volumes_connect_across_corners():
    truth = np.zeros((3, 4, 5), bool)
    truth[0, 0, 0] = truth[1, 1, 1] = truth[2, 3, 4] = True
    assert count_lesions(truth, truth) == LesionCounts(true=2, predicted=2, matched=2)


def test_thousands_of_specks_are_counted_too(monkeypatch):
    specks = np.zeros((120, 120), bool)
    specks[::3, ::3] = True
    expected = LesionCounts(true=1600, predicted=1600, matched=1600)
    assert count_lesions(specks, specks, iou=0) == expected  # more pairs than a table has
    monkeypatch.setattr("medseg_monai.evaluation.lesions._COUNTED", 1 << 30)
    assert count_lesions(specks, specks, iou=0) == expected
