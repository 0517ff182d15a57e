"""What a network's modules hand to each other, noted while it runs: no list of a network's stages is kept by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import Node

from architectures.facts import Shape, example

IMAGE = "image"


@dataclass(frozen=True)
class Stage:
    """A module that gives one map.

    Attributes:
        module: that module.
        shape: of its map, without the batch.
        sources: names of the stages (or ``image``) whose maps it is made of.
    """

    module: nn.Module
    shape: Shape
    sources: tuple[str, ...]


def trace(network: nn.Module) -> dict[str, Stage]:
    """The outermost modules with parameters that give one map, by name, in the order in which they run.

    The network runs in training mode, so that every head runs. What a map is made of is read from autograd's graph, which sees
    through concatenation, interpolation and whatever else stands in a ``forward``.
    """
    image = example(network).requires_grad_(True)
    maps = {name: output for name, output in _outputs(network, image).items() if _is_map(output, image)}
    outermost = {name: output for name, output in maps.items() if _has_own_box(name, network, maps)}
    made_by = {output.grad_fn: name for name, output in outermost.items() if output.grad_fn is not None}
    return {
        name: Stage(network.get_submodule(name), tuple(output.shape[1:]), tuple(_sources(output, image, made_by)))
        for name, output in outermost.items()
    }


def _outputs(network: nn.Module, image: Tensor) -> dict[str, Any]:
    """What each module gives, by name; ordered by when it is done."""
    given: dict[str, Any] = {}
    hooks = [
        module.register_forward_hook(lambda _, inputs, output, name=name: given.update({name: output}))
        for name, module in network.named_modules()
        if name
    ]
    network.train()(image)
    for hook in hooks:
        hook.remove()
    return given


def _is_map(output: object, image: Tensor) -> bool:
    return isinstance(output, Tensor) and output.ndim == image.ndim


def _has_own_box(name: str, network: nn.Module, maps: Mapping[str, Tensor]) -> bool:
    """Whether a module is a stage itself, not a part of one; pooling and dropout, which learn nothing, are none."""
    parts = name.split(".")
    inside = any(".".join(parts[:end]) in maps for end in range(1, len(parts)))
    return not inside and any(True for _ in network.get_submodule(name).parameters())


def _sources(output: Tensor, image: Tensor, made_by: Mapping[Node, str]) -> Iterator[str]:
    """The nearest stages on every way back from a map."""
    waiting, seen = [output.grad_fn], set()
    while waiting:
        node = waiting.pop()
        for before, _ in node.next_functions if node is not None else ():
            if before is None or before in seen:
                continue
            seen.add(before)
            if before in made_by:
                yield made_by[before]
            elif getattr(before, "variable", None) is image:
                yield IMAGE
            else:
                waiting.append(before)
