import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.audit.evidence import MOST_NATS, block_means, evidence_of, log_odds


def test_log_odds_of_classes_that_exclude_each_other_are_against_the_background() -> None:
    probabilities = np.array([[0.6, 0.0], [0.3, 0.0]], np.float32)  # background 0.1 and 1
    odds = log_odds(probabilities, exclusive=True)
    assert odds[:, 0] == pytest.approx([math.log(6), math.log(3)], abs=1e-4)
    assert odds[:, 1] == pytest.approx([-MOST_NATS, -MOST_NATS], abs=0.01)


def test_the_likelihood_of_a_label_is_that_of_its_pixels() -> None:
    probabilities = np.array([[[0.9, 0.2, 0.5, 0.1]]], np.float32)
    label = np.array([[[True, True, False, False]]])
    evidence = evidence_of(label, probabilities, task="binary")
    # against the empty label: ln(0.9/0.1) + ln(0.2/0.8)
    assert evidence.likelihood == pytest.approx(math.log(9) - math.log(4), abs=1e-5)
    assert evidence.expected.tolist() == [[[True, False, False, False]]]
    assert evidence.size() == 1.5  # two pixels labelled, one expected


def test_exclusive_classes_expect_the_likeliest_of_all() -> None:
    probabilities = np.array([[[0.6, 0.1, 0.2]], [[0.3, 0.7, 0.3]]], np.float32)
    evidence = evidence_of(np.zeros((2, 1, 3), bool), probabilities, task="multiclass")
    assert evidence.expected.tolist() == [[[True, False, False]], [[False, True, False]]]


def test_classes_that_may_overlap_are_expected_each_for_itself() -> None:
    probabilities = np.array([[[0.6, 0.1]], [[0.7, 0.2]]], np.float32)
    evidence = evidence_of(np.zeros((2, 1, 2), bool), probabilities, task="multilabel")
    assert evidence.expected.tolist() == [[[True, False]], [[True, False]]]


def test_volumes_are_reduced_to_80_voxels() -> None:
    label = np.zeros((1, 170, 6, 5), bool)
    label[0, 40:121, 2:4, 2] = True  # 81 long, with 40 on either side: 161
    evidence = evidence_of(label, np.zeros(label.shape, np.float32), task="binary")
    assert (evidence.step, evidence.masks.shape) == (3, (1, 54, 2, 2))


def test_ignored_pixels_say_nothing() -> None:
    probabilities = np.full((1, 1, 4), 0.9, np.float32)
    ignored = np.array([[[True, False, False, True]]])
    evidence = evidence_of(np.zeros((1, 1, 4), bool), probabilities, task="binary", ignored=ignored)
    assert evidence.odds[0, 0].tolist() == pytest.approx([0, math.log(9), math.log(9), 0], abs=1e-5)


def test_a_temperature_divides_log_odds_class_by_class() -> None:
    probabilities = np.full((2, 1, 2), 0.9, np.float32)
    evidence = evidence_of(np.zeros((2, 1, 2), bool), probabilities, task="multilabel").at((2.0, 1.0))
    assert evidence.odds[:, 0, 0].tolist() == pytest.approx([math.log(9) / 2, math.log(9)], abs=1e-5)


def test_the_grid_is_cut_out_around_what_is_shown_and_reduced() -> None:
    label = np.zeros((1, 400, 300), bool)
    label[0, 100:140, 50:60] = True
    evidence = evidence_of(label, np.zeros((1, 400, 300), np.float32), task="binary", longest=20)
    assert (evidence.start, evidence.step) == ((80, 45), 4)  # half of 40 and of 10 pixels beyond, 80 in all
    assert evidence.masks.shape == (1, 20, 5)
    assert (
        np.count_nonzero(evidence.masks) == 10 * 3
    )  # rows 5 to 14 of blocks of four; the blocks 1 to 3 are half inside


@given(side=st.integers(1, 9), step=st.integers(1, 4), seed=st.integers(0, 3))
def test_block_means_are_the_means_of_blocks(side: int, step: int, seed: int) -> None:
    maps = np.random.default_rng(seed).random((1, side, 5)).astype(np.float32)
    means = block_means(maps, step)
    for i in range(means.shape[1]):
        for j in range(means.shape[2]):
            block = maps[0, i * step : (i + 1) * step, j * step : (j + 1) * step]
            assert means[0, i, j] == pytest.approx(block.mean(), abs=1e-6)
