"""Reading dataclasses back from JSON: what is no mapping, unknown or missing is named."""

from dataclasses import dataclass
from typing import Any

import pytest

from medseg_monai.quality.stored import from_json


@dataclass(frozen=True)
class Pair:
    first: int
    second: int = 2


def test_fields_that_have_a_default_may_be_missing() -> None:
    assert from_json(Pair, {"first": 1}, "pair") == Pair(1, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (3, "^pair: a mapping is expected, got 3$"),
        (None, "^pair: a mapping is expected, got None$"),
        ([["first", 1]], "^pair: a mapping is expected, got"),
        ({}, "pair: .*missing 1 required positional argument: 'first'"),
        ({"first": 1, "secnd": 2}, "pair: .*'secnd'.*did you mean 'second'"),
    ],
)
def test_what_does_not_fit_is_named(content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(Pair, content, "pair")
