"""Histograms for a page: bars add up and stand where the numbers are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.report.histogram import BOTTOM, LEFT, RIGHT, TOP, histogram, round_up


def test_bars_and_median_stand_where_the_values_are():
    chart = histogram([0.0, 0.5, 0.52, 1.0], title="t", label="Dice", most=1.0)
    width = (RIGHT - LEFT) / 20
    assert [bar.text for bar in chart.bars] == ["0 to 0.05: 1 case", "0.5 to 0.55: 2 cases", "0.95 to 1: 1 case"]
    assert chart.bars[1].x == pytest.approx(LEFT + 10 * width + 0.75)
    assert chart.bars[1].y == TOP  # the highest fills the height
    assert chart.bars[0].height == (BOTTOM - TOP) / 2
    assert chart.median.at == pytest.approx(LEFT + 0.51 * (RIGHT - LEFT))
    assert [tick.text for tick in chart.x_ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert "4 cases, median 0.51" in chart.summary


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=50))
def test_every_value_is_in_a_bar_and_everything_in_the_frame(values):
    chart = histogram(values, title="t", label="mm")
    assert sum(int(bar.text.split(": ")[1].split()[0]) for bar in chart.bars) == len(values)
    for bar in chart.bars:
        assert LEFT <= bar.x <= bar.x + bar.width <= RIGHT
        assert TOP - 0.01 <= bar.y <= BOTTOM
    assert LEFT <= chart.median.at <= RIGHT


@given(st.floats(1e-6, 1e9))
def test_round_up_is_next_and_round(value):
    end = round_up(value)
    assert value * (1 - 1e-6) <= end <= value * 2.5 * (1 + 1e-6)
    assert float(f"{end / 10 ** np.floor(np.log10(end) + 1e-9):.3f}") in {1, 2, 2.5, 5, 10}
