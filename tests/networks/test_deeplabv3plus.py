"""DeepLabV3+: reach of the atrous branches, image pooling, strides, size."""

import pytest
import torch

from medseg_monai.networks import DeepLabV3Plus
from medseg_monai.networks.deeplabv3plus import AtrousPyramid, ImagePooling, SeparableConv


@pytest.mark.parametrize("rate", [1, 6, 12])
def test_a_dilated_convolution_sees_nine_pixels_at_its_rate(rate):
    conv = SeparableConv(1, 1, dilation=rate).eval()
    for parameter in conv.parameters():
        torch.nn.init.ones_(parameter)
    x = torch.randn(1, 1, 31, 33, requires_grad=True)
    conv[0](x)[0, 0, 15, 16].backward()
    rows, columns = torch.nonzero(x.grad[0, 0], as_tuple=True)
    assert sorted({*rows.tolist()}) == [15 - rate, 15, 15 + rate]
    assert sorted({*columns.tolist()}) == [16 - rate, 16, 16 + rate]


def test_a_separable_convolution_is_its_full_one():
    conv = SeparableConv(3, 2).eval()
    depthwise, pointwise = conv[0].weight, conv[1][0].weight
    full = torch.einsum("oc,chw->ochw", pointwise[:, :, 0, 0], depthwise[:, 0])
    x = torch.randn(1, 3, 6, 7)
    torch.testing.assert_close(conv[1][0](conv[0](x)), torch.nn.functional.conv2d(x, full, padding=1))


def test_image_pooling_is_one_vector_everywhere():
    pooled = ImagePooling(4, 3)(torch.randn(2, 4, 5, 6))
    assert pooled.shape == (2, 3, 5, 6)
    assert torch.equal(pooled, pooled[:, :, :1, :1].expand_as(pooled))


def test_pyramid_has_five_views():
    pyramid = AtrousPyramid(4, 3, rates=(6, 12, 18), dropout=0)
    assert len(pyramid.branches) == 5
    assert pyramid.project[0][0].in_channels == 15
    assert [branch[0].dilation[0] for branch in pyramid.branches[1:4]] == [6, 12, 18]


def test_what_is_published_is_the_default():
    network = DeepLabV3Plus(1, 1, width=2, skip_width=1)
    assert network.encoder.channels == (32, 64, 128, 256)
    dilations = [module.dilation[0] for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert sorted(dilation for dilation in dilations if dilation > 1) == [6, 12, 18]
    assert [module.p for module in network.modules() if isinstance(module, torch.nn.Dropout)] == [0.1]


def test_context_lies_where_it_was_computed_at_sizes_that_its_stride_does_not_divide():
    """33 rows are 3 of stride 16 and 9 of stride 4, of which the first four lie under the first, the last one under the third."""
    network = DeepLabV3Plus(1, 1, features=(4, 4, 4, 4), width=2, skip_width=1).eval()
    taken = []
    network.bottleneck.register_forward_hook(
        lambda _module, _inputs, output: torch.arange(3.0).view(1, 1, 3, 1).expand(output.shape)
    )
    network.last_stage.register_forward_hook(lambda _module, inputs, _output: taken.append(inputs[0][0, 0]))
    with torch.no_grad():
        network(torch.zeros(1, 1, 33, 48))
    # the centre of row r lies at (r + 0.5) / 4 - 0.5 of the coarse rows
    expected = [min(max((row + 0.5) / 4 - 0.5, 0), 2) for row in range(9)]
    assert taken[0].shape == (9, 12)
    assert taken[0][:, 5].tolist() == pytest.approx(expected)


def test_size_by_hand():
    # ResNet-50 without its classifier 23,508,032
    pyramid = 2048 * 256 + 512 + 3 * (9 * 2048 + 2048 * 256 + 512) + 2048 * 256 + 512 + 5 * 256 * 256 + 512
    decoder = 256 * 48 + 96 + 9 * 304 + 304 * 256 + 512 + 9 * 256 + 256 * 256 + 512 + 256 + 1
    network = DeepLabV3Plus(3, 1, encoder="resnet50")
    assert sum(p.numel() for p in network.parameters()) == 23_508_032 + pyramid + decoder
    assert network.encoder.strides == (2, 4, 8, 16, 16)
    assert network.encoder.channels[network.fine] == 256


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output_stride": 32}, "8 or 16, not 32"),
        ({"spatial_dims": 3}, "only for images\\), not 3"),
        ({"decoder_convs": 0}, "at least 1"),
        ({"features": (64, 64)}, "at least 3"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        DeepLabV3Plus(3, 1, **arguments)
