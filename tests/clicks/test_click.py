"""What a person may say of a mask, and what is refused in one line."""

import pytest

from medseg_monai.clicks.click import Box, Click, class_number, said_of_classes


def test_an_index_is_that_of_the_mask():
    """Masks are (H, W) and (I, J, K); rows run along the second axis of a volume."""
    assert Click(2, 5).index((4, 6)) == (2, 5)
    assert Click(2, 5, slice=1).index((6, 4, 3)) == (5, 2, 1)


@pytest.mark.parametrize(("row", "column"), [(4, 0), (-1, 0), (0, 6), (0, -1)])
def test_a_click_outside_says_how_large_the_image_is(row: int, column: int):
    with pytest.raises(ValueError, match=rf"row {row}, column {column}: outside the image, which has 4 rows and 6 col"):
        Click(row, column).index((4, 6))


def test_a_click_outside_a_volume():
    with pytest.raises(ValueError, match="slice 3: outside the image, which has 4 rows, 6 columns and 3 slices"):
        Click(0, 0, slice=3).index((6, 4, 3))


@pytest.mark.parametrize("value", [float("nan"), 1.5, float("inf"), "1", None, True])
def test_only_whole_numbers_are_pixels(value: object):
    for make in (lambda: Click(value, 0), lambda: Click(0, value), lambda: Box((0, value), (1, 1))):
        with pytest.raises(ValueError, match="must be a whole number, got"):
            make()


def test_a_slice_is_for_volumes_alone():
    with pytest.raises(ValueError, match="a photograph has no slices"):
        Click(0, 0, slice=0).index((4, 6))
    with pytest.raises(ValueError, match="in a volume a click needs a slice"):
        Click(0, 0).index((4, 6, 3))


def test_corners_of_a_box():
    assert Box((1, 2), (3, 4)).corners((5, 6)) == ((1, 2), (3, 4))
    assert Box((1, 2, 0), (3, 4, 1)).corners((6, 5, 2)) == ((2, 1, 0), (4, 3, 1))
    with pytest.raises(ValueError, match="first corner must not lie behind"):
        Box((3, 2), (1, 4))
    with pytest.raises(ValueError, match="box, click at row 3, column 6: outside"):
        Box((1, 2), (3, 6)).corners((5, 6))
    with pytest.raises(ValueError, match="two corners of 2 or 3 numbers"):
        Box((1, 2), (3, 4, 5))


def test_a_class_is_named_where_there_are_several():
    assert class_number(None, ["a"], "box") == 0
    assert class_number("b", ["a", "b"], "box") == 1
    with pytest.raises(ValueError, match="box: say which class is meant: a, b"):
        class_number(None, ["a", "b"], "box")
    with pytest.raises(ValueError, match="no class 'liver1' .did you mean 'liver'"):
        class_number("liver1", ["liver", "spleen"], "box")


def test_exclusive_classes_hear_of_each_others_clicks():
    clicks = [Click(0, 1, class_name="b"), Click(1, 1, inside=False), Click(2, 2, inside=False, class_name="a")]
    said = said_of_classes(clicks, (3, 3), ["a", "b"], exclusive=True)
    assert said == {0: {(0, 1): False, (1, 1): False, (2, 2): False}, 1: {(0, 1): True, (1, 1): False}}


def test_overlapping_classes_do_not():
    clicks = [Click(0, 1, class_name="b"), Click(0, 1, class_name="a", inside=False)]
    assert said_of_classes(clicks, (3, 3), ["a", "b"], exclusive=False) == {0: {(0, 1): False}, 1: {(0, 1): True}}
    with pytest.raises(ValueError, match="say which class is meant"):
        said_of_classes([Click(1, 1, inside=False)], (3, 3), ["a", "b"], exclusive=False)


@pytest.mark.parametrize("second", [Click(1, 1, inside=False), Click(1, 1, class_name="b")])
def test_two_clicks_that_contradict_each_other_are_refused(second: Click):
    with pytest.raises(ValueError, match="row 1, column 1: another click says the opposite of the same pixel"):
        said_of_classes([Click(1, 1, class_name="a"), second], (3, 3), ["a", "b"], exclusive=True)


@pytest.mark.parametrize(("index", "shape"), [((2, 5), (4, 6)), ((5, 2, 1), (6, 4, 3))])
def test_a_click_at_an_index_has_that_index(index: tuple[int, ...], shape: tuple[int, ...]):
    click = Click.at(index, inside=False, class_name="a")
    assert (click.index(shape), click.row, click.column) == (index, 2, 5)
    assert (click.inside, click.class_name) == (False, "a")
