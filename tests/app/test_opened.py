"""Corrections of a mask: brush, clicks, and the way back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medseg_monai.app import opened
from medseg_monai.app.opened import Opened, stroke_stamp
from medseg_monai.clicks import Click
from medseg_monai.grids.photo import PhotoGrid
from medseg_monai.predictor import Prediction

BLOCK = np.zeros((6, 8), bool)
BLOCK[1:3, 2:5] = True


def prediction(mask: NDArray[np.uint8], classes: tuple[str, ...] = ("lesion",), **facts: object) -> Prediction:
    probabilities = np.stack([(mask == number + 1) * np.float32(0.9) for number in range(len(classes))])
    return replace(Prediction(mask, probabilities, 0.1, classes, PhotoGrid(mask.shape[:-3:-1])), **facts)  # type: ignore[arg-type]


def case_of(found: Prediction) -> Opened:
    case = Opened("a", Path("a.png"))
    case.set_prediction(found)
    return case


def whole(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return values


def test_painting_and_erasing_one_class() -> None:
    case = case_of(prediction(np.zeros((6, 8), np.uint8)))
    case.paint(BLOCK, whole, 0, erase=False)
    assert np.array_equal(case.mask, BLOCK)
    assert case.corrected
    case.paint(BLOCK & (np.arange(8) < 3), whole, 0, erase=True)
    assert case.pixels() == {"lesion": 4}
    assert case.undo()
    assert np.array_equal(case.mask, BLOCK)
    assert case.undo()
    assert not case.mask.any()
    assert not case.corrected
    assert not case.undo()


def test_exclusive_classes_replace_each_other_and_only_the_own_one_is_erased() -> None:
    case = case_of(prediction(np.full((6, 8), 2, np.uint8), ("a", "b")))
    case.paint(BLOCK, whole, 0, erase=False)
    assert np.array_equal(case.mask, np.where(BLOCK, 1, 2))
    case.paint(np.ones((6, 8), bool), whole, 0, erase=True)
    assert np.array_equal(case.mask, np.where(BLOCK, 0, 2))
    assert case.planes().sum(axis=(1, 2)).tolist() == [0, 42]


def test_overlapping_classes_keep_each_other() -> None:
    found = replace(
        prediction(np.zeros((6, 8), np.uint8)), mask=np.ones((2, 6, 8), np.uint8), classes=("a", "b"), task="multilabel"
    )
    case = case_of(found)
    case.paint(BLOCK, whole, 1, erase=True)
    assert case.pixels() == {"a": 48, "b": 42}


def test_the_networks_mask_is_not_changed() -> None:
    mask = np.zeros((6, 8), np.uint8)
    case = case_of(prediction(mask))
    case.paint(BLOCK, whole, 0, erase=False)
    assert not mask.any()
    assert case.answer().mask.any()


def test_probabilities_do_not_stay_in_memory() -> None:
    case = case_of(prediction(np.zeros((6, 8), np.uint8)))
    assert case.prediction is not None
    assert case.prediction.probabilities.size == 0


def test_clicks_are_right_accumulate_and_go_back() -> None:
    found = prediction(BLOCK.astype(np.uint8))
    case = case_of(found)
    case.click(Click(4, 6, inside=True), found)
    case.click(Click(1, 2, inside=False), found)
    assert (case.mask[4, 6], case.mask[1, 2]) == (1, 0)
    assert len(case.clicks) == 2
    case.undo()
    assert len(case.clicks) == 1
    assert (case.mask[4, 6], case.mask[1, 2]) == (1, 1)
    case.click(Click(1, 2, inside=False), found)
    assert (case.mask[4, 6], case.mask[1, 2]) == (1, 0)


def test_a_stroke_after_clicks_stays_when_the_next_click_comes() -> None:
    found = prediction(BLOCK.astype(np.uint8))
    case = case_of(found)
    corner = np.zeros((6, 8), bool)
    corner[5, 7] = True
    case.paint(corner, whole, 0, erase=False)
    case.click(Click(1, 2, inside=True), found)
    assert case.mask[5, 7] == 1


def test_a_click_that_contradicts_changes_nothing() -> None:
    found = prediction(BLOCK.astype(np.uint8))
    case = case_of(found)
    case.click(Click(4, 6, inside=True), found)
    before = case.mask.copy()
    with pytest.raises(ValueError, match="says the opposite"):
        case.click(Click(4, 6, inside=False), found)
    assert np.array_equal(case.mask, before)
    assert len(case.clicks) == 1


def test_steps_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "MOST_STEPS", 3)
    case = case_of(prediction(np.zeros((6, 8), np.uint8)))
    for _ in range(5):
        case.paint(BLOCK, whole, 0, erase=False)
    assert [case.undo() for _ in range(4)] == [True, True, True, False]


def test_order_of_the_list() -> None:
    fine = case_of(prediction(np.ones((6, 8), np.uint8), flagged=False))
    flagged = case_of(prediction(np.ones((6, 8), np.uint8), flagged=True, reason="unlike"))
    failed, waiting = Opened("f", Path("f"), failure="broken"), Opened("w", Path("w"))
    fine.id, flagged.id = "1", "2"
    assert [case.id for case in sorted([waiting, fine, flagged, failed], key=lambda case: case.order)] == [
        "f",
        "2",
        "1",
        "w",
    ]


def test_nothing_predicted_has_no_mask() -> None:
    with pytest.raises(ValueError, match="not segmented yet"):
        _ = Opened("a", Path("a.png")).mask


@given(
    st.lists(st.tuples(st.floats(-5, 25), st.floats(-5, 20)), min_size=1, max_size=4),
    st.floats(0.5, 6),
    st.sampled_from([(1.0, 1.0), (2.0, 1.0), (1.0, 3.0)]),
)
def test_a_stroke_covers_the_pixels_near_its_line(
    points: list[tuple[float, float]], radius: float, sides: tuple[float, float]
) -> None:
    """Beside a brute-force distance to many points of the line, in the narrower side of pixels."""
    stamp = stroke_stamp(points, radius, (20, 15), sides)
    scale = np.array(sides) / min(sides)
    along = [
        np.add(start, np.subtract(end, start) * share)
        for start, end in zip(points, [*points[1:], points[-1]], strict=True)
        for share in np.linspace(0, 1, 60)
    ]
    rows, columns = np.indices((15, 20)) + 0.5
    distance = np.min([np.hypot((columns - x) * scale[0], (rows - y) * scale[1]) for x, y in along], axis=0)
    assert stamp[distance <= radius - 1e-9].all()
    assert not stamp[distance > radius + 0.5].any()
