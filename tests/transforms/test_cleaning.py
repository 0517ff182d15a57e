"""Clean masks against drawings, SciPy's labelling and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_fill_holes, label

from medseg_monai.transforms.cleaning import (
    PLAIN,
    Cleaning,
    choose_cleaning,
    clean,
    clean_labels,
    component_sizes,
    drop_isolated_slices,
)

planes = arrays(np.float32, (2, 7, 6), elements=st.floats(0, 1, width=32))
exclusive = arrays(np.float32, (3, 6, 6), elements=st.floats(0, 1, width=32))
settings = st.builds(
    Cleaning,
    threshold=st.sampled_from([(), (0.3,), (0.3, 0.7)]),
    min_size=st.sampled_from([(0,), (3,), (2, 6)]),
    largest=st.sampled_from([(False,), (True,), (False, True)]),
    fill_holes=st.sampled_from([(False,), (True,), (True, False)]),
)
SPECKS = """
##.....
##..#..
.....#.
#......
"""
RINGS = """
#####..
#...#..
#.#.#.#
#...#..
#####..
"""


def grid(text):
    """A bool mask from a drawing whose lines are the first axis."""
    return np.array([[sign == "#" for sign in line] for line in text.split()])


def cleaned(text, **setting):
    """The drawing's one class, cleaned."""
    return clean(grid(text)[None].astype(float), Cleaning(**setting), "binary")[0].astype(bool)


def test_components_are_counted_by_pixels_that_touch_at_corners():
    assert component_sizes(grid(SPECKS)).tolist() == [4, 2, 1]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({}, SPECKS),
        ({"min_size": 2}, "##..... ##..#.. .....#. ......."),
        ({"min_size": 3}, "##..... ##..... ....... ......."),
        ({"min_size": 5}, "....... ....... ....... ......."),
        ({"largest": True}, "##..... ##..... ....... ......."),
        ({"largest": True, "min_size": 5}, "....... ....... ....... ......."),
    ],
)
def test_small_components_by_hand(setting, expected):
    assert np.array_equal(cleaned(SPECKS, **setting), grid(expected))


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"fill_holes": True}, "#####.. #####.. #####.# #####.. #####.."),
        ({"fill_holes": True, "min_size": 2}, "#####.. #####.. #####.. #####.. #####.."),
        ({"min_size": 2}, "#####.. #...#.. #...#.. #...#.. #####.."),
    ],
)
def test_holes_by_hand(setting, expected):
    assert np.array_equal(cleaned(RINGS, **setting), grid(expected))


def test_a_hole_that_opens_at_a_corner_is_one_and_one_that_opens_at_a_face_is_none():
    assert cleaned("### #.# ##.", fill_holes=True)[1, 1]
    assert not cleaned("### #.. ###", fill_holes=True)[1, 1]


def test_of_two_equal_components_the_first_is_kept():
    assert np.array_equal(cleaned("##.## ..... ##...", largest=True), grid("##... ..... ....."))


def test_volumes_have_26_neighbours_and_sizes_in_mm3():
    volume = np.zeros((1, 4, 4, 4))
    volume[0, 0, 0, 0] = volume[0, 1, 1, 1] = 1  # touch by a corner: 2 voxels
    volume[0, 3, 3, 3] = 1
    assert clean(volume, Cleaning(min_size=2), "binary").sum() == 2
    assert clean(volume, Cleaning(min_size=3), "binary", voxel_volume=1.5).sum() == 2
    assert clean(volume, Cleaning(min_size=3.1), "binary", voxel_volume=1.5).sum() == 0
    shell = np.ones((1, 3, 3, 3))
    shell[0, 1, 1, 1] = 0
    assert clean(shell, Cleaning(fill_holes=True), "binary").all()


def test_thresholds_by_class_and_task():
    probabilities = np.array([0.45, 0.55, 0.65])[:, None, None]
    assert clean(probabilities, PLAIN, "multilabel").ravel().tolist() == [0, 1, 1]
    assert clean(probabilities, Cleaning((0.4, 0.6, 0.6)), "multilabel").ravel().tolist() == [1, 0, 1]
    assert clean(probabilities, PLAIN, "multiclass").ravel().tolist() == [2]
    assert clean(probabilities, Cleaning((0.5, 0.7)), "multiclass").ravel().tolist() == [1]
    assert clean(probabilities, Cleaning((0.6, 0.7)), "multiclass").ravel().tolist() == [0]
    assert clean(np.full((1, 1, 1), 0.5), PLAIN, "binary").ravel().tolist() == [0]


def test_the_threshold_itself_is_background_for_each_task():
    probabilities = np.array([0.25, 0.5, 0.25])[:, None, None]
    assert clean(probabilities, Cleaning(0.25), "multilabel").ravel().tolist() == [0, 1, 0]
    assert clean(probabilities, Cleaning(0.5), "multiclass").ravel().tolist() == [0]
    assert clean(probabilities, Cleaning(0.49), "multiclass").ravel().tolist() == [1]


def test_a_single_pixel_is_the_largest_component_if_there_is_no_larger():
    assert np.array_equal(cleaned("#.. ...", largest=True), grid("#.. ..."))
    assert np.array_equal(cleaned("#.. ...", min_size=1), grid("#.. ..."))
    assert not cleaned("... ...", largest=True).any()


@pytest.mark.parametrize("likeliest", [1, 2])
def test_a_hole_in_nested_classes_goes_to_the_likeliest_of_them(likeliest):
    labels = np.full((5, 5), 2)
    labels[1:4, 1:4], labels[2, 2] = 1, 0
    probabilities = np.eye(3)[labels].transpose(2, 0, 1)
    probabilities[:, 2, 2] = 0.5, 0.2, 0.2
    probabilities[likeliest, 2, 2] = 0.3
    filled = clean(probabilities, Cleaning(fill_holes=True), "multiclass")[0]
    assert filled[2, 2] == likeliest
    assert np.array_equal(filled.ravel()[labels.ravel() > 0], labels[labels > 0])


def test_a_speck_of_one_organ_inside_another_becomes_the_other():
    probabilities = np.zeros((3, 1, 6))  # background, liver, vessel
    probabilities[0] = 0.3
    probabilities[1, 0, :5] = 0.6
    probabilities[2, 0, 2] = 0.9
    probabilities[2, 0, 5] = 0.4  # at the border: background is likelier than liver
    assert clean(probabilities, PLAIN, "multiclass").ravel().tolist() == [1, 1, 2, 1, 1, 2]
    assert clean(probabilities, Cleaning(min_size=2), "multiclass").ravel().tolist() == [1, 1, 1, 1, 1, 0]
    labels = clean(probabilities, PLAIN, "multiclass")
    assert clean_labels(labels, Cleaning(min_size=2), "multiclass", classes=2).ravel().tolist() == [1, 1, 0, 1, 1, 0]


def test_a_hole_is_not_filled_over_another_class():
    labels = np.ones((5, 5), int)
    labels[1:4, 1:4] = 0
    labels[2, 2] = 2
    probabilities = np.eye(3)[labels].transpose(2, 0, 1)
    filled = clean(probabilities, Cleaning(fill_holes=True), "multiclass")[0]
    assert (filled == 1).sum() == 24
    assert filled[2, 2] == 2
    assert np.array_equal(filled, clean_labels(labels[None], Cleaning(fill_holes=True), "multiclass", classes=2)[0])


@given(planes, settings)
def test_cleaning_a_clean_mask_changes_nothing(probabilities, setting):
    once = clean(probabilities, setting, "multilabel")
    again = clean_labels(once, setting, "multilabel", classes=2)
    assert np.array_equal(again, once)


@given(planes, settings)
def test_classes_are_independent(probabilities, setting):
    together = clean(probabilities, setting, "multilabel")
    for number in range(2):
        alone = clean(probabilities[number : number + 1], setting.for_class(number, 2), "binary")
        assert np.array_equal(together[number : number + 1], alone)


@given(planes, settings)
def test_only_hole_filling_adds_pixels_and_only_in_holes(probabilities, setting):
    after = clean(probabilities, setting, "multilabel").astype(bool)
    before = clean(probabilities, Cleaning(setting.threshold), "multilabel").astype(bool)
    for number in range(2):
        allowed = before[number]
        if setting.for_class(number, 2).fill_holes[0]:
            allowed = binary_fill_holes(allowed)
        assert not (after[number] & ~allowed).any()


@given(planes, st.integers(1, 12))
def test_no_component_is_smaller_than_the_minimum(probabilities, least):
    before, after = (clean(probabilities, c, "multilabel") for c in (PLAIN, Cleaning(min_size=least)))
    for plain, mask in zip(before, after, strict=True):
        numbers, count = label(plain, np.ones((3, 3)))
        expected = sum((numbers == n) for n in range(1, count + 1) if (numbers == n).sum() >= least)
        assert np.array_equal(mask, np.zeros_like(mask) + expected)


@given(exclusive, st.integers(0, 8), st.booleans(), st.booleans())
def test_multiclass_components_are_large_enough_and_the_foreground_never_grows(probabilities, least, largest, holes):
    plain = clean(probabilities, PLAIN, "multiclass")[0]
    assert np.array_equal(plain, probabilities.argmax(axis=0))
    setting = Cleaning(min_size=least, largest=largest)
    after = clean(probabilities, setting, "multiclass")[0]
    assert not ((after > 0) & (plain == 0)).any()
    for number in (1, 2):
        sizes = component_sizes(after == number)
        assert (sizes >= least).all()
        assert len(sizes) <= 1 or not largest
    filled = clean(probabilities, Cleaning(min_size=least, largest=largest, fill_holes=holes), "multiclass")[0]
    assert np.array_equal(filled[after > 0], after[after > 0])


@given(exclusive, st.integers(0, 8), st.booleans())
def test_cleaning_clean_multiclass_labels_changes_nothing(probabilities, least, largest):
    setting = Cleaning(min_size=least, largest=largest)
    once = clean(probabilities, setting, "multiclass")
    assert np.array_equal(clean_labels(once, setting, "multiclass", classes=2), once)


def test_an_organ_in_one_slice_only_is_dropped_from_the_scan():
    # slices x classes; the second class is not asked for
    there = np.array([[1, 1], [0, 0], [1, 1], [1, 0], [0, 0], [1, 0]])
    masks = there[:, :, None, None] * np.ones((1, 1, 2, 2))
    kept = drop_isolated_slices(masks, Cleaning(drop_isolated=(True, False)))
    assert kept.any(axis=(2, 3))[:, 0].tolist() == [False, False, True, True, False, False]
    assert np.array_equal(kept[:, 1], masks[:, 1])
    assert np.array_equal(drop_isolated_slices(masks, PLAIN), masks)


def test_a_slice_whose_neighbour_is_missing_keeps_its_organ():
    masks = np.array([0, 1, 0, 0, 1, 0])[:, None, None, None]
    drop = Cleaning(drop_isolated=True)
    assert drop_isolated_slices(masks, drop, [1, 2, 3, 7, 8, 9]).ravel().tolist() == [0, 0, 0, 0, 0, 0]
    assert drop_isolated_slices(masks, drop, [1, 2, 4, 5, 6, 7]).ravel().tolist() == [0, 1, 0, 0, 0, 0]
    assert drop_isolated_slices(masks[1:2], drop).ravel().tolist() == [1]
    assert drop_isolated_slices(masks[:2], drop).ravel().tolist() == [0, 0]
    assert drop_isolated_slices(masks[:2], drop, [4, 6]).ravel().tolist() == [0, 1]


def test_settings_go_to_json_and_back():
    setting = Cleaning(threshold=(0.4, 0.6), min_size=(10, 0), largest=True)
    assert Cleaning.from_dict(setting.to_dict()) == setting
    assert setting.for_class(1, 2) == Cleaning(threshold=0.6, min_size=0, largest=True)
    assert Cleaning.from_dict({"min_size": 5}) == Cleaning(min_size=(5,))
    assert Cleaning.from_dict({"threshold": 0, "min_size": 0}) == Cleaning(threshold=(0,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"threshold": 128}, r"threshold is \[128\]; expected numbers in \[0, 1\)"),
        ({"threshold": 1}, r"threshold is \[1\]; expected numbers in \[0, 1\)"),
        ({"threshold": [0.5, -0.01]}, "threshold is "),
        ({"min_size": -1}, "min_size is "),
        ({"min_size": True}, "min_size is "),
        ({"min_size": []}, "min_size is "),
        ({"largest": []}, "largest is "),
        ({"min_size": "big"}, "min_size is "),
        ({"largest": "yes"}, "true or false"),
        ({"fill_hole": True}, "did you mean 'fill_holes'"),
        ([1], "a mapping of settings"),
    ],
)
def test_wrong_settings_are_named(content, message):
    with pytest.raises(ValueError, match=message):
        Cleaning.from_dict(content)


def test_settings_for_another_number_of_classes():
    with pytest.raises(ValueError, match="min_size has 3 values for 2 classes"):
        clean(np.zeros((2, 3, 3)), Cleaning(min_size=(1, 2, 3)), "multilabel")


def test_what_the_user_says_wins():
    tuned = Cleaning(threshold=0.4, min_size=50)
    assert choose_cleaning(None) == PLAIN
    assert choose_cleaning(tuned) == tuned
    assert choose_cleaning(tuned, {}, threshold=0.3) == Cleaning(threshold=0.3, min_size=50)
    assert choose_cleaning(tuned, {"largest": True}) == Cleaning(threshold=0.4, min_size=50, largest=True)
    for off in (False, "off"):
        assert choose_cleaning(tuned, off) == PLAIN
        assert choose_cleaning(tuned, off, threshold=0.3) == Cleaning(threshold=0.3)
    with pytest.raises(ValueError, match="or off, got 7"):
        choose_cleaning(tuned, 7)
