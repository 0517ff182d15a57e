"""What training, explanation and export rely on in a network, as `medseg_monai.networks` states it: checked on any of them."""

import copy
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medseg_monai import networks
from medseg_monai.bundle.trained import untrained
from medseg_monai.explain.maps import class_heads

WIDTHS, WIDTH = (6, 8, 10, 12, 12), 16
LAYERS = ("bottleneck", "last_stage")


def small_arguments(network_class: type[nn.Module], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Arguments for a network of a few thousand weights: its ``features`` and what is named ``…width``, made narrow.

    Args:
        network_class: whose arguments.
        given: what its config says instead of the defaults.
    """
    small: dict[str, Any] = {}
    for name, parameter in inspect.signature(network_class).parameters.items():
        value = (given or {}).get(name, parameter.default)
        if name == "features":
            small[name] = list(WIDTHS[: len(value or WIDTHS)])
        elif name == "width" or name.endswith("_width"):
            small[name] = WIDTH
    return small


def small_bundle(bundle: Path) -> dict[str, Any]:
    """Overrides of a bundle's train.json that make its network narrow."""
    *_, name = str(untrained(bundle).architecture["_target_"]).split(".")
    small = small_arguments(getattr(networks, name), untrained(bundle).architecture)
    return {f"architecture#{argument}": value for argument, value in small.items()}


def check_contract(network: nn.Module, image: Tensor, classes: int) -> None:
    """Fail with an AssertionError that names the rule which the network breaks.

    Args:
        network: for the channels of the image, and so many classes.
        image: (B, C, *S).
        classes: channels of the logits.
    """
    shape = (len(image), classes, *image.shape[2:])
    with torch.no_grad():
        _check_answers(network, image, shape)


def _check_answers(network: nn.Module, image: Tensor, shape: tuple[int, ...]) -> None:
    logits = network.eval()(image)
    assert isinstance(logits, Tensor), "eval mode: one tensor, no list"
    assert tuple(logits.shape) == shape, "logits have the size of the image and a channel for each class"
    _check_logits(network, image)
    heads = copy.deepcopy(network).train()(image)
    if not isinstance(heads, Tensor):
        assert isinstance(heads, list), "training mode: a tensor, or a list of several heads' logits"
        assert len(heads) > 1, "a list is for several heads: one head gives a tensor"
        assert all(tuple(head.shape) == shape for head in heads), "every head has the size of the image"
    _check_layers(network, image, logits)


def _check_logits(network: nn.Module, image: Tensor) -> None:
    """What the 1x1 convolutions give comes out as it is: raised by 100 it is large, which nothing squashed can be."""
    for shift in (100.0, -100.0):
        hooks = [
            network.get_submodule(name).register_forward_hook(lambda _, inputs, output, shift=shift: output + shift)
            for name in class_heads(network)
        ]
        shifted = network(image)
        for hook in hooks:
            hook.remove()
        assert bool((shifted * shift > 0).all()), "logits come out, neither probabilities nor their logarithms"


def _check_layers(network: nn.Module, image: Tensor, logits: Tensor) -> None:
    sides = {}
    for name in LAYERS:
        module = dict(network.named_children()).get(name)
        assert module is not None, f"a module `{name}` is there for explanations"
        seen: list[Tensor] = []
        hook = module.register_forward_hook(lambda _, inputs, output, seen=seen: seen.append(output) or output + 100.0)
        changed = network(image)
        hook.remove()
        assert len(seen) == 1, f"`{name}` runs once"
        assert seen[0].ndim == image.ndim, f"`{name}` gives a map of features"
        assert not torch.equal(changed, logits), f"the logits depend on `{name}`"
        sides[name] = seen[0].shape[2]
    assert sides["bottleneck"] <= sides["last_stage"], "`bottleneck` gives the coarsest features"
