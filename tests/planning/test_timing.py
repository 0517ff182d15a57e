"""The timed trial on a tiny network: what it measures, and what it leaves alone."""

import math
import time
from collections.abc import Iterator
from functools import partial
from itertools import accumulate, chain, count, repeat
from pathlib import Path

import pytest
import torch
from torch import nn

from medseg_monai.dataset import read_dataset
from medseg_monai.networks import UNet
from medseg_monai.planning import timing
from medseg_monai.planning.timing import step_clock, time_loading, time_steps
from medseg_monai.prepare.demo import demo_spec
from medseg_monai.training.losses import segmentation_loss

SPEC, LOSS = demo_spec(), segmentation_loss("binary")


def test_a_step_is_forward_backward_and_the_optimiser() -> None:
    network = UNet(3, 1, features=(4, 8))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    found = time_steps(network, LOSS, SPEC, (32, 24), batch=4, precision="fp32", device="cpu", most_seconds=1000)
    assert found.batch == 4
    assert 0 < found.forward < found.train
    assert any(not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


def test_seconds_are_per_sample_by_the_clock_that_is_given() -> None:
    ticks = count()
    found = time_steps(
        UNet(3, 1, features=(4, 8)), LOSS, SPEC, (16, 16), batch=2, precision="fp32", device="cpu",
        clock=lambda: float(next(ticks)),
    )  # fmt: skip
    assert (found.train, found.forward) == (0.5, 0.5)  # each step lasts from one tick to the next, for two samples


def test_a_slow_network_is_timed_in_smaller_batches() -> None:
    ticks = count(step=10)
    found = time_steps(
        UNet(3, 1, features=(4, 8)), LOSS, SPEC, (16, 16), batch=16, precision="fp32", device="cpu", most_seconds=100,
        clock=lambda: float(next(ticks)),
    )  # fmt: skip
    assert found.batch == 4  # 10 seconds for two: four steps of four samples take 80, of eight 160


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Waits(nn.Conv2d):
    """A network that has to wait for the processor."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        time.sleep(0.05)
        return super().forward(images)


def test_waiting_for_other_programs_does_not_count(one_thread: None) -> None:
    assert step_clock("cpu") is time.process_time
    began = time.perf_counter()
    found = time_steps(Waits(3, 1, 1), LOSS, SPEC, (16, 16), batch=2, precision="fp32", device="cpu", most_seconds=0.2)
    took = time.perf_counter() - began
    assert found.train < 0.025
    assert 2 < found.waited < took / (2 * found.train)  # at least one step of two samples was timed in all this time


def test_several_threads_go_by_the_wall_clock() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert step_clock("cpu") is time.perf_counter
    finally:
        torch.set_num_threads(before)
    assert step_clock("meta") is time.perf_counter


def test_steps_that_others_disturb_are_repeated_until_two_are_alike() -> None:
    seconds = chain([1, 7, 3, 2, 2.1], repeat(4.0))  # the first is the probe
    ticks = accumulate(chain([0.0], chain.from_iterable((each, 0.0) for each in seconds)))
    found = time_steps(
        UNet(3, 1, features=(4, 8)), LOSS, SPEC, (16, 16), batch=2, precision="fp32", device="cpu", most_seconds=1000,
        clock=lambda: next(ticks),
    )  # fmt: skip
    assert (found.train, found.forward, found.waited) == (1.0, 2.0, 1.0)


def test_random_states_stay_as_they_are() -> None:
    network = nn.Conv2d(3, 1, 3, padding=1)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    time_steps(network, LOSS, SPEC, (16, 16), batch=2, precision="fp32", device="cpu")
    assert torch.equal(torch.rand(2), expected)


def test_what_was_decoded_is_kept_for_training(demo_data: Path, tmp_path: Path) -> None:
    dataset = read_dataset(demo_data)
    found = time_loading(dataset, dataset.spec, cache_dir=tmp_path)
    assert found.sample > 0
    assert len(list(tmp_path.glob("??/*.entry"))) == 4


def test_decoding_is_what_the_first_pass_takes_longer(demo_data: Path, tmp_path: Path) -> None:
    """Four cases take 12, 4 and 8 seconds: 1 for a sample, and 2 more to decode it."""
    dataset, ticks = read_dataset(demo_data), iter([0.0, 12.0, 20.0, 24.0, 30.0, 38.0])
    found = time_loading(dataset, dataset.spec, cache_dir=tmp_path, clock=lambda: next(ticks))
    assert (found.decode, found.sample) == (2, 1)
    ticks = iter([0.0, 12.0, 20.0, 28.0, 30.0, 34.0])
    found = time_loading(dataset, dataset.spec, cache_dir=tmp_path, clock=lambda: next(ticks))
    assert (found.decode, found.sample) == (2, 1)


def test_memory_is_what_was_added_at_the_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_resident_bytes", partial(next, chain([1e9, 5e9], repeat(2e9))))
    with timing._Peak("cpu") as peak:
        time.sleep(0.1)
    assert peak.gb == 4
    monkeypatch.setattr(timing, "_resident_bytes", lambda: 0)  # a system that does not say it
    with timing._Peak("cpu") as peak:
        pass
    assert math.isnan(peak.gb)


def test_memory_of_a_gpu_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    reset: list[object] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3_000_000_000)
    with timing._Peak("cuda:1") as peak:
        pass
    assert (peak.gb, reset) == (3, [torch.device("cuda:1")])
