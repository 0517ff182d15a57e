"""Quickened layers give what torch's own layers give, and only layers that are what they seem are exchanged."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from medseg_monai.engines.onednn import Convolution, InstanceNorm, TransposedConvolution, quickened
from medseg_monai.engines.runners import torch_runner
from medseg_monai.networks import DeepLabV3Plus, UNet

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")


def layers(network: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


@needs_onednn
@settings(max_examples=30)
@given(
    dims=st.sampled_from([2, 3]), side=st.integers(3, 9), kernel=st.sampled_from([1, 3]), stride=st.integers(1, 2),
    dilation=st.integers(1, 2), groups=st.sampled_from([1, 2]), bias=st.booleans(), count=st.integers(1, 3),
)  # fmt: skip
def test_a_convolution_is_that_of_double_precision(
    dims: int, side: int, kernel: int, stride: int, dilation: int, groups: int, bias: bool, count: int
) -> None:
    make, convolve = {2: (nn.Conv2d, F.conv2d), 3: (nn.Conv3d, F.conv3d)}[dims]
    torch.manual_seed(0)
    layer = make(
        4, 6, kernel, stride=stride, dilation=dilation, groups=groups, bias=bias, padding=dilation * (kernel // 2)
    )
    image = torch.randn(count, 4, *[side, side + 1, side + 2][:dims])
    exact = convolve(
        image.double(), layer.weight.double(), None if layer.bias is None else layer.bias.double(),
        layer.stride, layer.padding, layer.dilation, groups,
    )  # fmt: skip
    with torch.no_grad():
        assert torch.allclose(quickened(nn.Sequential(layer))(image).double(), exact, atol=1e-5)


@needs_onednn
@settings(max_examples=30)
@given(
    dims=st.sampled_from([2, 3]), side=st.integers(1, 6), kernel=st.lists(st.integers(1, 3), min_size=3, max_size=3),
    bias=st.booleans(), count=st.integers(1, 2), large=st.booleans(),
)  # fmt: skip
def test_a_transposed_convolution_is_that_of_double_precision(
    dims: int, side: int, kernel: list[int], bias: bool, count: int, large: bool
) -> None:
    """Kernels differ along the axes; one image or two, above and below the size from which torch passes it to oneDNN."""
    make = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[dims]
    torch.manual_seed(0)
    layer = make(4, 3, tuple(kernel[:dims]), stride=tuple(kernel[:dims]), bias=bias)
    image = torch.randn(count, 4, *[side, side + 1, side + 2][:dims])
    exact = copy.deepcopy(layer).double()(image.double())
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr("medseg_monai.engines.onednn.SMALL", 0 if large else 20480)
        answer = quickened(nn.Sequential(layer))(image)
    assert torch.allclose(answer.double(), exact, atol=1e-5)
    assert answer.is_contiguous(memory_format=torch.channels_last if dims == 2 else torch.channels_last_3d)


@pytest.mark.parametrize(("norm", "shape"), [(nn.InstanceNorm2d, (3, 4, 5, 7)), (nn.InstanceNorm3d, (2, 4, 5, 3, 7))])
@pytest.mark.parametrize("affine", [True, False])
def test_each_image_has_mean_0_and_variance_1(norm: type[nn.Module], shape: tuple[int, ...], affine: bool) -> None:
    torch.manual_seed(0)
    layer = norm(4, affine=affine)
    if affine:
        nn.init.constant_(layer.weight, 3.0)
        nn.init.constant_(layer.bias, -1.0)
    answer = quickened(nn.Sequential(layer))(5 + 2 * torch.randn(shape)).detach()
    scale, shift = (3.0, -1.0) if affine else (1.0, 0.0)
    for image in answer:
        for channel in image:
            assert float(channel.mean()) == pytest.approx(shift, abs=1e-5)
            assert float(channel.var(correction=0)) == pytest.approx(scale**2, rel=1e-4)


@needs_onednn
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_a_whole_network_keeps_its_logits_layout_and_weights(norm: str) -> None:
    torch.manual_seed(0)
    network = UNet(2, 3, features=(4, 8, 8), spatial_dims=3, norm=norm).eval().to(memory_format=torch.channels_last_3d)
    quick = quickened(network)
    windows = torch.randn(2, 2, 13, 9, 16).contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        assert torch.allclose(quick(windows), network(windows), atol=1e-4)
    assert layers(quick, Convolution) == layers(network, nn.Conv3d)
    assert layers(quick, InstanceNorm) == layers(network, nn.InstanceNorm3d)
    assert layers(quick, TransposedConvolution) == layers(network, nn.ConvTranspose3d) == 2
    assert layers(network, nn.Conv3d) > 0  # the given network is left as it was
    addresses = {parameter.data_ptr() for parameter in network.parameters()}
    assert {parameter.data_ptr() for parameter in quick.parameters()} <= addresses  # and its weights are not copied


@needs_onednn
@pytest.mark.parametrize(("dilation", "groups", "first"), [(2, 4, True), (1, 4, False), (2, 2, False), (2, 1, False)])
def test_only_dilated_convolutions_of_one_channel_each_are_computed_channels_first(
    dilation: int, groups: int, first: bool
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, 3, padding=dilation, dilation=dilation, groups=groups).to(memory_format=torch.channels_last)
    [quick] = quickened(nn.Sequential(layer))
    assert quick.channels_first == first
    assert quick.weight.stride()[1] == (9 if first else layer.weight.stride()[1])
    images = torch.randn(2, 4, 9, 12).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        answer = quick(images)
        assert torch.allclose(answer, layer(images), atol=1e-5)
    assert answer.is_contiguous(memory_format=torch.channels_last)


@needs_onednn
def test_no_convolution_of_one_window_is_left_to_slow_code() -> None:
    """Of those that torch would compute itself: small maps of one image, and 1x1 kernels on one core."""
    names: list[str] = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            names.append(str(func))
            return func(*args, **(kwargs or {}))

    network = UNet(1, 2, features=(4, 8), spatial_dims=3).eval()
    run = torch_runner(network, None)
    with Watch():
        run(torch.randn(1, 1, 8, 8, 8))
    convolutions = [name for name in names if "conv" in name]
    wanted = layers(network, nn.Conv3d) + layers(network, nn.ConvTranspose3d)
    assert sum("mkldnn_convolution" in name for name in convolutions) == wanted


class Halved(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) / 2


@pytest.mark.parametrize(
    "layer",
    [
        Halved(2, 2, 1),
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(2, 2, 3, padding="same"),
        nn.Conv2d(2, 2, 1, dtype=torch.bfloat16),
        nn.InstanceNorm2d(2, track_running_stats=True),
        nn.ConvTranspose2d(2, 2, 2),
        nn.ConvTranspose2d(2, 2, 3, stride=2, padding=1),
        nn.ConvTranspose2d(2, 2, 2, stride=2, output_padding=1),
        nn.ConvTranspose2d(2, 2, 2, stride=2, groups=2),
        nn.ConvTranspose3d(2, 2, 2, stride=2, dtype=torch.bfloat16),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_other_layers_stay(layer: nn.Module) -> None:
    [copied] = quickened(nn.Sequential(layer))
    assert type(copied) is type(layer)


def test_without_onednn_convolutions_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    network = DeepLabV3Plus(3, 2, features=(4, 8, 8, 8), width=8, skip_width=4).eval()
    assert layers(quickened(network), Convolution) == 0
