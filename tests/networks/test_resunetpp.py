"""ResUNet++: squeeze-and-excitation by hand and against timm's, residual units, the pyramid's sum, attention, size."""

import subprocess
import sys

import pytest
import torch
from timm.layers import SEModule

from medseg_monai.networks import ResUNetPlusPlus
from medseg_monai.networks.resunetpp import Attention, ResidualUnit, SqueezeExcite, SummedPyramid

OPTIONS = {"norm": "batch", "spatial_dims": 2}


def test_squeeze_excite_is_that_of_timm():
    ours, theirs = SqueezeExcite(16), SEModule(16, rd_channels=2, bias=False)
    theirs.fc1.weight.data = ours.gate[0].weight.data.view_as(theirs.fc1.weight)
    theirs.fc2.weight.data = ours.gate[2].weight.data.view_as(theirs.fc2.weight)
    x = torch.randn(2, 16, 5, 6)
    torch.testing.assert_close(ours(x), theirs(x))


def test_squeeze_excite_by_hand():
    block = SqueezeExcite(2, ratio=2)
    block.gate[0].weight.data = torch.tensor([[1.0, 1.0]])
    block.gate[2].weight.data = torch.tensor([[0.0], [1.0]])
    # means 1 and 2: hidden 3, gates sigmoid(0) and sigmoid(3)
    x = torch.tensor([[[[0.0, 2.0]], [[2.0, 2.0]]]])
    gate = 1 / (1 + torch.exp(torch.tensor(-3.0))).item()
    torch.testing.assert_close(block(x), torch.tensor([[[[0.0, 1.0]], [[2 * gate, 2 * gate]]]]))


def test_residual_unit_without_its_convolutions_is_the_shortcut():
    unit = ResidualUnit(3, 4, stride=2, **OPTIONS).eval()
    torch.nn.init.zeros_(unit.convs[1][2].weight)
    x = torch.randn(1, 3, 7, 8)
    assert torch.equal(unit(x), unit.shortcut(x))
    assert unit(x).shape == (1, 4, 4, 4)


def test_pyramid_sums_nine_pixels_at_each_rate():
    pyramid = SummedPyramid(1, 1, **OPTIONS).eval()
    x = torch.randn(1, 1, 41, 43, requires_grad=True)
    pyramid(x)[0, 0, 20, 21].backward()
    rows = sorted({row - 20 for row in torch.nonzero(x.grad[0, 0])[:, 0].tolist()})
    assert rows == [-18, -12, -6, -1, 0, 1, 6, 12, 18]


def test_attention_weighs_the_coarse_map_alone():
    attention = Attention(3, 2, **OPTIONS).eval()
    fine, coarse = torch.randn(1, 3, 9, 8), torch.randn(1, 2, 5, 4)
    weights = attention(fine, coarse) / coarse
    torch.testing.assert_close(attention(fine, torch.zeros_like(coarse)), torch.zeros_like(coarse))
    assert weights.std() > 0


def test_every_encoder_unit_but_the_last_ends_in_squeeze_and_excitation():
    """Jha et al., Fig. 1: the bridge follows the last unit at once; the stem keeps the image's size."""
    network = ResUNetPlusPlus(3, 1, features=(4, 5, 6, 7)).eval()
    ends = [isinstance(list(unit.children())[-1], SqueezeExcite) for unit in network.encoder]
    assert ends == [True, True, False]
    assert sum(isinstance(part, SqueezeExcite) for part in network.modules()) == 2
    assert network.encoder[0](torch.zeros(1, 3, 9, 12)).shape == (1, 4, 9, 12)


def test_published_size():
    # the authors' Keras model counts 4.06 M with biases before its norms and gates in its decoder, which this one has not
    parameters = sum(p.numel() for p in ResUNetPlusPlus(3, 1).parameters())
    assert parameters == pytest.approx(4.06e6, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": (16, 32)}, "at least 3"),
        ({"stem_stride": 0}, "1 or 2, not 0"),
        ({"spatial_dims": 4}, "2 or 3, not 4"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ResUNetPlusPlus(3, 1, **arguments)


def test_training_in_channels_last_does_not_corrupt_memory() -> None:
    # in a process of its own: what this guards against kills the interpreter
    program = """
import torch
from medseg_monai.networks import ResUNetPlusPlus
from medseg_monai.networks.blocks import Subsample
for features in ((16, 32, 64), (4, 8, 8)):
    network = ResUNetPlusPlus(3, 1, features=features, stem_stride=2).to(memory_format=torch.channels_last)
    for _ in range(4):
        network(torch.randn(8, 3, 128, 128).contiguous(memory_format=torch.channels_last)).sum().backward()
"""
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
