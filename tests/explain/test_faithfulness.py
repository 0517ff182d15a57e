"""Deletion, insertion and random weights: orders and curves that can be worked out by hand."""

import pytest
import torch
from torch import nn

from medseg_monai.explain.faithfulness import (
    area,
    likeness,
    randomised,
    removal_curve,
    removal_order,
    stages_from_output,
    without_content,
)
from medseg_monai.networks import PSPNet, UNet


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def brightness(images: torch.Tensor) -> torch.Tensor:
    return images.mean((1, 2, 3))


def test_the_hottest_go_first():
    values = torch.tensor([[0.1, 0.9, 0.5, 0.2]])
    assert removal_order(values, generator=seeded(), tiles=4).tolist() == [[0.75, 0.0, 0.25, 0.5]]


def test_tiles_go_whole():
    values = torch.arange(64.0).view(8, 8)
    order = removal_order(values, generator=seeded(), tiles=2)
    assert [order[0, 0], order[0, 7], order[7, 0], order[7, 7]] == [0.75, 0.5, 0.25, 0.0]
    assert all(len(block.unique()) == 1 for half in order.split(4) for block in half.split(4, dim=1))


def test_equal_places_go_at_random_not_from_the_corner():
    even = torch.zeros(32, 32)
    first, second = (removal_order(even, generator=seeded(seed)) for seed in (1, 2))
    assert not torch.equal(first, second)
    assert torch.equal(first, removal_order(even, generator=seeded(1)))
    corner = torch.stack([removal_order(even, generator=seeded(seed))[:16, :16].mean() for seed in range(20)])
    assert corner.mean() == pytest.approx(0.5, abs=0.05)


def test_curves_by_hand():
    image, background = torch.tensor([[[[4.0, 0.0, 0.0, 0.0]]]]), torch.zeros(1, 1, 1, 4)
    best = torch.tensor([[0.0, 0.25, 0.5, 0.75]])
    assert removal_curve(brightness, image, background, best, insert=False, steps=4) == [1, 0, 0, 0, 0]
    assert removal_curve(brightness, image, background, best, insert=True, steps=4) == [0, 1, 1, 1, 1]
    worst = torch.tensor([[0.75, 0.5, 0.25, 0.0]])
    assert removal_curve(brightness, image, background, worst, insert=False, steps=4, at_once=2) == [1, 1, 1, 1, 0]
    assert area([1, 0, 0, 0, 0]) == 0.125
    assert area([1, 1, 1, 1, 0]) == 0.875


def test_a_true_map_beats_chance_and_a_false_one_does_not():
    image = torch.zeros(1, 1, 32, 32)
    image[..., 4:12, 20:28] = 1
    background = torch.zeros_like(image)

    def deletion(values: torch.Tensor, seed: int = 0) -> float:
        order = removal_order(values, generator=seeded(seed))
        return area(removal_curve(brightness, image, background, order, insert=False))

    chance = torch.tensor([deletion(torch.zeros(32, 32), seed) for seed in range(10)])
    assert deletion(image[0, 0]) < chance.mean() - 3 * chance.std()
    assert deletion(image[0, 0].T) > chance.mean()  # the map transposed looks elsewhere


def test_what_takes_the_place_of_pixels():
    image = torch.randn(1, 3, 40, 24, generator=seeded())
    mean = without_content(image)
    torch.testing.assert_close(mean[0, :, 7, 9], image.mean((0, 2, 3)))
    assert mean.shape == image.shape
    assert without_content(image, "blur").std() < 0.5 * image.std()
    with pytest.raises(ValueError, match="'mean' or 'blur', not 'black'"):
        without_content(image, "black")


def test_weights_become_random_from_the_output_back():
    torch.manual_seed(0)
    network = UNet(1, 1, features=(4, 8))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    changed = []
    for _stage, copied in randomised(network):
        state = copied.state_dict()
        changed.append({name.split(".")[0] for name in before if not torch.equal(before[name], state[name])})
    assert changed == [{"head"}, {"head", "decoder"}, {"head", "decoder", "encoder"}]
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert stages_from_output(PSPNet(3, 1, features=(8, 16), width=8))[-1] == "encoder"


def test_random_weights_keep_their_size_and_follow_the_seed():
    layer = nn.Sequential(nn.Linear(100, 100))
    nn.init.normal_(layer[0].weight, mean=3, std=0.5)
    weights = [next(iter(randomised(layer, seed=seed)))[1][0].weight.detach().clone() for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert float(weights[0].mean()) == pytest.approx(3, abs=0.05)
    assert float(weights[0].std()) == pytest.approx(0.5, abs=0.05)


def test_likeness():
    values = torch.rand(24, 20, generator=seeded())
    other = torch.rand(24, 20, generator=seeded(1))
    ranks, ssim = likeness(values, values)
    assert (ranks, ssim) == (pytest.approx(1), pytest.approx(1))
    assert likeness(values, values**3)[0] == pytest.approx(1)  # ranks are the same
    assert likeness(values, 1 - values)[0] == pytest.approx(-1)
    assert abs(likeness(values, other)[0]) < 0.2
    assert likeness(values, torch.zeros(24, 20)) == (0, 0)
    with pytest.raises(ValueError, match="too small"):
        likeness(values[:8], other[:8])
