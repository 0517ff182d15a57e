"""Fusing convolution and batch norm: in eval mode both are linear, so one convolution does the work of both layers."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.fusion import fuse_conv_bn_eval

NORMS: tuple[type[nn.Module], ...] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""Only these and timm's: another subclass may do more than normalise."""
Note = Callable[[str, nn.Module, tuple[Tensor, ...], Tensor], None]


def fused(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy of the network, in eval mode, whose batch norms are part of the convolutions before them.

    Which norm follows which convolution is observed in one run on `example`, so it does not matter how the network is written. Of this
    run shapes are enough, so that nothing is computed, unless what the network does depends on values. A
    layer that runs more than once is not changed. A convolution whose result is used twice would give wrong answers: compare them
    (`medseg_monai.engines.agreement`) before use.
    """
    clone = copy.deepcopy(network).eval()
    for convolution_name, norm_name in _pairs(clone, example):
        convolution, norm = clone.get_submodule(convolution_name), clone.get_submodule(norm_name)
        transposed = isinstance(convolution, _ConvTransposeNd)
        _replace(clone, convolution_name, fuse_conv_bn_eval(convolution, norm, transpose=transposed))  # type: ignore[type-var, arg-type]
        _replace(clone, norm_name, _what_follows(norm))
    return clone


def _norms() -> tuple[type[nn.Module], ...]:
    """Norms that can be part of a convolution; timm's only if it is in use."""
    timm = sys.modules.get("timm.layers")
    return NORMS if timm is None else (*NORMS, timm.BatchNormAct2d)


def _what_follows(norm: Any) -> nn.Module:
    """What a norm does beside normalising: timm's dropout and activation."""
    return nn.Identity() if type(norm) in NORMS else nn.Sequential(norm.drop, norm.act)


def _pairs(network: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """Names of (convolution, batch norm) pairs in which the norm directly follows and takes the convolution's output, each run once."""
    try:
        return _observed(_without_values(network), example.to("meta"))
    # whatever a network raises that asks for a value, or has tensors that are neither weights nor buffers
    except Exception:
        return _observed(network, example)


def _without_values(network: nn.Module) -> nn.Module:
    """A copy whose weights and buffers have shapes only."""
    shapes: dict[int, Any] = {id(buffer): buffer.to("meta") for buffer in network.buffers()}
    shapes |= {id(weight): nn.Parameter(weight.to("meta"), requires_grad=False) for weight in network.parameters()}
    return copy.deepcopy(network, shapes)


def _observed(network: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """`_pairs` of a run."""
    runs: dict[str, int] = {}
    pairs: list[tuple[str, str]] = []
    last: list[tuple[str, Tensor, int]] = []  # its version tells whether something has changed it in place

    def note(name: str, module: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        runs[name] = runs.get(name, 0) + 1
        if isinstance(module, _norms()) and last and given[0] is last[0][1] and given[0]._version == last[0][2]:
            pairs.append((last[0][0], name))
        last[:] = [(name, result, result._version)] if isinstance(module, _ConvNd) else []

    with _watched(network, note), torch.no_grad():
        network(example)
    return [pair for pair in pairs if runs[pair[0]] == runs[pair[1]] == 1]


@contextmanager
def _watched(network: nn.Module, note: Note) -> Iterator[None]:
    """Call `note` with name, module, inputs and result of each convolution, and of each batch norm with its own statistics."""

    def hook(name: str) -> Callable[..., None]:
        return lambda module, given, result: note(name, module, given, result)

    handles = [
        module.register_forward_hook(hook(name))
        for name, module in network.named_modules()
        if isinstance(module, _ConvNd) or (type(module) in _norms() and _has_statistics(module))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _has_statistics(norm: Any) -> bool:
    return norm.running_mean is not None


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    network.get_submodule(parent)._modules[child] = module
