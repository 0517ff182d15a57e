"""Numbers in a file to labels by a table: numbers below 0, large ones, ignored ones; what a message names."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medseg_monai.dataset.label_values import IGNORED
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.label_codes import codes_text, labels_by_value

TABLE = {"a": -1000, "b": [7, 300]}
MEANING = {-1000: 1, 7: 2, 300: 2, -5: IGNORED, 0: 0}


def read(codes: np.ndarray, task: str) -> np.ndarray:
    spec = DatasetSpec("d", task, classes=("a", "b"), channels=("grey",), size=(8, 8), label_values=TABLE, ignore=-5)  # type: ignore[arg-type]
    assert spec.label_values is not None
    return labels_by_value(codes, spec.label_values, spec, "f.nii")


@given(arrays(np.int16, (3, 4, 2), elements=st.sampled_from(list(MEANING))))
def test_each_number_becomes_what_the_table_says(codes: np.ndarray) -> None:
    expected = np.vectorize(MEANING.get)(codes)
    np.testing.assert_array_equal(read(codes, "multiclass"), [expected])
    each = [np.where(expected == IGNORED, IGNORED, expected == number) for number in (1, 2)]
    np.testing.assert_array_equal(read(codes, "multilabel"), each)


@pytest.mark.parametrize("dtype", [np.int16, np.int64])
def test_numbers_beyond_the_table_are_named(dtype: Any) -> None:
    codes = np.array([[0, 7], [301, -1001]], dtype)
    message = r"f\.nii: contains values that belong to no class: -1001, 301 \(known: 0 background, -1000 a, 7 b, 300 b, -5 ignored"
    with pytest.raises(ValueError, match=message):
        read(codes, "multiclass")


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int8, np.uint16])
def test_a_file_whose_type_is_too_small_for_some_values_is_read(dtype: Any) -> None:
    """One 8-bit file among 16-bit ones: the classes whose numbers it cannot hold are not in it."""
    np.testing.assert_array_equal(read(np.zeros((2, 3), dtype), "multiclass"), np.zeros((1, 2, 3)))
    if dtype is not np.bool_:
        np.testing.assert_array_equal(read(np.array([[0, 7]], dtype), "multiclass"), [[[0, 2]]])
        with pytest.raises(ValueError, match="belong to no class: 9 "):
            read(np.array([[9, 7]], dtype), "multiclass")


@pytest.mark.parametrize(
    ("count", "text"), [(5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4, 5"), (7, "0, 1, 2, 3, 4, 5 and 1 more")]
)
def test_a_message_names_six(count: int, text: str) -> None:
    assert codes_text(range(count), colours=False) == text
