"""The risk-coverage curve as it is drawn: by hand, with the share of the cases that are not flagged."""

import pytest

from medseg_monai.figures.trust import risk_coverage_plot


def test_each_score_has_its_curve_and_area_and_the_flagged_are_cut_off() -> None:
    dice = [0.9, 0.5, 0.7, 0.9]
    figure = risk_coverage_plot({"good": dice, "bad": [-value for value in dice]}, dice, passed=0.75)
    (axes,) = figure.axes
    good, bad, line = axes.get_lines()
    assert good.get_xdata().tolist() == bad.get_xdata().tolist() == [0.25, 0.5, 0.75, 1.0]
    assert good.get_ydata().tolist() == pytest.approx([0.1, 0.1, 0.5 / 3, 0.25])
    assert bad.get_ydata().tolist() == pytest.approx([0.5, 0.4, 0.3, 0.25])
    assert list(line.get_xdata()) == [0.75, 0.75]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["good (AURC 0.1542)", "bad (AURC 0.3625)"]
    assert good.get_linestyle() != bad.get_linestyle(), "they are told apart without colours"
