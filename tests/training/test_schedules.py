"""The learning rate rises, falls, and never breaks a short run."""

import math
import warnings

import pytest
import torch

from medseg_monai.training.schedules import RepeatedOneCycleLR, one_cycle


def rates(total_steps: int, warmup: float, *, cycles: int = 1) -> list[float]:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = one_cycle(optimizer, lr=1.0, total_steps=total_steps, warmup=warmup)
    seen = []
    for _ in range(cycles * total_steps):
        seen.append(optimizer.param_groups[0]["lr"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch expects optimizer.step() first
            scheduler.step()
    return seen


@pytest.mark.parametrize("warmup", [0, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("total_steps", range(1, 25))
def test_runs_of_any_length_learn_and_end_low(total_steps: int, warmup: float) -> None:
    seen = rates(total_steps, warmup)
    assert all(0 < rate <= 1 + 1e-9 for rate in seen)
    assert max(seen) > 0.45
    assert total_steps < 3 or seen[-1] < 0.3


def test_shape() -> None:
    seen = rates(101, 20 / 101)
    assert seen[0] == pytest.approx(1 / 25)
    assert seen.index(max(seen)) == 19
    # half way down a cosine from step 19 to step 100
    assert seen[60] == pytest.approx(0.5 * (1 + math.cos(math.pi * 41 / 81)), abs=1e-4)


FELL = 0.5 * (1 + math.cos(math.pi / 10))  # one of ten steps down a cosine from 1


@pytest.mark.parametrize(("total_steps", "warmup", "first"), [(10, 0.15, 1 / 25), (10, 0.1, FELL), (10, 0, FELL)])
def test_a_rise_of_more_than_one_step_begins_low_and_a_shorter_one_is_left_out(
    total_steps: int, warmup: float, first: float
) -> None:
    assert rates(total_steps, warmup)[0] == pytest.approx(first)


@pytest.mark.parametrize("total_steps", [1, 2, 3, 10])
def test_a_training_that_goes_on_begins_the_cycle_anew(total_steps: int) -> None:
    assert rates(total_steps, 0.25, cycles=3) == pytest.approx(3 * rates(total_steps, 0.25))


@pytest.mark.parametrize("step", [0, 1, 4, 5, 18])
def test_who_comes_later_goes_on_with_the_rates_of_the_others(step: int) -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = one_cycle(optimizer, lr=1.0, total_steps=20, warmup=0.25)
    assert isinstance(scheduler, RepeatedOneCycleLR)
    scheduler.go_to(step)
    seen = [optimizer.param_groups[0]["lr"]]
    optimizer.step()
    scheduler.step()
    seen.append(optimizer.param_groups[0]["lr"])
    assert seen == pytest.approx(rates(20, 0.25)[step : step + 2])


def shortened_rates(*cuts: tuple[int, int]) -> list[float]:
    """Of a cycle of 101 steps that at some steps is shortened, to so many in all."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = one_cycle(optimizer, lr=1.0, total_steps=101, warmup=0.2)
    assert isinstance(scheduler, RepeatedOneCycleLR)
    seen, steps = [], 101
    while len(seen) < steps:
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
        for at, fewer in cuts:
            if at == len(seen):
                scheduler.change_length(fewer, instead_of=steps)
                steps = fewer
    return seen


def test_a_shortened_run_goes_through_the_rest_of_the_cycle_faster() -> None:
    """40 steps are left at step 60; of 20 instead each goes two steps further."""
    whole, short = shortened_rates(), shortened_rates((60, 81))
    assert short[:61] == whole[:61]
    assert short[60:] == pytest.approx(whole[60::2])


def test_a_run_can_be_shortened_again_and_in_its_rise() -> None:
    whole = shortened_rates()
    assert shortened_rates((10, 56)) == pytest.approx([*whole[:10], *whole[10::2]])
    expected = [*whole[:10], *whole[10:70:2], *whole[70::3]]
    assert shortened_rates((10, 56), (40, 51)) == pytest.approx(expected)
    assert len(shortened_rates((60, 61))) == 61


def test_where_it_was_shortened_is_part_of_its_state() -> None:
    def schedule() -> tuple[torch.optim.Optimizer, RepeatedOneCycleLR]:
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        made = one_cycle(optimizer, lr=1.0, total_steps=20, warmup=0.2)
        assert isinstance(made, RepeatedOneCycleLR)
        return optimizer, made

    (optimizer, first), (other, second) = schedule(), schedule()
    for _ in range(8):
        optimizer.step()
        first.step()
    first.change_length(12, instead_of=20)
    second.load_state_dict(first.state_dict())
    for _ in range(3):
        for each in (optimizer, other):
            each.step()
        first.step()
        second.step()
        assert second.get_last_lr() == first.get_last_lr()
    assert first.get_last_lr()[0] < 0.01


@pytest.mark.parametrize(
    ("total_steps", "warmup", "message"), [(5, 1, "share of the run"), (0, 0.1, "nothing to train: ")]
)
def test_out_of_range(total_steps: int, warmup: float, message: str) -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    with pytest.raises(ValueError, match=message):
        one_cycle(optimizer, lr=1.0, total_steps=total_steps, warmup=warmup)
