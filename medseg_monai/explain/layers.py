"""A network's layers: which can be explained, their outputs while it runs, and the position of their feature maps in the image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.networks.blocks import crop, resize_linear
from medseg_monai.program.messages import did_you_mean

STRIDES: tuple[int, ...] = tuple(2**power for power in range(7))
PADDED_TO = (8, 16, 32, 64)  # multiples that encoders pad images to
TRAINING_HEADS = ("auxiliary_head", "auxiliary_heads")  # not used in eval mode
HEADS = ("head", "heads", *TRAINING_HEADS)  # their outputs are logits, not features
DEFAULT_SIZE = 64  # pixels a side, for a network without a set size


class LayerError(ValueError):
    """A layer that does not exist, or whose output cannot be made into a map, whatever the image."""


@dataclass(frozen=True)
class Layer:
    """A layer that a map can be made from.

    Attributes:
        name: of the module.
        channels: of its output.
        stride: size of its pixels in pixels of the image, per axis.
    """

    name: str
    channels: int
    stride: tuple[int, ...]


def list_layers(network: nn.Module, spec: DatasetSpec) -> list[Layer]:
    """The outermost modules that output one feature map each, in the order in which they run: stages, not their convolutions.

    Left out: heads, modules that run several times, and maps whose size does not follow the image's (pooled ones).
    """
    size = spec.size or (DEFAULT_SIZE,) * spec.spatial_dims
    device = next(network.parameters()).device
    names = [name for name, _ in network.named_modules() if name and name.split(".")[0] not in HEADS]
    with frozen(network), torch.no_grad(), recorded(network, names, keep=_as_shape) as shapes:
        network(torch.zeros(1, spec.in_channels, *size, device=device))
    found: list[Layer] = []
    for name, runs in shapes.items():  # outer modules come before those inside them
        inside = any(name.startswith(f"{outer.name}.") for outer in found)
        if inside or len(runs) != 1 or len(runs[0]) != 2 + spec.spatial_dims:
            continue
        strides = [stride_of(length, side) for length, side in zip(runs[0][2:], size, strict=True)]
        if None not in strides:
            found.append(Layer(name, int(runs[0][1]), tuple(stride for stride in strides if stride)))
    return found


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """In eval mode, with weights that need no gradients, and with autograd on in any context: only feature maps get gradients."""
    modes = [(module, module.training) for module in network.modules()]
    thawed = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.eval()
    for parameter in thawed:
        parameter.requires_grad_(False)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for parameter in thawed:
            parameter.requires_grad_(True)
        for module, training in modes:
            module.training = training


def find_layer(network: nn.Module, name: str) -> nn.Module:
    """The module of that name.

    Raises:
        LayerError: it does not exist; the message names the nearest.
    """
    modules: dict[str, nn.Module] = dict(network.named_modules())
    if not name or name not in modules:
        near = did_you_mean(name, [known for known in modules if known.count(".") <= name.count(".") and known])
        raise LayerError(f"{type(network).__name__} has no layer {name!r}{near}")
    return modules[name]


@contextmanager
def recorded(
    network: nn.Module,
    names: Iterable[str],
    *,
    begin_graph: bool = False,
    keep: Callable[[Any], Any] | None = None,
) -> Iterator[dict[str, list[Any]]]:
    """Record the outputs of layers while the network runs inside the block: a list per layer, with an entry for each time it runs.

    Args:
        network: its hooks are removed at the end.
        names: names of the layers.
        begin_graph: let autograd's graph begin at a layer's first output, so that nothing before it is kept for the backward pass.
        keep: what to record of an output; by default the output itself, which must be a feature map.

    Raises:
        LayerError: at the end, if a layer did not run; during the run, if its output is not a single feature map.
    """
    outputs: dict[str, list[Any]] = {name: [] for name in names}

    def note(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def hook(_: nn.Module, __: Any, output: Any) -> Any:
            if keep is not None:
                outputs[name].append(keep(output))
                return None
            _check_feature_map(name, output)
            if begin_graph and not output.requires_grad:
                output = output.detach().requires_grad_()
            outputs[name].append(output)
            return output.clone()  # later modules may work in place

        return hook

    handles = [find_layer(network, name).register_forward_hook(note(name)) for name in outputs]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
    if keep is None and (idle := [name for name, runs in outputs.items() if not runs]):
        raise LayerError(f"layer {idle[0]!r} does not run in eval mode, or is only a list of others: name one of these")


def stride_of(length: int, side: int) -> int | None:
    """The number of pixels of an image's side per pixel of a map of this `length`; None if that is not a power of two.

    A map's length is the side over the stride, rounded up, unless the encoder pads the image to a multiple first.

    >>> stride_of(16, 256), stride_of(5, 37), stride_of(16, 37), stride_of(6, 256)
    (16, 8, 4, None)
    """
    for stride in STRIDES:
        if length == -(-side // stride):
            return stride
    for multiple in PADDED_TO:
        padded = -(-side // multiple) * multiple
        if padded % length == 0 and padded // length in STRIDES and padded // length <= multiple:
            return padded // length
    return None


def enlarge(values: Tensor, size: Sequence[int]) -> Tensor:
    """A map (1, 1, *s) at the image's size: upsampled by its stride and cropped, so each pixel stays where it was computed.

    A map without a stride, such as one pooled to a number of bins, covers the whole image.
    """
    strides = [stride_of(length, side) for length, side in zip(values.shape[2:], size, strict=True)]
    full = [
        side if stride is None else length * stride
        for length, side, stride in zip(values.shape[2:], size, strides, strict=True)
    ]
    return crop(values if full == list(values.shape[2:]) else resize_linear(values, full), list(size))


def _check_feature_map(name: str, output: Any) -> None:
    if not isinstance(output, Tensor):
        raise LayerError(
            f"layer {name!r} outputs a {type(output).__name__}, not a single feature map: name a layer inside it"
        )
    if output.dim() < 4:
        raise LayerError(
            f"layer {name!r} outputs values of shape {tuple(output.shape)}, not a feature map: name another layer"
        )


def _as_shape(output: Any) -> tuple[int, ...]:
    return tuple(output.shape) if isinstance(output, Tensor) else ()
