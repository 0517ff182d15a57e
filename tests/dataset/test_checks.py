"""Values of a data set's description: lists become tuples, and a mistake is named by its key."""

import pytest

from medseg_monai.dataset.checks import as_names, as_numbers, check_one_of


def test_lists_become_tuples():
    assert as_numbers("size", [4, 2.5]) == (4, 2.5)
    assert as_names("classes", ["a", "b c"]) == ("a", "b c")


@pytest.mark.parametrize("value", ["12", 12, [], None, ["1"], [True], [float("nan")], [float("inf")], [-float("inf")]])
def test_what_are_not_finite_numbers_is_refused(value: object):
    with pytest.raises(ValueError, match="size: expected"):
        as_numbers("size", value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("lesion", "expected a list of names, got 'lesion'"),
        ([], "expected a list of names"),
        (["a", " "], "a text that is not empty"),
        (["a", 3], "a text that is not empty"),
        (["a", "b", "a"], "only once, got a, b, a"),
    ],
)
def test_what_are_not_names_is_refused(value: object, message: str):
    with pytest.raises(ValueError, match=f"classes: .*{message}"):
        as_names("classes", value)


def test_the_nearest_allowed_value_is_named():
    check_one_of("task", "binary", ("binary", "multiclass"))
    with pytest.raises(ValueError, match=r"task: got 'binry' .did you mean 'binary'\?"):
        check_one_of("task", "binry", ("binary", "multiclass"))
