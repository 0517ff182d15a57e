"""``--set KEY=VALUE`` as keys and values."""

import pytest

from medseg_monai.bundle.assignments import parse_assignments


def test_assignments_are_read_as_yaml() -> None:
    given = parse_assignments(["lr=1e-3", "size=[128, 96]", "name=isic", "resume=true", "x=", "path=a=b"])
    assert given == {"lr": 0.001, "size": [128, 96], "name": "isic", "resume": True, "x": None, "path": "a=b"}


@pytest.mark.parametrize("wrong", ["lr", "=3", ""])
def test_an_assignment_needs_key_and_value(wrong: str) -> None:
    with pytest.raises(ValueError, match="KEY=VALUE"):
        parse_assignments([wrong])


def test_a_value_that_is_no_yaml() -> None:
    with pytest.raises(ValueError, match=r"--set size=\[1, 2: the value is not valid YAML"):
        parse_assignments(["size=[1, 2"])
