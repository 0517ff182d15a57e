"""What tests of several handlers share."""

import pytest
from torch import nn


@pytest.fixture
def network() -> nn.Linear:
    network = nn.Linear(1, 1, bias=False)
    nn.init.ones_(network.weight)
    return network
