"""Fused networks give the same logits, and only what may be fused is."""

import pytest
import torch
from torch import Tensor, nn

from medseg_monai.engines.fusing import fused
from medseg_monai.networks import DeepLabV3Plus, PSPNet, ResUNetPlusPlus, UNet, UNetPlusPlus

NETWORKS = {
    "unet": lambda: UNet(3, 2, features=(4, 8, 8)),
    "unetpp": lambda: UNetPlusPlus(3, 2, features=(4, 8, 8)),
    "unet-3d": lambda: UNet(3, 2, features=(4, 8), spatial_dims=3),
    "pspnet": lambda: PSPNet(3, 2, features=(8, 16), width=16),
    "deeplabv3plus": lambda: DeepLabV3Plus(3, 2, features=(4, 8, 8, 8), width=8, skip_width=4),
    "resunetpp": lambda: ResUNetPlusPlus(3, 2, features=(4, 8, 8)),
}


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def with_statistics(network: nn.Module) -> nn.Module:
    """Batch norms that do something: statistics, scales and shifts drawn at random."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                nn.init.uniform_(tensor, 0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_logits_stay(name: str) -> None:
    network = with_statistics(NETWORKS[name]())
    image = torch.randn(2, 3, *((16, 16, 16) if name == "unet-3d" else (32, 40)))
    before = norms(network)
    smaller = fused(network, image)
    with torch.no_grad():
        expected, found = network(image), smaller(image)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert norms(smaller) < before == norms(network)
    if name.startswith("unet"):
        assert norms(smaller) == 0


@pytest.mark.parametrize("encoder", ["tf_efficientnet_b0", "tf_efficientnet_lite0", "resnet18"])
def test_a_timm_encoder_keeps_its_activations(encoder: str) -> None:
    """Whose norms hold them: without its norms it must still have them."""
    pytest.importorskip("timm")
    network = with_statistics(UNet(3, 1, features=(4, 8, 8, 8, 8), encoder=encoder))
    image = torch.randn(1, 3, 64, 64)
    smaller = fused(network, image)
    assert norms(smaller) == 0
    with torch.no_grad():
        expected, found = network(image), smaller(image)
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


class Shared(nn.Module):
    """One convolution in front of two norms."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 1)
        self.first, self.second = nn.BatchNorm2d(1), nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(self.convolution(x)) + self.second(self.convolution(x))


class Apart(nn.Module):
    """A norm that does not take what the convolution before it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolution(x).relu())


@pytest.mark.parametrize("made", [Shared, Apart])
def test_what_is_not_in_a_row_is_left_alone(made: type[nn.Module]) -> None:
    network, image = with_statistics(made()), torch.randn(1, 1, 4, 4)
    same = fused(network, image)
    assert norms(same) == norms(network)
    assert torch.equal(same(image), network(image))


class ChangedBetween(nn.Module):
    """A convolution whose result is changed in place before its norm."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm, self.relu = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.relu(self.convolution(x)))
        return out


def test_a_result_that_was_changed_in_place_is_not_the_convolutions() -> None:
    network, image = with_statistics(ChangedBetween()), torch.randn(1, 3, 8, 8)
    smaller = fused(network, image)
    assert norms(smaller) == 1
    with torch.no_grad():
        assert torch.equal(smaller(image), network(image))


class Devices(nn.Sequential):
    """Notes where its runs take place; asks for a value, if it is told to."""

    def __init__(self, *, asks: bool) -> None:
        super().__init__(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        self.asks = asks

    def forward(self, x: Tensor) -> Tensor:
        SEEN.append(x.device.type)
        out: Tensor = super().forward(x)
        return out if not self.asks or out.sum() < 0 else -out


SEEN: list[str] = []


@pytest.mark.parametrize(("asks", "devices"), [(False, ["meta"]), (True, ["meta", "cpu"])])
def test_the_run_that_is_observed_computes_nothing_unless_it_must(asks: bool, devices: list[str]) -> None:
    network, image = with_statistics(Devices(asks=asks)), torch.randn(1, 1, 8, 8)
    SEEN.clear()
    smaller = fused(network, image)
    assert devices == SEEN
    assert norms(smaller) == 0
    with torch.no_grad():
        assert torch.allclose(smaller(image), network(image), atol=1e-5)
