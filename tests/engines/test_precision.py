import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from medseg_monai.engines.precision import PrecisionInferer, default_device, placed, precision_of


@pytest.mark.parametrize(("name", "dtype"), [("fp32", None), ("bf16", torch.bfloat16)])
def test_precision_by_name(name: str, dtype: torch.dtype | None) -> None:
    assert precision_of(name, "cpu") is dtype


@pytest.mark.parametrize(("name", "message"), [("half", "auto, fp32, bf16 or fp16"), ("fp16", "needs a CUDA device")])
def test_wrong_precision_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        precision_of(name, "cpu")


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_gpu_that_only_imitates_bfloat16_computes_in_float16(
    monkeypatch: pytest.MonkeyPatch, native: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or native)
    assert precision_of("auto", "cuda") is dtype
    assert precision_of("fp16", "cuda") is torch.float16


@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
@pytest.mark.parametrize(
    ("limit", "capability", "dtype"),
    [("", "AVX512", torch.bfloat16), ("avx2", "AVX512", None), ("AVX512_CORE", "AVX512", None), ("", "AVX2", None)],
)
def test_a_cpu_computes_in_bfloat16_if_it_has_it_and_nothing_switches_it_off(
    monkeypatch: pytest.MonkeyPatch, variable: str, limit: str, capability: str, dtype: torch.dtype | None
) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setenv(variable, limit)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert precision_of("auto", "cpu") is dtype


@pytest.mark.parametrize(
    ("gpu", "apple", "device"), [(True, True, "cuda:0"), (False, True, "mps"), (False, False, "cpu")]
)
def test_the_default_device_is_the_first_gpu(
    monkeypatch: pytest.MonkeyPatch, gpu: bool, apple: bool, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)
    assert default_device() == torch.device(device)
    assert precision_of("auto", "mps") is None


@pytest.mark.parametrize(
    ("shape", "layout"), [((2, 3, 8, 8), torch.channels_last), ((2, 3, 8, 8, 8), torch.channels_last_3d)]
)
def test_images_are_laid_out_as_convolutions_want_them(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    seen: list[torch.Tensor] = []
    PrecisionInferer("fp32", "cpu")(torch.zeros(shape), lambda image: seen.append(image) or image)
    assert seen[0].is_contiguous(memory_format=layout)


def test_low_precision_answers_are_float32_and_close() -> None:
    torch.manual_seed(0)
    network, image = nn.Conv2d(3, 2, 3), torch.randn(1, 3, 16, 16)
    exact, rough = (PrecisionInferer(name, "cpu")(image, network) for name in ("fp32", "bf16"))
    assert isinstance(rough, torch.Tensor)
    assert rough.dtype == torch.float32
    assert torch.allclose(rough, exact, atol=0.05)
    assert not torch.equal(rough, exact)


@pytest.mark.parametrize(("network", "strides"), [(nn.Conv2d(4, 8, 3), (36, 1, 12, 4)), (nn.Linear(4, 8), (4, 1))])
def test_placed_lays_convolutions_channels_last(network: nn.Module, strides: tuple[int, ...]) -> None:
    assert placed(network, "cpu").weight.stride() == strides


def test_placed_takes_3d_networks() -> None:
    network = placed(nn.Conv3d(2, 3, 3), "cpu")
    assert network.weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert PrecisionInferer("fp32", "cpu")(torch.zeros(1, 2, 8, 8, 8), network).shape == (1, 3, 6, 6, 6)


@pytest.mark.parametrize("channels", [2, 8])
def test_depthwise_convolutions_learn_in_float32_on_a_cpu(channels: int) -> None:
    torch.manual_seed(0)
    network, image = nn.Conv2d(channels, channels, 3, groups=channels), torch.randn(2, channels, 9, 7)
    exact, mixed = (PrecisionInferer(name, "cpu")(image, network) for name in ("fp32", "bf16"))
    assert isinstance(mixed, torch.Tensor)
    assert torch.equal(mixed, exact)
    assert mixed.requires_grad
    with torch.no_grad():
        rough = PrecisionInferer("bf16", "cpu")(image, network)
    assert not torch.equal(rough, exact)


@pytest.mark.parametrize("network", [nn.Conv2d(4, 8, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(1, 4, 3)])
def test_other_convolutions_learn_in_lower_precision(network: nn.Conv2d) -> None:
    torch.manual_seed(0)
    image = torch.randn(1, network.in_channels, 9, 7)
    exact, rough = (PrecisionInferer(name, "cpu")(image, network) for name in ("fp32", "bf16"))
    assert isinstance(rough, torch.Tensor)
    assert not torch.equal(rough, exact)


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (nn.Conv3d(4, 4, 3, padding=1), (2, 2, 2)),
        (nn.Conv3d(4, 4, 3, padding=1), (8, 2, 8)),
        (nn.Conv3d(4, 4, 3, stride=2, padding=1), (1, 1, 1)),
        (nn.Conv2d(4, 4, 3, stride=2, padding=1), (1, 1)),
        (nn.Conv2d(16, 8, 2, stride=4, padding=1), (2, 2)),  # as long as what it reads, longer than what it writes
        (nn.Conv3d(4, 8, 3, stride=4, padding=1), (3, 3, 3)),
        (nn.ConvTranspose3d(4, 4, 3, padding=1), (2, 2, 2)),
        (nn.ConvTranspose3d(4, 4, 4, padding=1), (2, 2, 2)),
        (nn.ConvTranspose2d(4, 8, 7, stride=4, padding=3, output_padding=1), (1, 1)),
    ],
)
def test_convolutions_longer_than_the_image_learn_in_float32(network: nn.Conv3d, size: tuple[int, ...]) -> None:
    """In bfloat16 their weights' gradients were now and then NaN: computed with memory that nobody has written."""
    torch.manual_seed(0)
    image, gradients = torch.randn(2, network.in_channels, *size), []
    for precision in ("fp32", *["bf16"] * 10):
        inferer, placed_network = PrecisionInferer(precision, "cpu"), placed(network, "cpu")
        placed_network.zero_grad()
        answer = inferer(image, placed_network)
        assert isinstance(answer, torch.Tensor)
        answer.square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in placed_network.parameters()])  # type: ignore[union-attr]
        del answer
        dirt = [torch.full((number,), torch.nan) for number in range(100, 5000, 100)]  # what freed memory may hold
        del dirt
    assert all(torch.equal(*pair) for later in gradients[1:] for pair in zip(gradients[0], later, strict=True))


class Layouts(TorchFunctionMode):
    """Notes of each 2D convolution whether image and weights lie channels first in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.first: list[tuple[bool, bool]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.conv2d:
            self.first.append(tuple(part.stride() == plain_strides(part) for part in args[:2]))  # type: ignore[arg-type]
        return func(*args, **(kwargs or {}))


def plain_strides(part: torch.Tensor) -> tuple[int, ...]:
    return tuple(math.prod(part.shape[axis + 1 :]) for axis in range(part.ndim))


@pytest.mark.parametrize(("processor", "first"), [("AVX2", True), ("AVX512", False)])
def test_dilated_convolutions_of_one_channel_each_learn_channels_first_with_avx2(
    processor: str, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    torch.manual_seed(0)
    dilated = nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=6)
    network = placed(
        nn.Sequential(dilated, nn.Conv2d(6, 4, 3, padding=2, dilation=2), nn.Conv2d(4, 4, 3, groups=4)), "cpu"
    )
    image = torch.randn(2, 6, 9, 7)
    expected = network(image)
    expected.square().sum().backward()
    gradients = [parameter.grad.clone() for parameter in network.parameters()]  # type: ignore[union-attr]
    network.zero_grad()
    with Layouts() as seen:
        answer = PrecisionInferer("fp32", "cpu")(image, network)
    assert isinstance(answer, torch.Tensor)
    answer.square().sum().backward()
    assert seen.first == [(first, first), (False, False), (False, False)]
    assert torch.allclose(answer, expected, atol=1e-5)
    assert all(
        torch.allclose(parameter.grad, gradient, rtol=1e-4, atol=1e-4)  # type: ignore[arg-type]
        for parameter, gradient in zip(network.parameters(), gradients, strict=True)
    )
    with torch.no_grad(), Layouts() as seen:
        PrecisionInferer("fp32", "cpu")(image, network)
    assert seen.first == [(False, False)] * 3


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_arguments_may_be_given_by_name(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    weight = torch.randn(6, 1, 3, 3, requires_grad=True)
    settings: dict[str, Any] = {"weight": weight, "padding": 2, "dilation": [2, 2], "groups": 6}
    image = torch.randn(2, 6, 9, 7)
    answer = PrecisionInferer(precision, "cpu")(image, lambda image: F.conv2d(input=image, **settings))
    assert isinstance(answer, torch.Tensor)
    assert torch.allclose(answer, F.conv2d(image, **settings), atol=1e-5)  # in float32, as all of one channel each
