"""PSPNet: pooling against torch's adaptive pooling, reach, batch of one, heads."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg_monai.networks import PSPNet
from medseg_monai.networks.pspnet import PyramidConv, PyramidPooling, averaging_matrix, enlarging_matrix


@given(st.integers(1, 8), st.integers(1, 30))
@settings(deadline=None)
def test_averaging_matrix_is_adaptive_pooling(bins, length):
    line = torch.randn(1, 1, length, dtype=torch.float64)
    ours = line @ averaging_matrix(bins, length, line).t()
    torch.testing.assert_close(ours, F.adaptive_avg_pool1d(line, bins))


def test_pooling_by_hand():
    # a 4 x 6 picture of row numbers: the 2 x 2 bins hold the means of rows 0, 1 and of rows 2, 3
    x = torch.arange(4.0).view(1, 1, 4, 1).expand(1, 1, 4, 6)
    rows, columns = averaging_matrix(2, 4, x), averaging_matrix(2, 6, x)
    assert (rows @ x @ columns.t()).tolist() == [[[[0.5, 0.5], [2.5, 2.5]]]]


@given(st.integers(1, 8), st.integers(1, 30))
@settings(deadline=None)
def test_enlarging_matrix_is_bilinear_interpolation(bins, length):
    line = torch.randn(1, 1, bins, dtype=torch.float64)
    ours = line @ enlarging_matrix(length, bins, line).t()
    expected = F.interpolate(line, length, mode="linear", align_corners=False)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)  # the matrix is made in float32


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_pyramid_is_the_published_concatenation(kernel_size):
    """Pool with torch, enlarge, concatenate, convolve with the parts' weights side by side: the same numbers and gradients."""
    torch.manual_seed(0)
    pooling = PyramidPooling(8, bins=(1, 2, 3, 6))
    fusion = PyramidConv(8, 2, 5, branches=4, kernel_size=kernel_size)
    x = torch.randn(2, 8, 13, 7, requires_grad=True)
    parts = [x]
    for bins, branch in zip((1, 2, 3, 6), pooling.branches, strict=True):
        parts.append(
            F.interpolate(branch(F.adaptive_avg_pool2d(x, bins)), (13, 7), mode="bilinear", align_corners=False)
        )
    weight = torch.cat([fusion.own.weight, *[part.weight for part in fusion.pooled]], 1)
    expected = F.conv2d(torch.cat(parts, 1), weight, padding=kernel_size // 2)

    ours = fusion(x, pooling(x))

    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    some = torch.randn_like(expected)
    for left, right in zip(
        *(torch.autograd.grad((y * some).sum(), [x, *fusion.parameters()]) for y in (ours, expected)), strict=True
    ):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)


def test_every_pixel_sees_the_whole_picture_through_the_pyramid_alone():
    torch.manual_seed(0)
    network = PSPNet(1, 1, features=(8, 12), width=8).eval()
    x = torch.randn(1, 1, 96, 96, requires_grad=True)
    far_gradient = []
    for output in (network(x), network.encoder(x)[-1]):
        x.grad = None
        output[0, :, 0, 0].sum().backward()
        far_gradient.append(x.grad[0, 0, -1, -1].item())
    assert far_gradient[0] != 0
    assert far_gradient[1] == 0


def test_pooled_branches_treat_an_image_alike_alone_and_in_a_batch():
    pooling = PyramidPooling(8, bins=(1, 2)).train()
    x = torch.randn(3, 8, 7, 7)
    for together, alone in zip(pooling(x), pooling(x[:1]), strict=True):
        torch.testing.assert_close(together[:1], alone)
        assert alone.std() > 0


def test_auxiliary_head_only_in_training():
    network = PSPNet(1, 2, features=(8, 12), width=8)
    main, auxiliary = network.train()(torch.zeros(2, 1, 33, 40))
    assert main.shape == auxiliary.shape == (2, 2, 33, 40)
    assert isinstance(network.eval()(torch.zeros(2, 1, 33, 40)), torch.Tensor)


def test_published_size():
    # ResNet-50 without its classifier 23,508,032; the rest by hand
    pooling = 4 * (2048 * 512 + 2 * 512)
    before = 9 * 4096 * 512 + 2 * 512
    auxiliary = 9 * 1024 * 256 + 2 * 256 + 256 + 1
    network = PSPNet(3, 1, encoder="resnet50")
    assert sum(p.numel() for p in network.parameters()) == 23_508_032 + pooling + before + 512 + 1 + auxiliary
    assert network.encoder.strides == (2, 4, 8, 8, 8)


def test_what_is_published_is_the_default():
    network = PSPNet(1, 1, width=8)
    assert network.encoder.channels == (128, 512)
    sides = [tuple(pooled.shape[2:]) for pooled in network.pooling(torch.zeros(2, 512, 12, 12))]
    assert sides == [(1, 1), (2, 2), (3, 3), (6, 6)]
    assert [module.p for module in network.modules() if isinstance(module, torch.nn.Dropout2d)] == [0.1, 0.1]


def test_least_arguments_are_taken():
    network = PSPNet(1, 2, encoder="resnet10t", levels=2, bins=(1,), fusion_kernel=1, width=8).eval()
    assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 2, 64, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output_stride": 32}, "8 or 16, not 32"),
        ({"spatial_dims": 3}, r"only for images\), not 3"),
        ({"features": (64,)}, "at least 2"),
        ({"fusion_kernel": 2}, "odd number, not 2"),
        ({"bins": ()}, r"bins must be one or more numbers of at least 1, not \(\)"),
        ({"bins": (0, 1)}, "bins must be one or more numbers"),
        ({"encoder": "resnet18", "levels": 1}, "levels must be at least 2"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PSPNet(3, 1, **arguments)


@pytest.mark.parametrize("output_stride", [8, 16])
def test_an_encoder_of_timm_has_either_output_stride(output_stride):
    network = PSPNet(3, 1, encoder="resnet10t", output_stride=output_stride, width=8)
    assert network.stride == output_stride
