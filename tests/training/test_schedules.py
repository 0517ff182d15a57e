"""The learning rate rises, falls, and never breaks a short run."""

import math
import warnings

import pytest
import torch

from medseg_monai.training.schedules import one_cycle


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


@pytest.mark.parametrize(
    ("total_steps", "warmup", "message"), [(5, 1, "share of the run"), (0, 0.1, "nothing to train: ")]
)
def test_out_of_range(total_steps: int, warmup: float, message: str) -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    with pytest.raises(ValueError, match=message):
        one_cycle(optimizer, lr=1.0, total_steps=total_steps, warmup=warmup)
