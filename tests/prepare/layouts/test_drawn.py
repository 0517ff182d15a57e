"""Masks from outlines: classes and task are found over all images, and later shapes cover earlier ones."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg_monai.prepare.layouts import Drawing
from medseg_monai.prepare.layouts.drawn import Outlined, Shape, draw


def strip(left: int, right: int) -> np.ndarray:
    """Columns of a picture of 6 x 2."""
    pixels = np.zeros((2, 6), bool)
    pixels[:, left:right] = True
    return pixels


def outlined(name: str, *shapes: tuple[str, int, int]) -> Outlined:
    made: list[Shape] = [(each, strip(left, right)) for each, left, right in shapes]
    return Outlined(Path(f"{name}.png"), name, "", (6, 2), lambda: made)


def rows(files: Sequence[Path]) -> list[list[int]]:
    """The first row of each mask."""
    return [np.asarray(Image.open(file)).astype(int)[0].tolist() for file in files]


def test_one_class_is_binary(tmp_path: Path) -> None:
    found = draw([outlined("p", ("a", 0, 2), ("a", 1, 3)), outlined("q")], Drawing(tmp_path))
    assert (found.classes, found.class_files) == (("a",), False)
    assert [rows(pair.masks) for pair in found.pairs] == [[[255, 255, 255, 0, 0, 0]], [[0] * 6]]


def test_classes_that_never_meet_are_exclusive_and_a_later_shape_covers_an_earlier_one(tmp_path: Path) -> None:
    cases = [outlined("p", ("b", 0, 2), ("a", 2, 4)), outlined("q", ("b", 5, 6))]
    found = draw(cases, Drawing(tmp_path))
    assert (found.classes, found.class_files) == (("a", "b"), False)
    assert [rows(pair.masks) for pair in found.pairs] == [[[2, 2, 1, 1, 0, 0]], [[0, 0, 0, 0, 0, 2]]]
    covered = draw([outlined("r", ("a", 0, 4), ("b", 1, 2))], Drawing(tmp_path, task="multiclass"))
    assert rows(covered.pairs[0].masks) == [[1, 2, 1, 1, 0, 0]]


def test_one_overlap_anywhere_makes_a_mask_for_each_class(tmp_path: Path) -> None:
    cases = [outlined("p", ("a", 0, 2)), outlined("q", ("a", 0, 3), ("b", 2, 4))]
    found = draw(cases, Drawing(tmp_path))
    assert found.class_files
    assert [rows(pair.masks) for pair in found.pairs] == [
        [[255, 255, 0, 0, 0, 0], [0] * 6],
        [[255, 255, 255, 0, 0, 0], [0, 0, 255, 255, 0, 0]],
    ]


@pytest.mark.parametrize(("order", "classes"), [(("b", "unused", "a"), ("b", "a")), ((), ("a", "b"))])
def test_classes_are_in_the_order_given_without_those_that_nothing_shows(
    order: tuple[str, ...], classes: tuple[str, ...], tmp_path: Path
) -> None:
    assert draw([outlined("p", ("a", 0, 1), ("b", 2, 3))], Drawing(tmp_path), order=order).classes == classes


def test_an_image_that_cannot_be_drawn_is_left_out_with_the_reason(tmp_path: Path) -> None:
    def broken() -> list[Shape]:
        raise ValueError("an outline of two corners")

    bad = replace(outlined("bad"), shapes=broken)
    found = draw([outlined("p", ("a", 0, 1)), bad], Drawing(tmp_path), left_out=[(Path("old"), "before")])
    assert [pair.id for pair in found.pairs] == ["p"]
    assert found.left_out == ((Path("old"), "before"), (Path("bad.png"), "an outline of two corners"))
