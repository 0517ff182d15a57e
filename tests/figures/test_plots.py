"""Plots of numbers: that what is drawn is what came."""

import numpy as np

from medseg_monai.evaluation.confusion import Overlap
from medseg_monai.figures.plots import class_overlap, compare_scores, score_distribution, training_curves


def test_training_curves_mark_the_best_epoch():
    scores = {"Dice": [(1, 0.5), (2, 0.83), (3, 0.7)], "Jaccard": []}
    figure = training_curves({"training": [(1, 2.0), (2, 1.0)]}, scores)
    left, right = figure.axes
    assert left.lines[0].get_xydata().tolist() == [[1, 2], [2, 1]]
    assert right.lines[1].get_xydata().tolist() == [[2, 0.83]]
    assert [text.get_text() for text in right.texts] == ["0.830"]
    assert all(axes.get_legend()._get_loc() != 0 for axes in (left, right))  # 0 is matplotlib's slow search


def test_comparison_puts_the_first_on_top_with_its_mean_and_interval():
    values = [np.array([0.8, 1.0]), np.array([0.2, 0.4])]
    figure = compare_scores(["a", "b"], values, intervals=[(0.85, 0.95), (0.25, 0.35)], label="Dice")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert axes.yaxis_inverted()
    assert [text.get_text() for text in axes.texts] == ["0.900", "0.300"]
    assert axes.lines[1].get_xdata().tolist() == [0.85, 0.95]


def test_curves_differ_in_black_and_white_and_epochs_are_whole():
    curve = [(1, 0.1), (2, 0.2)]
    _, right = training_curves({}, {"a": curve, "b": curve}).axes
    assert [line.get_linestyle() for line in right.lines[::2]] == ["-", "--"]
    assert all(tick == int(tick) for tick in right.get_xticks())


def test_distribution_shows_every_case_and_crosses_what_failed():
    values = {"liver": [0.0, 0.6, 0.8, 1.0], "spleen": [0.5, 0.5]}
    figure = score_distribution(values, label="Dice", failed={"liver": [True, False, False, False]})
    (axes,) = figure.axes
    assert axes.lines[0].get_xdata().tolist() == [0.6, 0.8, 1.0]
    assert axes.lines[1].get_xdata().tolist() == [0.0]
    assert axes.lines[1].get_marker() == "x"
    assert [text.get_text() for text in axes.texts] == ["median 0.700", "median 0.500"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["liver\n4 cases", "spleen\n2 cases"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["missed or spurious"]


def test_distribution_without_failures_has_no_key():
    assert not score_distribution({"liver": [0.5, 0.9]}, label="Dice").legends


def test_overlap_shows_shares_of_the_truth_and_a_dash_where_there_is_none():
    overlap = Overlap(("a", "b"), np.array([10, 0, 4]), np.array([[8, 1, 2], [0, 0, 0], [4, 0, 0]]))
    axes, bar = class_overlap(overlap).axes
    assert [text.get_text() for text in axes.texts] == ["0.80", "0.10", "0.20", "–", "–", "–", "1.00", "0.00", "–"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "nothing\n(spurious)"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "truth")
    assert bar.get_ylabel() == "share of the true class's pixels"
