"""Which cases an epoch shows: a given share of empty ones, all in turn, the same in any number of processes."""

import logging
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg_monai.training.sampling import SeededSampler, empty_cases, sample_seed


class Data(SimpleNamespace):
    """Cases, and their number."""

    def __len__(self):
        return len(self.data)


def data(*, full: int, empty: int) -> Data:
    """The empty cases come first."""
    return Data(data=[{"image": f"{i}.png", "present": ["a"] * (i >= empty)} for i in range(full + empty)])


def epoch(cases: Data, number: int, **options) -> list[int]:
    sampler = SeededSampler(cases, **options)
    sampler.set_epoch(number)
    numbers = list(sampler)
    assert {n // len(cases) for n in numbers} == {number}
    return [n % len(cases) for n in numbers]


@pytest.mark.parametrize(("fraction", "shown"), [(0, 0), (0.2, 5), (0.5, 20), (0.6, 30)])
def test_the_share_of_an_epoch(fraction, shown):
    """Of 20 cases with organs, 20 % empty is 5 of 25."""
    cases = data(full=20, empty=30)
    indices = epoch(cases, 3, empty_fraction=fraction)
    assert len(indices) == 20 + shown == len(SeededSampler(cases, empty_fraction=fraction))
    assert sorted(i for i in indices if i >= 30) == list(range(30, 50))
    assert len({i for i in indices if i < 30}) == shown


def test_none_takes_all_as_they_are():
    assert sorted(epoch(data(full=4, empty=6), 0)) == list(range(10))
    assert sorted(epoch(Data(data=[{"image": "x"}] * 3), 0)) == [0, 1, 2]  # nothing need be said then


def test_empty_cases_come_in_turn():
    """Five of seven in each epoch: after seven epochs each was shown five times."""
    cases = data(full=5, empty=7)
    shown = Counter(i for number in range(7) for i in epoch(cases, number, empty_fraction=0.5) if i < 7)
    assert shown == dict.fromkeys(range(7), 5)


def test_a_single_empty_case_is_in_every_epoch():
    cases = data(full=4, empty=1)
    for number in range(3):
        assert sorted(epoch(cases, number, empty_fraction=0.2)) == [0, 1, 2, 3, 4]


def test_epoch_and_seed_decide_and_nothing_else():
    cases = data(full=10, empty=10)
    assert epoch(cases, 2, empty_fraction=0.4, seed=1) == epoch(cases, 2, empty_fraction=0.4, seed=1)
    assert epoch(cases, 2, empty_fraction=0.4, seed=1) != epoch(cases, 2, empty_fraction=0.4, seed=2)
    assert epoch(cases, 2, empty_fraction=0.4, seed=1) != epoch(cases, 3, empty_fraction=0.4, seed=1)
    counting = SeededSampler(cases, empty_fraction=0.4)
    assert [n % 20 for n in counting] == epoch(cases, 0, empty_fraction=0.4)
    assert [n % 20 for n in counting] == epoch(cases, 1, empty_fraction=0.4)


@given(st.integers(1, 12), st.integers(0, 12), st.floats(0, 0.9), st.integers(1, 4), st.integers(0, 5))
def test_processes_together_show_what_one_shows(full, empty, fraction, processes, number):
    cases = data(full=full, empty=empty)
    alone = epoch(cases, number, empty_fraction=fraction)
    shares = [
        epoch(cases, number, empty_fraction=fraction, rank=rank, world_size=processes) for rank in range(processes)
    ]
    assert len({len(share) for share in shares}) == 1
    together = [index for step in zip(*shares, strict=True) for index in step]
    assert together[: len(alone)] == alone
    assert len(together) - len(alone) < processes


def test_too_few_empty_ones_are_all_taken_and_said(caplog):
    with caplog.at_level(logging.WARNING):
        assert sorted(epoch(data(full=8, empty=2), 0, empty_fraction=0.5)) == list(range(10))
    assert "empty_fraction 0.5: there are only 2 empty cases, 20 % of all" in caplog.text


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5])
def test_a_fraction_that_is_none(fraction):
    with pytest.raises(ValueError, match=rf"empty_fraction must be in \[0, 1\), got {fraction}"):
        SeededSampler(data(full=2, empty=2), empty_fraction=fraction)


def test_nothing_to_learn():
    with pytest.raises(ValueError, match="no case shows any class"):
        SeededSampler(data(full=0, empty=3), empty_fraction=0.5)


def test_cases_that_do_not_say_are_named():
    cases = data(full=2, empty=1)
    del cases.data[1]["present"]
    with pytest.raises(
        ValueError, match=r"1 of 3 cases do not say which classes are present \(1\.png\); dataset\.json needs"
    ):
        SeededSampler(cases, empty_fraction=0.5)
    assert empty_cases(data(full=1, empty=2).data).tolist() == [True, True, False]


def test_the_seed_is_0_unless_named():
    assert epoch(data(full=20, empty=0), 1) == epoch(data(full=20, empty=0), 1, seed=0)


def test_nothing_to_sample_from():
    with pytest.raises(ValueError, match="no cases to sample from"):
        SeededSampler(data(full=0, empty=0))


def test_a_samples_seed_uses_63_bits():
    """Of 64 seeds each bit is set in some, and none is beyond what torch's generators take."""
    union = 0
    for case in range(64):
        union |= sample_seed(0, 0, str(case))
    assert union == 2**63 - 1


def test_too_few_empty_cases_are_counted_in_percent(caplog):
    """9 of 10 would have to be empty; 30 of 50 are."""
    SeededSampler(data(full=20, empty=30), empty_fraction=0.9)
    assert "there are only 30 empty cases, 60 % of all" in caplog.text


def test_cases_are_shuffled_unless_said_otherwise():
    shuffled = epoch(data(full=20, empty=0), 1)
    assert shuffled != list(range(20))
    assert sorted(shuffled) == epoch(data(full=20, empty=0), 1, shuffle=False) == list(range(20))
