import pytest

from medseg_monai.transforms.pipeline import Pipeline


def test_transforms_follow_in_turn_or_a_part_of_them() -> None:
    steps = Pipeline([lambda x: x + 1, lambda x: x * 10, lambda x: x - 3])
    assert steps(4) == 47
    assert steps(4, start=1) == 37
    assert steps(4, start=1, end=2) == 40


def test_an_error_reaches_the_caller_as_it_is() -> None:
    def refuse(_: object) -> None:
        raise FileNotFoundError("no such file: a.png")

    with pytest.raises(FileNotFoundError, match="^no such file: a.png$"):
        Pipeline([refuse])(1)
