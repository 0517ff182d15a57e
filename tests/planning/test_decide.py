"""Decisions as properties of what they are made from: more time is never worse, nothing exceeds memory, what is given stays."""

import math
from dataclasses import replace

import pytest
from drawn_facts import PHOTOS, VOLUMES, facts
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.planning.candidates import Candidate, photo_candidates
from medseg_monai.planning.decide import (
    Choice,
    Trial,
    Wishes,
    _epochs,
    _training,
    choose,
    first_batch,
    fitting_batch,
    patches_per_case,
    sizes,
)
from medseg_monai.planning.fingerprint import Fingerprint
from medseg_monai.planning.timing import LoadTime, StepTime

FORMS = [each for each in photo_candidates("UNet", PHOTOS) if not each.pretrained]


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


@pytest.mark.parametrize("volumes", [False, True], ids=["pictures", "volumes"])
def test_what_the_user_sets_is_neither_halved_nor_weighed(volumes: bool) -> None:
    seen, wishes = (
        facts(10, volumes=volumes),
        Wishes(60, 10, 16, {"batch_size": 7, "patches_per_case": 5, "size": [40, 48]}),
    )
    assert (first_batch(seen, wishes), patches_per_case(seen, wishes)) == (7, 5)
    assert list(sizes(seen, VOLUMES if volumes else PHOTOS, wishes.fixed)) == [((40, 48), 1.0)]


@pytest.mark.parametrize(
    ("usable", "train", "validate", "fixed", "expected"),
    [
        (100, 10, 3, {}, (8, 2)),  # 3 s are 15 % of two epochs; (100 - 3) / (10 + 3 / 2) = 8.4
        (5000, 10, 1, {}, (400, 7)),  # no more than 400 epochs and 60 validations
        (100, 10, 3, {"val_interval": 5}, (9, 5)),  # (100 - 3) / (10 + 3 / 5) = 9.2
        (100, 10, 3, {"max_epochs": 30}, (30, 2)),
        (1, 10, 3, {}, (1, 1)),
    ],
)
def test_epochs_and_validations_by_hand(
    usable: float, train: float, validate: float, fixed: dict[str, int], expected: tuple[int, int]
) -> None:
    assert _epochs(usable, train, validate, fixed) == expected


def test_the_seconds_of_a_training_by_hand() -> None:
    """200 cases of 10 + 2 ms and 0.2 s are an epoch of 2.6 s, 40 of 10 / 3 + 2 ms a validation; 240 are read first, 10 ms each."""
    wishes = Wishes(60, 1000, 16, {"val_interval": 4})
    choice = _training(facts(), trial(), wishes, FORMS[0], (128, 96), 1.0, 8, 2.5)
    assert (choice.epochs, choice.val_interval, choice.memory_gb) == (19, 4, 2.5)
    assert choice.seconds == pytest.approx(2.4 + 19 * 2.6 + 5 * 40 * (0.01 / 3 + 0.002))


def test_a_batch_of_one_is_not_halved() -> None:
    asked: list[int] = []

    def memory(candidate: Candidate, size: object, batch: int) -> float:
        asked.append(batch)
        return 5.0

    assert fitting_batch(FORMS[0], (128, 96), 4, Wishes(60, 1.0, 16, {}), memory) == (1, 5.0)
    assert asked == [4, 2, 1]


def test_a_grid_that_the_user_gives_is_not_made_coarser() -> None:
    large = replace(facts(volumes=True), sizes=((400, 400, 400),) * 3)
    assert {coarser for _, coarser in sizes(large, VOLUMES, {})} > {1.0}
    assert {coarser for _, coarser in sizes(large, VOLUMES, {"spacing_mm": (1, 1, 1)})} == {1.0}
