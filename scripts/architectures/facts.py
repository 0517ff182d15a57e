"""What a bundle's network is, measured on the network itself: parameters, multiply-adds, and the shape at every module.

The networks are built on torch's meta device: shapes without numbers, so that this takes no time and no memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from medseg_monai.bundle.trained import Trained, untrained

SIDE = 256  # of the image that goes through a network for photographs, (1, 3, SIDE, SIDE)
VOLUME_SIDE = 128  # of the patch that goes through a network for volumes, (1, 1, VOLUME_SIDE, VOLUME_SIDE, VOLUME_SIDE)
Shape = tuple[int, ...]

# Rows of a card's table besides the bundle as it is: arguments of the network, as --set takes them.
RESNET: Mapping[str, Any] = {"encoder": "resnet50"}
VARIANTS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "unet": ({**RESNET, "features": None},),
    "unet3d": ({"features": [32, 64, 128, 256, 512]}, {"features": [16, 32, 64, 128]}),
    "unetpp": (*({"inference_depth": depth} for depth in (4, 3, 2, 1)), RESNET),
    "pspnet": (RESNET,),
    "deeplabv3plus": (RESNET,),
}


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: how many it has.
        multiply_adds: of its convolutions and matrix products, for one image of 3 x SIDE x SIDE (a volume of VOLUME_SIDE a side), in
            eval mode.
    """

    parameters: int
    multiply_adds: int


def as_label(shape: Shape) -> str:
    """Channels and relative side of a map (C, H, W) or (C, I, J, K); maps of fewer than 8 pixels a side by their pixels.

    >>> as_label((64, 128, 128)), as_label((128, 6, 6))
    ('64 @ 1/2', '128 @ 6×6')
    """
    channels, *sides = shape
    whole = SIDE if len(sides) == 2 else VOLUME_SIDE
    return f"{channels} @ {'×'.join(map(str, sides))}" if sides[0] < 8 else f"{channels} @ 1/{whole // sides[0]}"


def example(network: nn.Module) -> Tensor:
    """What goes through a network here: a photograph, or a volume of one channel; without numbers."""
    is_3d = any(parameter.ndim == 5 for parameter in network.parameters())
    return (
        torch.empty(1, 1, *(VOLUME_SIDE,) * 3, device="meta") if is_3d else torch.empty(1, 3, SIDE, SIDE, device="meta")
    )


def build(trained: Trained, arguments: Mapping[str, Any]) -> nn.Module:
    """A bundle's network for three channels (one in 3D) and one class, on the meta device."""
    channels = 1 if trained.dataset.spatial_dims == 3 else 3
    with torch.device("meta"):
        return trained.build_network(in_channels=channels, out_channels=1, **arguments)


def cost(network: nn.Module) -> Cost:
    """Parameters and multiply-adds: half of what FlopCounterMode counts."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network.eval()(example(network))
    return Cost(sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() // 2)


def table(bundle: Path) -> str:
    """The bundle's parameters and multiply-adds as a Markdown table, one row per way to build its network."""
    trained = untrained(bundle)
    rows = ["| network | parameters | GMACs |", "| --- | ---: | ---: |"]
    for arguments in ({}, *VARIANTS.get(bundle.name, ())):
        as_text = ", ".join(f"{name}={'null' if value is None else value}" for name, value in arguments.items())
        measured = cost(build(trained, arguments))
        rows.append(
            f"| {f'`{as_text}`' if as_text else 'as it is'} | {measured.parameters:,} | {measured.multiply_adds / 1e9:.2f} |"
        )
    return "\n".join(rows)
