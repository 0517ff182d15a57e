"""Blocks that networks share, in 2D and 3D, against torch's own."""

import pytest
import torch
import torch.nn.functional as F

from medseg_monai.networks.blocks import (
    HalvePool,
    Subsample,
    convolution,
    logits_convolution,
    normalisation,
    to_image_size,
)

SIZES = [(9, 12), (9, 12, 7)]
HALVED = [((9, 12), (5, 6)), ((9, 12, 7), (5, 6, 4))]  # rounded up


@pytest.mark.parametrize("size", SIZES)
def test_subsampling_before_a_1x1_convolution_is_its_stride(size: tuple[int, ...]) -> None:
    strided = (torch.nn.Conv2d if len(size) == 2 else torch.nn.Conv3d)(3, 5, 1, stride=2)
    plain = F.conv2d if len(size) == 2 else F.conv3d
    image = torch.randn(2, 3, *size)
    torch.testing.assert_close(plain(Subsample(2)(image), strided.weight, strided.bias), strided(image))
    assert torch.equal(Subsample(1)(image), image)


@pytest.mark.parametrize(("size", "half"), HALVED)
def test_pooling_keeps_an_odd_last_row(size: tuple[int, ...], half: tuple[int, ...]) -> None:
    image = torch.zeros(1, 1, *size)
    image[..., -1] = image[:, :, -1] = 1  # the last row, and the last along the last axis
    pooled = HalvePool()(image)
    assert pooled.shape == (1, 1, *half)
    assert pooled[:, :, -1].min() == pooled[..., -1].min() == 1
    assert pooled[:, :, :-1, ..., :-1].max() == 0


@pytest.mark.parametrize(("size", "half"), HALVED)
@pytest.mark.parametrize(("kernel_size", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 1)])
def test_a_convolution_keeps_the_size_or_halves_it(
    size: tuple[int, ...], half: tuple[int, ...], kernel_size: int, dilation: int
) -> None:
    dims = len(size)
    image = torch.zeros(1, 2, *size)
    for stride, expected in ((1, size), (2, half)):
        conv = convolution(2, 4, kernel_size=kernel_size, stride=stride, dilation=dilation, groups=2, spatial_dims=dims)
        assert conv(image).shape == (1, 4, *expected)
        assert conv.weight.shape == (4, 1, *[kernel_size] * dims)  # two groups of one channel each
        assert conv.bias is None


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("width", [16, 256])
def test_logits_begin_as_large_as_their_features(width: int, dims: int) -> None:
    torch.manual_seed(0)
    heads = [logits_convolution(width, 1, spatial_dims=dims) for _ in range(200)]
    features = torch.randn(1, width, *[4] * dims)
    logits = torch.stack([head(features) for head in heads])
    # the sum of `width` products of variance 2 / (width + 1), Glorot's; torch's own start gives 1 / 3
    assert logits.var().item() == pytest.approx(2 * width / (width + 1), rel=0.15)
    assert all(not head.bias.any() for head in heads)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["batch", "instance"])
def test_norms_begin_with_mean_0_and_std_1_and_learn_others(kind: str, size: tuple[int, ...]) -> None:
    norm = normalisation(3, kind=kind, spatial_dims=len(size)).train()
    x = 5 + 2 * torch.randn(2, 3, *size)
    over = (0, *range(2, x.ndim)) if kind == "batch" else tuple(range(2, x.ndim))  # an image by itself, or all together
    std, mean = torch.std_mean(norm(x), dim=over, correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-5, rtol=0)
    torch.testing.assert_close(std, torch.ones_like(std), atol=1e-4, rtol=0)
    assert [tuple(parameter.shape) for parameter in norm.parameters()] == [(3,), (3,)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_logits_lie_where_they_were_computed(stride: int, size: tuple[int, ...]) -> None:
    """Each holds its own place along the first axis, in pixels of the image."""
    rows = -(-size[0] // stride)
    places = (torch.arange(rows) + 0.5) * stride - 0.5
    coarse = places.view(1, 1, rows, *[1] * (len(size) - 1)).expand(1, 1, rows, *(-(-n // stride) for n in size[1:]))
    fine = to_image_size(coarse, stride, list(size))
    assert fine.shape == (1, 1, *size)
    expected = torch.arange(size[0]).clamp(places[0], places[-1])
    torch.testing.assert_close(fine.flatten(3).mean(-1)[0, 0], expected)
