"""U-Net: published size, alignment of what is cropped, named stages."""

import pytest
import torch
from torch import nn

from medseg_monai.networks import UNet


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def conv_block(came, width):
    """Parameters of two 3x3 convolutions without bias, each with a batch norm's scale and shift."""
    return 9 * came * width + 9 * width * width + 4 * width


def test_published_size_by_hand():
    widths = (64, 128, 256, 512, 1024)
    down = sum(conv_block(came, width) for came, width in zip((3, *widths[:-1]), widths, strict=True))
    up = sum(4 * 2 * width * width + width + conv_block(2 * width, width) for width in widths[:-1])
    assert parameters(UNet(3, 1)) == down + up + 64 + 1
    assert down + up == pytest.approx(31.04e6, abs=5e3)


def test_named_stages_pass_on_the_deepest_and_the_last_features():
    network = UNet(1, 1, features=(4, 5, 6)).eval()
    shapes = {}
    for name in ("bottleneck", "last_stage"):
        network.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: shapes.update({name: tuple(output.shape)})
        )
    network(torch.zeros(2, 1, 33, 64))
    assert shapes == {"bottleneck": (2, 6, 9, 16), "last_stage": (2, 4, 33, 64)}


def test_odd_sizes_lose_no_row():
    """Each logit depends on its own pixel, the last row and column too."""
    torch.manual_seed(0)
    network = UNet(1, 1, features=(4, 5, 6)).eval()
    x = torch.randn(1, 1, 35, 37, requires_grad=True)
    network(x)[0, 0, 34, 36].backward()
    assert x.grad[0, 0, 34, 36] != 0


def test_half_stem_logits_are_not_shifted():
    """A step edge in the image, seen by a stem that only averages, comes out where it was."""
    network = UNet(1, 1, features=(1, 1), stem_stride=2).eval()
    network.encoder.stages[0] = nn.AvgPool2d(2, ceil_mode=True)
    network.decoder[0] = Second()
    nn.init.ones_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    x = torch.zeros(1, 1, 40, 33)
    x[:, :, 20:] = 1
    with torch.no_grad():
        logits = network(x)
    assert torch.equal(logits > 0.5, x > 0.5)


class Second(nn.Module):
    def forward(self, _below, skip):
        return skip


def test_timm_encoder_has_its_own_channels_and_the_decoder_those_given():
    network = UNet(4, 2, features=(8, 16, 24, 32, 40), encoder="resnet18")
    assert network.encoder.channels == (64, 64, 128, 256, 512)
    assert network.encoder.strides == (2, 4, 8, 16, 32)
    assert [up.up.out_channels for up in network.decoder] == [32, 24, 16, 8]
    assert [up.up.out_channels for up in UNet(4, 2, encoder="resnet18").decoder] == [256, 128, 64, 32]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": (64,)}, "at least 2"),
        ({"stem_stride": 4}, "1 or 2, not 4"),
        ({"pretrained": True}, "'plain' has no pretrained weights"),
        ({"encoder": "resnet18", "spatial_dims": 3}, "2D images"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        UNet(3, 1, **arguments)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_deep_supervision_has_a_head_on_each_upper_stage_in_training_alone(spatial_dims):
    size = (19, 22, 17)[:spatial_dims]
    network = UNet(1, 2, features=(4, 5, 6, 7), spatial_dims=spatial_dims, deep_supervision=True)
    x = torch.randn(2, 1, *size)
    heads = network.train()(x)
    assert [tuple(head.shape) for head in heads] == [(2, 2, *size)] * 3
    with torch.no_grad():
        assert network.eval()(x).shape == (2, 2, *size)
    assert (
        parameters(network)
        == parameters(UNet(1, 2, features=(4, 5, 6, 7), spatial_dims=spatial_dims)) + 2 * (5 + 6) + 4
    )


def test_a_deeper_head_is_not_shifted():
    """Its logits are four pixels wide here, and lie where they were computed."""
    network = UNet(1, 1, features=(1, 1, 1, 1), deep_supervision=True).train()
    deepest = network.auxiliary_heads[-1]
    deepest.register_forward_hook(
        lambda _module, inputs, _output: torch.arange(6.0).reshape(1, 1, 6, 1).expand(2, 1, 6, 6)
    )
    last = network(torch.randn(2, 1, 22, 24))[-1]
    assert last.shape == (2, 1, 22, 24)
    assert last[0, 0, 2:20, 5].tolist() == pytest.approx([(row + 0.5) / 4 - 0.5 for row in range(2, 20)], abs=1e-5)
