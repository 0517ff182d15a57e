"""Clicks and boxes as text."""

import pytest

from medseg_monai.clicks.click import Box, Click
from medseg_monai.clicks.text import parse_box, parse_click


def test_clicks():
    assert parse_click("120,340", inside=False) == Click(120, 340, inside=False)
    assert parse_click("left: lung:1, 2,3", inside=True) == Click(1, 2, slice=3, class_name="left: lung")


def test_boxes():
    assert parse_box("spleen:1,2,3,4,5,6") == Box((1, 2, 3), (4, 5, 6), class_name="spleen")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1", "click '1': expected ROW,COLUMN"),
        ("1,2,3,4", "click '1,2,3,4': expected ROW,COLUMN"),
        ("1,nan", "'1,nan': expected whole numbers, separated by commas"),
        ("1.5,2", "'1.5,2': expected whole numbers"),
        ("", "'': expected whole numbers"),
        ("spleen:", "'spleen:': expected whole numbers"),
    ],
)
def test_what_is_no_click(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        parse_click(text, inside=True)


def test_what_is_no_box():
    with pytest.raises(ValueError, match="box '1,2,3': expected the first and the last pixel"):
        parse_box("1,2,3")
    with pytest.raises(ValueError, match="first corner must not lie behind"):
        parse_box("3,3,1,4")
