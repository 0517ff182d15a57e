"""The battery notices each rule that a network breaks."""

import pytest
import torch
from network_contract import check_contract, small_arguments
from torch import Tensor, nn

from medseg_monai.networks import PSPNet, UNet


class Right(nn.Module):
    """The least that keeps the rules: half size in the middle, two heads in training."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, padding=1, stride=2)
        self.bottleneck = nn.Identity()
        self.last_stage = nn.Identity()
        self.head = nn.Conv2d(7, 2, 1)
        self.auxiliary = nn.Conv2d(4, 2, 1)

    def enlarged(self, values: Tensor, x: Tensor) -> Tensor:
        return nn.functional.interpolate(values, size=x.shape[2:])

    def logits(self, x: Tensor) -> list[Tensor]:
        deep = self.enlarged(self.bottleneck(self.down(x)), x)
        return [self.head(self.last_stage(torch.cat([x, deep], dim=1))), self.auxiliary(deep)]

    def forward(self, x: Tensor) -> object:
        return self.logits(x) if self.training else self.logits(x)[0]


class ListInEval(Right):
    def forward(self, x: Tensor) -> object:
        return self.logits(x)


class Smaller(Right):
    def forward(self, x: Tensor) -> object:
        return self.logits(x)[0][..., ::2]


class Probabilities(Right):
    def forward(self, x: Tensor) -> object:
        return self.logits(x)[0].sigmoid()


class LogProbabilities(Right):
    def forward(self, x: Tensor) -> object:
        return self.logits(x)[0].log_softmax(1)


class TupleInTraining(Right):
    def forward(self, x: Tensor) -> object:
        return tuple(self.logits(x)) if self.training else self.logits(x)[0]


class OneInAList(Right):
    def forward(self, x: Tensor) -> object:
        return self.logits(x)[:1] if self.training else self.logits(x)[0]


class SmallAuxiliary(Right):
    def forward(self, x: Tensor) -> object:
        main, other = self.logits(x)
        return [main, other[..., ::2]] if self.training else main


class WithoutBottleneck(Right):
    def __init__(self) -> None:
        super().__init__()
        self.deepest, self.bottleneck = self.bottleneck, None

    def logits(self, x: Tensor) -> list[Tensor]:
        deep = self.enlarged(self.deepest(self.down(x)), x)
        return [self.head(self.last_stage(torch.cat([x, deep], dim=1))), self.auxiliary(deep)]


class UnusedStage(Right):
    def logits(self, x: Tensor) -> list[Tensor]:
        deep = self.enlarged(self.bottleneck(self.down(x)), x)
        features = torch.cat([x, deep], dim=1)
        self.last_stage(features)
        return [self.head(features), self.auxiliary(deep)]


class Exchanged(Right):
    def __init__(self) -> None:
        super().__init__()
        self.bottleneck, self.last_stage = nn.Upsample(scale_factor=4), nn.MaxPool2d(2)

    def logits(self, x: Tensor) -> list[Tensor]:
        deep = self.enlarged(self.bottleneck(self.down(x)), x)
        features = self.last_stage(torch.cat([x, deep], dim=1))
        return [self.enlarged(self.head(features), x), self.auxiliary(deep)]


class WideHead(Right):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(7, 2, 3, padding=1)


def test_a_network_that_keeps_the_rules_passes() -> None:
    check_contract(Right(), torch.randn(2, 3, 20, 26), 2)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (ListInEval, "one tensor"),
        (Smaller, "the size of the image and a channel"),
        (Probabilities, "neither probabilities"),
        (LogProbabilities, "nor their logarithms"),
        (TupleInTraining, "or a list of several heads"),
        (OneInAList, "one head gives a tensor"),
        (SmallAuxiliary, "every head has the size"),
        (WithoutBottleneck, "a module `bottleneck`"),
        (UnusedStage, "depend on `last_stage`"),
        (Exchanged, "the coarsest"),
        (WideHead, "no 1x1 convolution"),
    ],
)
def test_each_broken_rule_is_named(broken: type[Right], rule: str) -> None:
    torch.manual_seed(0)
    with pytest.raises((AssertionError, ValueError, LookupError), match=rule):
        check_contract(broken(), torch.randn(2, 3, 20, 26), 2)


def test_narrow_networks_have_all_levels_of_the_wide_ones() -> None:
    assert small_arguments(UNet, {"features": [64, 128, 256]}) == {"features": [6, 8, 10]}
    assert small_arguments(PSPNet) == {"features": [6, 8], "width": 16}
