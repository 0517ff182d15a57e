"""How answers are spread on validation, by hand and as JSON, and how large what was found is."""

import json
import math

import numpy as np
import pytest

from medseg_monai.quality.usual import UsualAnswers, found_sizes


def test_usual_answers_by_hand_and_as_json() -> None:
    usual = UsualAnswers.of([{"a": 1.0, "b": 2.0}, {"a": 3.0}])
    assert usual is not None
    assert usual.numbers == {"a": (2.0, pytest.approx(2**0.5, rel=1e-4))}
    assert UsualAnswers.from_dict(json.loads(json.dumps(usual.to_dict()))) == usual
    assert UsualAnswers.of([{"a": 1.0}]) is None
    for change in (
        {"numbers": {"a": [1.0, 0.0]}},
        {"numbers": {"a": [math.inf, 1.0]}},
        {"numbers": {"a": [1.0, math.nan]}},
        {"numbers": {"a": [1.0, math.inf]}},
        {"numbers": {"a": [1.0]}},
        {"case": 1},
        {"cases": 0},
        {"numbers": 3},
    ):
        with pytest.raises(ValueError, match=r"usual|unpack"):
            UsualAnswers.from_dict({**usual.to_dict(), **change})


def test_sizes_of_channels_numbers_and_volumes() -> None:
    numbers = np.array([[1, 2], [2, 2]], np.uint8)
    assert found_sizes(numbers, ("a", "b")) == {"size of a": 0.5, "size of b": 0.75**0.5}
    channels = np.array([[[1, 1]], [[0, 0]]], np.uint8)
    assert found_sizes(channels, ("a", "b")) == {"size of a": 1.0, "size of b": 0.0}
    volume = np.ones((2, 2, 2), np.uint8)
    assert found_sizes(volume, ("a",), (3.0, 0.5, 1.0)) == {
        "size of a": 1.0,
        "finest side of a voxel": 0.5,
        "middle side of a voxel": 1.0,
        "coarsest side of a voxel": 3.0,
    }


def test_a_number_that_never_varies_has_a_spread_all_the_same() -> None:
    usual = UsualAnswers.of([{"a": 0.5}] * 3)
    assert usual is not None
    assert (usual.numbers, usual.cases) == ({"a": (0.5, 1e-6)}, 3)
    assert UsualAnswers({"a": (0.5, 1e-6)}, cases=1).cases == 1
