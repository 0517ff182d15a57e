"""PSPNet: pooling against torch's adaptive pooling, reach, batch of one, heads."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medseg_monai.networks import PSPNet
from medseg_monai.networks.pspnet import PyramidPooling, averaging_matrix


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


def test_pyramid_is_the_input_then_its_pooled_maps():
    """With projections that change nothing, the pooled maps are torch's adaptive pooling, upsampled."""
    pooling = PyramidPooling(4)
    for index, branch in enumerate(pooling.branches):
        pooling.branches[index] = nn.Conv2d(4, 1, kernel_size=1, bias=False)
        nn.init.constant_(pooling.branches[index].weight, 0.25)
        assert branch[0].out_channels == 1
    x = torch.randn(2, 4, 13, 8)
    parts = [x]
    for bins in (1, 2, 3, 6):
        pooled = F.adaptive_avg_pool2d(x.mean(1, keepdim=True), bins)
        parts.append(F.interpolate(pooled, (13, 8), mode="bilinear", align_corners=False))
    torch.testing.assert_close(pooling(x), torch.cat(parts, 1))


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


def test_an_image_is_treated_alike_alone_and_in_a_batch_by_the_pooled_branches():
    pooling = PyramidPooling(8).train()
    x = torch.randn(3, 8, 7, 7)
    torch.testing.assert_close(pooling(x)[:1], pooling(x[:1]))
    assert pooling(x[:1])[:, 8:].std() > 0


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output_stride": 32}, "8 or 16, not 32"),
        ({"spatial_dims": 3}, "images alone, not 3"),
        ({"features": (64,)}, "at least 2"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PSPNet(3, 1, **arguments)
