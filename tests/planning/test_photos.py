"""What a plan decides for photographs."""

from dataclasses import replace

import pytest
from drawn_facts import PHOTOS, facts
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.dataset import DatasetSpec
from medseg_monai.planning.photos import PhotoPlanner, photo_sizes


@given(width=st.integers(64, 1024), height=st.integers(64, 1024))
def test_sizes_keep_the_shape_and_end_at_the_pictures(width: int, height: int) -> None:
    spec = replace(PHOTOS, size=(width, height))
    found = photo_sizes(facts(), spec)
    assert (width, height) in found
    assert max(max(size) for size in found) <= max(width, height, 640)
    for size in found:
        assert size == (width, height) or all(side % 16 == 0 for side in size)
        assert (
            size == (width, height)
            or abs(size[0] / size[1] - width / height) < 0.35 * width / height
            or min(size) <= 64
        )


@pytest.mark.parametrize(("cases", "batch"), [(39, 4), (40, 8), (199, 8), (200, 16)])
def test_few_pictures_get_small_batches(cases: int, batch: int) -> None:
    assert PhotoPlanner().first_batch(cases, most=2) == batch


def test_a_photograph_is_seen_whole_and_once_in_an_epoch() -> None:
    planner = PhotoPlanner()
    assert planner.windows(facts(), (96, 64), 1.0) == planner.share_seen(facts(), (96, 64), 1.0) == 1
    assert planner.patches_per_case(5) == 1
    assert planner.loading(4.0) == 4.0  # four times the pixels, four times the work
    assert planner.cells((96, 64), 1.0) * 0.25 == 24  # a quarter of the longer side


def test_a_trial_is_of_a_small_size() -> None:
    planner = PhotoPlanner()
    assert planner.probe_size(facts(), PHOTOS) == (128, 96)
    assert planner.probe_size(facts(), replace(PHOTOS, size=(48, 64))) == (96, 128)
    none_small = replace(facts(), sizes=((90, 90, 90), (90, 90, 90)))
    assert planner.probe_size(none_small, replace(PHOTOS, size=(90, 90))) == (90, 90)


@pytest.mark.parametrize(("passes", "strength"), [(19, 0.7), (20, 1.0), (59, 1.0), (60, 1.6)])
def test_the_more_often_a_picture_is_seen_the_stronger_it_is_changed(passes: int, strength: float) -> None:
    assert PhotoPlanner().augmentation(PHOTOS, passes) == strength


@pytest.mark.parametrize(
    ("channels", "classes", "stride", "upright"),
    [
        (("grey",), ("left", "right"), None, True),
        (("a", "b", "c"), ("left", "right"), 1, True),  # neighbouring slices, not colours
        (("red", "green", "blue"), ("left", "right"), None, False),
        (("grey",), ("lesion",), None, False),
    ],
)
def test_slices_with_several_organs_are_not_mirrored(
    channels: tuple[str, ...], classes: tuple[str, ...], stride: int | None, upright: bool
) -> None:
    spec = DatasetSpec("x", "multilabel", classes=classes, channels=channels, size=(64, 64), slice_stride=stride)
    assert (PhotoPlanner().augmentation(spec, 30) == "upright") == upright


def test_words_are_of_pictures() -> None:
    planner = PhotoPlanner()
    assert planner.thickness(facts().classes["lesion"]) == "30.0% of the longer side thick, the smallest 10.0%"
    assert (planner.elements, planner.grid) == ("pixels", "pixels")
    assert planner.foreground(facts(share=1e-6)) is None
    assert planner.class_balance(facts(share=1e-6)) is None


def test_the_sizes_of_pictures_of_640_by_480_by_hand() -> None:
    """Three quarters as high as wide, in sixteens; the data set's own size as it is."""
    assert photo_sizes(facts(), PHOTOS) == [
        *((96, 64), (128, 96), (160, 128), (192, 144), (224, 160), (256, 192)),
        *((320, 240), (384, 288), (448, 336), (512, 384), (640, 480)),
    ]


def test_photographs_need_not_be_kept_in_memory() -> None:
    assert PhotoPlanner().cached is False
