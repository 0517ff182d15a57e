"""Sliding windows: against MONAI's, and by properties."""

import logging
from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from medseg_monai.engines.precision import PrecisionInferer
from medseg_monai.inference.windows import SlidingWindow, window_starts, window_weights


def sliding(size: tuple[int, ...], **options: float) -> SlidingWindow:
    return SlidingWindow(PrecisionInferer("fp32", "cpu"), size, **options)  # type: ignore[arg-type]


@given(
    length=st.integers(1, 60),
    window=st.integers(1, 20),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.75]),
)
def test_windows_cover_the_axis_and_weights_sum_to_one(length: int, window: int, overlap: float) -> None:
    starts = window_starts(length, window, overlap)
    length = max(length, window)
    assert (starts[0], starts[-1]) == (0, length - window)
    assert all(0 < later - first <= max(1, window * (1 - overlap)) for first, later in pairwise(starts))
    total = torch.zeros(length)
    for start, weights in zip(starts, window_weights(length, window, starts), strict=True):
        assert weights.min() > 0
        total[start : start + window] += weights
    assert torch.allclose(total, torch.ones(length), atol=1e-6)


def test_blending_is_that_of_monai_along_an_axis() -> None:
    """In the middle of the other two axes: elsewhere MONAI lifts small weights by a rule that depends on all three."""
    torch.manual_seed(0)
    volume = torch.randn(2, 1, 25, 9, 9)
    network = nn.Conv3d(1, 3, 3, padding=1).eval()
    theirs = SlidingWindowInferer((9, 9, 9), overlap=0.5, mode="gaussian", sw_batch_size=3)
    ours = sliding((9, 9, 9), at_once=2)
    with torch.no_grad():
        difference = ours(volume, network) - theirs(volume, network)
    assert difference[:, :, :, 4, 4].abs().max() < 1e-5


def test_blending_by_summing_and_dividing() -> None:
    torch.manual_seed(0)
    volume = torch.randn(1, 1, 11, 7, 9)
    network = nn.Conv3d(1, 2, 3, padding=1).eval()
    away = (torch.arange(6) - 2.5) / (6 / 8)
    row = torch.exp(-0.5 * away**2).clamp_min(1e-3)
    weights = row[:, None, None] * row[:, None] * row
    total, count = torch.zeros(1, 2, 11, 7, 9), torch.zeros(11, 7, 9)
    with torch.no_grad():
        for i, j, k in product((0, 2, 5), (0, 1), (0, 3)):
            place = (slice(i, i + 6), slice(j, j + 6), slice(k, k + 6))
            total[(..., *place)] += network(volume[(..., *place)]) * weights
            count[place] += weights
        assert torch.allclose(sliding((6, 6, 6))(volume, network), total / count, atol=1e-5)


@given(shape=st.tuples(*[st.integers(3, 14)] * 3), at_once=st.integers(1, 5))
def test_a_network_without_context_gives_what_it_gives_at_once(shape: tuple[int, int, int], at_once: int) -> None:
    volume = torch.randn(1, 2, *shape, generator=torch.Generator().manual_seed(1))
    answer = sliding((6, 5, 8), at_once=at_once)(volume, lambda x: x * 2 + 1)
    assert answer.shape == volume.shape
    assert torch.allclose(answer, volume * 2 + 1, atol=1e-5)


def test_a_small_volume_is_padded_with_its_lowest_value() -> None:
    seen: list[Tensor] = []

    def network(x: Tensor) -> Tensor:
        seen.append(x.clone())
        return x

    volume = torch.rand(1, 2, 3, 4, 9) + torch.tensor([5.0, -7.0])[:, None, None, None]
    answer = sliding((5, 4, 5))(volume, network)
    assert torch.allclose(answer, volume)
    assert all(window.shape == (1, 2, 5, 4, 5) for window in seen)
    for channel in range(2):
        assert (seen[0][0, channel, 0] == volume[0, channel].min()).all()
        assert (seen[0][0, channel, 4] == volume[0, channel].min()).all()


class Counting(nn.Module):
    """A network with context, whose logits in air are not 0; `seen` has the windows that it was given."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.Sequential(
            nn.Conv3d(channels, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 3, 3, padding=1)
        ).eval()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen += x.split(1)  # type: ignore[no-untyped-call]
        answer: Tensor = self.layers(x)
        return answer


def is_flat(window: Tensor) -> bool:
    return all(len(channel.unique()) == 1 for channel in window[0])


@settings(max_examples=25)
@given(
    shape=st.tuples(*[st.integers(9, 20)] * 3),
    first=st.tuples(*[st.integers(0, 12)] * 3),
    length=st.integers(0, 9),
    air=st.sampled_from([0.0, -1.5, 3.0]),
    at_once=st.integers(1, 3),
    size=st.sampled_from([(4, 4, 4), (6, 4, 5)]),
)
def test_a_body_in_air_has_the_mask_of_all_windows(
    shape: tuple[int, int, int],
    first: tuple[int, int, int],
    length: int,
    air: float,
    at_once: int,
    size: tuple[int, ...],
) -> None:
    volume = torch.full((1, 1, *shape), air)
    body = volume[(..., *(slice(start, start + length) for start in first))]
    body += torch.randn(body.shape, generator=torch.Generator().manual_seed(5))
    every, few = Counting(), Counting()
    with torch.no_grad():
        expected = sliding(size, at_once=at_once, pass_over_empty=False)(volume, every)
        found = sliding(size, at_once=at_once)(volume, few)
    assert torch.allclose(found, expected, atol=1e-5)
    for number in range(3):
        ours, theirs = found.argmax(1) == number, expected.argmax(1) == number
        assert 2 * (ours & theirs).sum() >= 0.999 * (ours.sum() + theirs.sum())
    flat = sum(map(is_flat, every.seen))
    assert len(few.seen) == len(every.seen) - max(0, flat - 1)
    assert sum(map(is_flat, few.seen)) == min(1, flat)


def test_windows_of_another_value_have_an_answer_of_their_own(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("medseg_monai.inference.windows")
    monkeypatch.setattr(logger, "disabled", False)  # as the logging.conf of a bundle that ran before may have left it
    volume = torch.zeros(1, 1, 24, 4, 4)
    volume[:, :, 12:] = 2.0
    network = Counting()
    with caplog.at_level("DEBUG", logger.name), torch.no_grad():
        answer = sliding((4, 4, 4))(volume, network)
        expected = sliding((4, 4, 4), pass_over_empty=False)(volume, network)
    assert caplog.messages == ["passed over 10 of 11 windows, which hold a single value"]
    assert sorted(float(window.unique()) for window in network.seen[:3] if is_flat(window)) == [0.0, 2.0]
    assert torch.allclose(answer, expected, atol=1e-5)


def test_noise_and_one_channel_of_two_are_something() -> None:
    noise = 1e-4 * torch.randn(1, 1, 12, 8, 8)
    halves = torch.cat([torch.zeros(1, 1, 12, 8, 8), noise], dim=1)
    for volume, channels in ((noise, 1), (halves, 2)):
        network = Counting(channels)
        with torch.no_grad():
            sliding((4, 4, 4))(volume, network)
        assert len(network.seen) == 5 * 3 * 3


def test_a_voxel_that_is_not_a_number_is_seen_by_the_network() -> None:
    """So that the answer is not finite, and is refused, rather than taken from elsewhere."""
    volume = torch.zeros(1, 1, 8, 8, 8)
    volume[..., 5, 6, 7] = torch.nan
    with torch.no_grad():
        assert sliding((4, 4, 4))(volume, Counting())[..., 5, 6, 7].isnan().all()


def test_the_windows_in_the_middle_are_first() -> None:
    volume = torch.arange(20.0)[:, None, None].expand(1, 1, 20, 4, 4)
    network = Counting()
    with torch.no_grad():
        sliding((4, 4, 4))(volume, network)
    assert [abs(float(window[0, 0, 0, 0, 0]) - 8) for window in network.seen] == [0, 2, 2, 4, 4, 6, 6, 8, 8]


def test_a_large_map_is_kept_in_half_precision() -> None:
    volume = torch.randn(1, 1, 12, 12, 12)
    small, large = (sliding((6, 6, 6), half_above_bytes=limit)(volume, lambda x: 3 * x) for limit in (2**30, 100))
    assert (small.dtype, large.dtype) == (torch.float32, torch.float16)
    assert (small - large.float()).abs().max() < 0.02


def test_an_overlap_of_1_would_never_end() -> None:
    with pytest.raises(ValueError, match="overlap is 1; it must be in "):
        sliding((4, 4, 4), overlap=1)
