"""Run-length encoding: by hand, against a naive decoder, there and back; and the competition's own rows."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medseg_monai.images.rle import decode_rle, encode_rle

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12))


def naive(text: str, size: tuple[int, int]) -> np.ndarray:
    """Pixel by pixel, as the competition's page describes it."""
    width, height = size
    mask = np.zeros((width, height), bool)
    numbers = [int(word) for word in text.split()]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        for pixel in range(start - 1, start - 1 + length):
            mask[pixel % width, pixel // width] = True
    return mask


def test_by_hand():
    drawn = np.array(
        [[1, 1, 0, 0, 1],
         [1, 0, 0, 0, 0],
         [0, 0, 1, 1, 1]], bool)  # fmt: skip
    # pixel 5 ends the first row and pixel 6 begins the second: one run
    assert encode_rle(drawn.T) == "1 2 5 2 13 3"
    np.testing.assert_array_equal(decode_rle("1 2 5 2 13 3", (5, 3)).T, drawn)


@pytest.mark.parametrize(("mask", "text"), [(np.zeros((3, 2)), ""), (np.ones((3, 2)), "1 6")])
def test_empty_and_full(mask, text):
    assert encode_rle(mask) == text
    np.testing.assert_array_equal(decode_rle(text, (3, 2)), mask)


@given(MASKS)
def test_there_and_back(mask):
    text = encode_rle(mask)
    decoded = decode_rle(text, mask.shape)
    assert decoded.dtype == bool
    np.testing.assert_array_equal(decoded, mask)
    np.testing.assert_array_equal(naive(text, mask.shape), mask)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=10))
def test_touching_runs_are_one_area(steps):
    """Gaps of 0 between runs are allowed: what is decoded is the union."""
    runs, start = [], 1
    for length in steps:
        runs += [start, length]
        start += length + (length > 3)
    text, size = " ".join(map(str, runs)), (10, 6)
    np.testing.assert_array_equal(decode_rle(text, size), naive(text, size))


@pytest.mark.parametrize("value", [1, 255, 0.5])
def test_any_number_but_zero_is_inside(value):
    assert encode_rle(np.array([[0, value], [value, 0]])) == "2 2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 5", "runs must be pairs of start and length, got 3 numbers"),
        ("1 2 x 4", "whole numbers, got 'x'"),
        ("1 2.5", "whole numbers, got '2.5'"),
        ("1 99999999999999999999", "whole numbers, got '9999"),
        ("-3 2", "the run '-3 2' exceeds the picture of 12 pixels"),
        ("0 2", "the run '0 2' exceeds the picture"),
        ("1 2 12 2", "the run '12 2' exceeds the picture"),
        ("13 1", "the run '13 1' exceeds the picture"),
        ("1 1 12 1 13 1 14 1", "the run '13 1' exceeds the picture"),  # the first that does
        ("1 2 0 3 -1 2", "the run '0 3' exceeds the picture"),
        ("1 3 2 3 4 3", "overlap or are out of order: '1 3' and '2 3'"),
        ("9000000000000000000 9000000000000000000", "exceeds the picture"),
        ("1 0", "at least one pixel, got the length 0"),
        ("5 -2", "at least one pixel, got the length -2"),
        ("1 3 3 2", "overlap or are out of order: '1 3' and '3 2'"),
        ("5 2 1 2", "overlap or are out of order: '5 2' and '1 2'"),
    ],
)
def test_what_is_wrong_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        decode_rle(text, (4, 3))


def test_a_mask_has_two_axes():
    with pytest.raises(ValueError, match=r"shape \(1, 2, 2\)"):
        encode_rle(np.zeros((1, 2, 2)))


def test_the_competitions_rows_come_back_to_the_letter(shared_data):
    folder = shared_data / "uw-madison-originals"
    with (folder / "slice_paths_and_sizes.csv").open() as stream:
        sizes = {row["id"]: (int(row["width"]), int(row["height"])) for row in csv.DictReader(stream)}
    with (folder / "train_rle_subset.csv").open() as stream:
        rows = [(row["segmentation"], sizes[row["id"]]) for row in csv.DictReader(stream)]
    assert len(rows) == 4032
    for text, size in rows:
        mask = decode_rle(text, size)
        again = encode_rle(mask)
        assert again == text
        np.testing.assert_array_equal(decode_rle(again, size), mask)
    for text, size in rows[::97]:
        np.testing.assert_array_equal(decode_rle(text, size), naive(text, size))
