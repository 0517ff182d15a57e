"""Decisions as properties of what they are made from: more time is never worse, nothing exceeds memory, what is given stays."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.dataset import DatasetSpec, Intensity
from medseg_monai.planning.candidates import Candidate, candidates
from medseg_monai.planning.decide import (
    Choice,
    Trial,
    Wishes,
    choose,
    coarser_grids,
    first_batch,
    patch_sizes,
    photo_sizes,
    windows,
)
from medseg_monai.planning.expectation import expected_score, outline_loss
from medseg_monai.planning.fingerprint import ClassFacts, Fingerprint
from medseg_monai.planning.timing import LoadTime, StepTime

PHOTOS = DatasetSpec("photos", "binary", classes=("lesion",), channels=("red", "green", "blue"), size=(256, 192))
VOLUMES = DatasetSpec(
    "scans",
    "multiclass",
    classes=("liver",),
    channels=("ct",),
    spatial_dims=3,
    spacing_mm=(1.0, 1.0, 2.0),
    intensity=Intensity("window", lower=-160, upper=240),
)
FORMS = [each for each in candidates("UNet", PHOTOS) if not each.pretrained]


def facts(cases: int = 200, *, thickness: float = 0.3, smallest: float = 0.1, volumes: bool = False) -> Fingerprint:
    sizes = ((180, 200, 220), (180, 200, 220), (60, 90, 100)) if volumes else ((640, 640, 640), (480, 480, 480))
    scale = 100 if volumes else 1
    return Fingerprint(
        name="drawn",
        spatial_dims=3 if volumes else 2,
        counts={"training": cases, "validation": max(1, cases // 5), "test": 0},
        groups=cases,
        sampled=min(cases, 64),
        sizes=sizes,
        spacing_mm=(1.0, 1.0, 2.0) if volumes else None,
        intensity=(0.0, 0.5, 1.0),
        classes={"lesion": ClassFacts(1.0, 0.1, thickness * scale, smallest * scale)},
        empty=0.0,
        says_present=False,
    )


def trial(seconds: float = 0.01, forms: list[Candidate] = FORMS, size: tuple[int, ...] = (128, 96)) -> Trial:
    """Each network takes three times as long as the one before it."""
    steps = {form.name: StepTime(seconds * 3**number, seconds * 3**number / 3) for number, form in enumerate(forms)}
    return Trial(steps, size, LoadTime(0.01, 0.002))


def gigabytes(candidate: Candidate, size: object, batch: int) -> float:
    return 1 + batch * math.prod(size) * candidate.width / 1e6 / candidate.stride**2  # type: ignore[call-overload]


def best(
    minutes: float,
    *,
    seen: Fingerprint | None = None,
    seconds: float = 0.01,
    memory_gb: float = 1000.0,
    fixed: dict[str, object] | None = None,
) -> Choice:
    wishes = Wishes(60 * minutes, memory_gb, 16, fixed or {})
    return choose(seen or facts(), PHOTOS, trial(seconds), wishes, candidates=FORMS, memory=gigabytes)[0]


@given(minutes=st.floats(0.5, 600), more=st.floats(1, 20), seconds=st.floats(1e-4, 0.5), cases=st.integers(10, 20000))
def test_more_time_is_never_expected_to_be_worse(minutes: float, more: float, seconds: float, cases: int) -> None:
    less, longer = (best(minutes * factor, seen=facts(cases), seconds=seconds) for factor in (1, more))
    in_time = less.seconds <= 60 * minutes
    assert not in_time or longer.expected >= less.expected


@given(minutes=st.floats(0.5, 600), seconds=st.floats(1e-4, 0.5), cases=st.integers(10, 20000))
def test_what_ends_in_time_is_taken_and_its_epochs_fit(minutes: float, seconds: float, cases: int) -> None:
    choice = best(minutes, seen=facts(cases), seconds=seconds)
    assert choice.epochs >= 1
    assert 1 <= choice.val_interval <= choice.epochs
    assert choice.seconds <= 60 * minutes or choice.epochs == 1


@given(limit=st.floats(1.05, 60), minutes=st.floats(1, 600))
def test_memory_is_never_planned_over_the_limit(limit: float, minutes: float) -> None:
    choice = best(minutes, memory_gb=limit, seconds=1e-4)
    assert gigabytes(choice.candidate, choice.size, choice.batch_size) == choice.memory_gb <= limit


def test_too_little_memory_is_said_with_the_knob() -> None:
    with pytest.raises(
        ValueError, match=r"memory: the smallest .* takes 1.0 GB, and 0.5 may be used: give more memory_gb"
    ):
        best(10, memory_gb=0.5)


@given(factor=st.floats(1, 1000))
def test_a_slower_machine_is_never_given_more_work(factor: float) -> None:
    fast, slow = best(20, seconds=1e-3), best(20, seconds=1e-3 * factor)
    assert slow.expected <= fast.expected


def test_time_goes_to_size_and_width_once_there_are_passes_enough() -> None:
    short, long = best(1), best(600)
    assert math.prod(long.size) >= math.prod(short.size)
    assert long.candidate.width / long.candidate.stride > short.candidate.width / short.candidate.stride


def test_thin_structures_want_more_pixels() -> None:
    thick = best(30, seen=facts(thickness=0.4, smallest=0.3))
    thin = best(30, seen=facts(thickness=0.01, smallest=0.005))
    assert max(thin.size) / thin.candidate.stride > max(thick.size) / thick.candidate.stride
    assert max(thin.size) > 256  # beyond what the data set names, for its pictures are larger


@pytest.mark.parametrize(
    ("key", "value", "attribute"),
    [
        ("size", [64, 48], "size"),
        ("max_epochs", 7, "epochs"),
        ("batch_size", 3, "batch_size"),
        ("val_interval", 2, "val_interval"),
    ],
)
def test_what_is_given_stays(key: str, value: object, attribute: str) -> None:
    choice = best(20, fixed={key: value})
    assert getattr(choice, attribute) == (tuple(value) if isinstance(value, list) else value)


def test_given_epochs_choose_what_they_leave_time_for() -> None:
    few, many = best(20, fixed={"max_epochs": 2}), best(20, fixed={"max_epochs": 300})
    assert few.epochs == 2
    assert many.epochs == 300
    assert few.expected < many.expected or math.prod(few.size) >= math.prod(many.size)
    assert many.seconds <= 20 * 60


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


def test_small_volumes_are_seen_whole() -> None:
    small = replace(facts(volumes=True), sizes=((32, 35, 38), (46, 51, 57), (30, 32, 38)))
    assert patch_sizes(small, 1.0)[-1] == (36, 52, 32)
    assert windows(small, (36, 52, 32)) == 1


def test_large_volumes_are_cut_into_patches_and_may_get_a_coarser_grid() -> None:
    large = facts(volumes=True, thickness=0.4, smallest=0.2)  # 20 voxels
    assert all(math.prod(size) <= 1.1 * 128**3 for size in patch_sizes(large, 1.0))
    assert coarser_grids(replace(large, sizes=((300, 300, 300),) * 3))[:2] == [1.0, 1.25]
    thin = facts(volumes=True, thickness=0.05, smallest=0.02)  # 2 voxels
    assert coarser_grids(replace(thin, sizes=((300, 300, 300),) * 3)) == [1.0]


def test_windows_are_counted_as_they_overlap() -> None:
    cube = replace(facts(volumes=True), sizes=((64, 64, 64),) * 3)
    assert windows(cube, (64, 64, 64)) == 1
    assert windows(cube, (32, 32, 32)) == 27  # starts 0, 16 and 32 along each side


@pytest.mark.parametrize(("cases", "batch"), [(20, 4), (100, 8), (1000, 16)])
def test_few_pictures_get_small_batches(cases: int, batch: int) -> None:
    assert first_batch(facts(cases), Wishes(60, 10, 16, {})) == batch


@given(pictures=st.floats(1, 1e7), more=st.floats(1, 10))
def test_the_expected_score_grows_with_pictures_size_and_width(pictures: float, more: float) -> None:
    narrow, wide = FORMS[0], FORMS[1]
    score = expected_score(facts(), narrow, (128, 96), pictures)
    assert expected_score(facts(), narrow, (128, 96), pictures * more) >= score
    assert expected_score(facts(), narrow, (256, 192), pictures) >= score
    assert expected_score(facts(), wide, (128, 96), pictures) >= score
    assert expected_score(facts(), replace(narrow, pretrained=True), (128, 96), pictures) >= score


def test_the_expected_scores_are_those_measured() -> None:
    """ISIC 2017 (docs/results): 0.803 after 8 epochs of 1,594 pictures at half size of 128 pixels, 0.834 after 32."""
    isic = facts(1594, thickness=0.2885, smallest=0.1423)
    eight, thirty = (expected_score(isic, FORMS[0], (128, 128), 1594 * epochs) for epochs in (8, 32))
    assert thirty - eight == pytest.approx(0.834 - 0.803, abs=0.01)


def test_an_outline_costs_more_the_fewer_cells_a_structure_has() -> None:
    one = replace(FORMS[0], stride=1)
    # 0.1 of 200 pixels: 20 cells thick in all structures, so that 0.35 / 20 are lost
    assert outline_loss(facts(thickness=0.1, smallest=0.1), one, (200, 100)) == pytest.approx(0.35 / 20)
    assert outline_loss(facts(thickness=0.1, smallest=0.1), replace(one, stride=2), (200, 100)) == pytest.approx(
        0.35 / 10
    )
