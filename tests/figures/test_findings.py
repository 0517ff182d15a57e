"""Findings, drawn: what stands where."""

import numpy as np
import pytest

from medseg_monai.figures.findings import (
    ALARM,
    MOST_LABELS,
    before_and_after,
    doubtful_labels,
    predicted_against_true,
    within_limits,
)


def test_scores_before_and_after_are_joined_class_by_class() -> None:
    axes = before_and_after({"a": 0.5, "b": 0.7}, {"b": 0.8, "a": 0.6}, label="dice").axes[0]
    assert [list(line.get_xdata()) for line in axes.lines[:2]] == [[0.5, 0.6], [0.7, 0.8]]
    assert list(axes.lines[3].get_xdata()) == [0.6, 0.8], "after, in the order of before"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_flagged_cases_have_a_mark_of_their_own() -> None:
    figure = predicted_against_true([0.9, 0.4, 0.8], [0.95, 0.3, 0.6], failure=0.7, flagged=[False, True, False])
    others, flagged = figure.axes[0].lines[2:]
    assert (list(others.get_xdata()), list(others.get_ydata())) == ([0.9, 0.8], [0.95, 0.6])
    assert (list(flagged.get_xdata()), list(flagged.get_ydata())) == ([0.4], [0.3])
    assert others.get_marker() != flagged.get_marker()
    assert list(figure.axes[0].lines[1].get_ydata()) == [0.7, 0.7]


def test_labels_are_listed_from_the_limit_on() -> None:
    figure = doubtful_labels([5.0, 3.0, 2.9, 0.0], ["shifted", "missing", "shifted", ""], listed_from=3)
    rest, *listed, limit = figure.axes[0].lines
    assert list(rest.get_xdata()) == [3, 4]
    assert {line.get_label(): list(line.get_xdata()) for line in listed} == {"shifted": [1], "missing": [2]}
    assert list(limit.get_ydata()) == [3, 3]


def test_the_tail_of_many_labels_is_not_drawn() -> None:
    evidence = np.linspace(1, 0, MOST_LABELS + 50).tolist()
    axes = doubtful_labels(evidence, [""] * len(evidence), listed_from=3).axes[0]
    assert len(axes.lines[0].get_xdata()) == MOST_LABELS


def test_what_is_beyond_its_limit_is_in_the_colour_of_alarms() -> None:
    axes = within_limits({"logits": (1e-5, 1e-3), "masks": (0.5, 1e-3), "equal": (0.0, 1e-3)}).axes[0]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([1e-5, 0.5, 1e-9])
    from matplotlib.colors import to_hex

    assert [to_hex(bar.get_facecolor()) == ALARM.lower() for bar in axes.patches] == [False, True, False]
