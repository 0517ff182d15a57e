"""Processes share cases; the size that a user wants."""

from collections import Counter

import pytest

from medseg_monai.prepare.demo import demo_spec
from medseg_monai.training.dataset import share, training_spec


def test_every_process_has_a_case() -> None:
    cases = [{"id": "a"}, {"id": "b"}, {"id": "c"}]
    assert [share(cases, rank, 2) for rank in range(2)] == [[cases[0], cases[2]], [cases[1]]]


@pytest.mark.parametrize("world_size", range(1, 6))
@pytest.mark.parametrize("count", range(1, 8))
def test_every_case_counts_the_same_whatever_the_number_of_processes(count: int, world_size: int) -> None:
    cases = [{"id": number} for number in range(count)]
    shares = [share(cases, rank, world_size) for rank in range(world_size)]
    assert all(shares)
    counted = Counter(case["id"] for part in shares for case in part)
    assert counted.keys() == set(range(count))
    assert len(set(counted.values())) == 1


@pytest.mark.parametrize("size", [(1, 1), (64, 4), (7, 64)])
def test_a_size_that_shows_nothing_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="is too small; each side must have at least 8 pixels"):
        training_spec(demo_spec(), size)
    assert training_spec(demo_spec(), (8, 8)).size == (8, 8)


@pytest.mark.parametrize("size", [128, "128"])
def test_size_must_be_a_list(size: object) -> None:
    with pytest.raises(ValueError, match=r"size must be a list, \[width, height\]"):
        training_spec(demo_spec(), size)
