"""A running average of the weights, which is validated and saved instead: less noisy than those of the last step."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from torch import nn


def weight_average(network: nn.Module, decay: float) -> nn.Module | None:
    """A copy of the network for the average; None if ``decay`` is 0 (averaging off).

    Args:
        network: on its device, with or without a wrapper for several processes.
        decay: share of the average that is kept at each step, 0.99 to 0.9999; the average covers about 1 / (1 - decay) steps.

    Raises:
        ValueError: ``decay`` is not in [0, 1).
    """
    if not 0 <= decay < 1:
        raise ValueError(f"weight_average is {decay}; it must be in [0, 1), 0 for none")
    if decay == 0:
        return None
    return copy.deepcopy(bare(network)).requires_grad_(False)


def bare(network: nn.Module) -> nn.Module:
    """The network without its wrapper for several processes, if it has one."""
    return network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network


class AverageWeights:
    """Ignite handler: after each step, average = decay * average + (1 - decay) * weights.

    Batch norm's running statistics are averaged likewise; counters are copied. In the first steps the average follows faster:
    at step n a decay above (1 + n) / (10 + n) is replaced by that value, so the average forgets the random start.
    Polyak and Juditsky 1992, doi:10.1137/0330046.

    Args:
        network: the network in training, with or without a wrapper for several processes.
        average: the result of `weight_average`.
        decay: as there.
    """

    def __init__(self, network: nn.Module, average: nn.Module, decay: float) -> None:
        self.network = bare(network)
        self.average = average
        self.decay = decay
        self.steps = 0

    def change_length(self, steps: int, *, instead_of: int) -> None:
        """Average over the same share of a run that has `steps` steps now."""
        self.decay = max(0.0, 1 - (1 - self.decay) * instead_of / steps)

    def attach(self, engine: SupervisedTrainer) -> None:
        """Register with the trainer."""
        engine.add_event_handler(IterationEvents.MODEL_COMPLETED, self)

    def state_dict(self) -> dict[str, Any]:
        """How many steps the average has seen, and its decay; the average itself is what the training saves."""
        return {"steps": self.steps, "decay": self.decay}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state."""
        self.steps, self.decay = state["steps"], state.get("decay", self.decay)

    @torch.no_grad()
    def __call__(self, engine: SupervisedTrainer) -> None:
        """Add the weights after a step to the average."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        state = self.network.state_dict()
        for name, kept in self.average.state_dict().items():
            if kept.is_floating_point():
                kept.lerp_(state[name], share)
            else:
                kept.copy_(state[name])
