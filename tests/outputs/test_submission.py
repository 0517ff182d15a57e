"""The submission table: rows, and back to the masks."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medseg_monai.outputs.submission import read_submission, submission_rows, submitted_mask, write_submission

CLASSES = ("large_bowel", "small_bowel", "stomach")


def test_a_row_for_each_slice_and_class_empty_ones_too(tmp_path):
    masks = np.zeros((3, 4, 2), np.uint8)  # 4 wide, 2 high
    masks[0, 1:3, 0] = 255
    masks[2, :, 1] = 1
    rows = submission_rows("case1_day2_slice_0003", masks, CLASSES)
    file = write_submission(tmp_path / "new" / "submission.csv", rows)
    assert file.read_text() == (
        "id,class,predicted\n"
        "case1_day2_slice_0003,large_bowel,2 2\n"
        "case1_day2_slice_0003,small_bowel,\n"
        "case1_day2_slice_0003,stomach,5 4\n"
    )


@given(st.lists(arrays(bool, (3, 5, 4)), min_size=1, max_size=4))
def test_back_to_the_same_masks(tmp_path_factory, masks):
    file = tmp_path_factory.mktemp("table") / "submission.csv"
    write_submission(
        file, [row for number, mask in enumerate(masks) for row in submission_rows(f"s{number}", mask, CLASSES)]
    )
    rows = read_submission(file)
    assert len(rows) == 3 * len(masks)
    for number, mask in enumerate(masks):
        np.testing.assert_array_equal(submitted_mask(rows, f"s{number}", CLASSES, (5, 4)), mask)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([["id", "class", "segmentation"]], "its first line is not id,class,predicted"),
        ([["id", "class", "predicted"], ["a", "b"]], "line 2 has 2 columns, not 3"),
        ([["id", "class", "predicted"], ["a", "b", ""], ["a", "b", "1 1"]], "line 3: a second row for a, b"),
    ],
)
def test_a_table_of_another_kind(tmp_path, lines, message):
    file = tmp_path / "submission.csv"
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(lines)
    with pytest.raises(ValueError, match=message):
        read_submission(file)
