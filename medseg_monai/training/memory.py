"""Patch and batch that fit into a given amount of memory, computed from the network before it runs.

The memory of a training step is mostly the activations that the backward pass needs. They are counted on the network itself, run on
torch's meta device (shapes without values), and multiplied by measured bytes; see docs/volumes.md for the accuracy.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines.precision import precision_of
from medseg_monai.grids.kinds import kind_of
from medseg_monai.planning.machine import memory_limit_bytes

logger = logging.getLogger(__name__)

DEFAULT_PATCH = 96
"""Voxels per side if neither data set nor user gives a size."""
MULTIPLE = 16
"""Patches are shrunk to multiples of this, which can be halved four times."""
SMALL = 64
"""Patches are shrunk to this before the batch is made smaller, and further only after that."""
PROGRAM_BYTES = 1.0e9
"""Bytes of Python with torch and MONAI, and the cases being read."""
STATE_BYTES = 16
"""Bytes per parameter: weight, gradient and AdamW's two moments, in float32."""
ACTIVATION_BYTES = {None: 6.0, torch.bfloat16: 3.6, torch.float16: 3.6}
"""Bytes per activation that the backward pass needs, including temporary gradients, by precision."""


@dataclass(frozen=True)
class TrainingPlan:
    """Patch and batch of a training step.

    Args:
        spec: the data set's spec, its ``size`` the patch.
        batch_size: patches in a batch.
        memory_gb: approximate memory of a step with them, in GB of 10^9 bytes.
    """

    spec: DatasetSpec
    batch_size: int
    memory_gb: float


def fit_memory(
    spec: DatasetSpec,
    architecture: Callable[..., nn.Module],
    *,
    batch_size: int,
    memory_gb: float | None = None,
    precision: str = "auto",
    device: str | torch.device = "cpu",
) -> TrainingPlan:
    """The largest patch, and then the largest batch, that fit, up to the requested ones.

    The longest side of a volume's patch is shortened by steps of 16 voxels, down to 64; then the batch, down to 1; then the patch
    again. Pictures keep their size. The same arguments give the same plan on every machine with the same precision.

    Args:
        spec: the data set; its ``size`` is the largest patch. For volumes without one it is 96 voxels per side.
        architecture: builds the network.
        batch_size: the largest batch.
        memory_gb: the budget; None for none.
        precision, device: as in `medseg_monai.engines.precision.precision_of`.

    Raises:
        ValueError: not even the smallest patch fits, or the budget is 0 or less; without a budget, a single sample of this size does not
            fit into the machine's memory.
    """
    size = spec.size or (DEFAULT_PATCH,) * spec.spatial_dims
    if memory_gb is None:
        _refuse_gigantic(spec, size, architecture, precision, device)
        return TrainingPlan(replace(spec, size=size), batch_size, math.nan)
    if not memory_gb > 0:
        raise ValueError(f"memory_gb is {memory_gb}; it must be above 0, or null for no limit")
    network = _without_numbers(architecture)
    per_value = ACTIVATION_BYTES[precision_of(precision, device)]
    weights = STATE_BYTES * sum(parameter.numel() for parameter in network.parameters())
    needed = math.inf
    for patch, batch in _smaller(size, batch_size, shrinks=kind_of(spec).in_patches):
        values = batch * activations(network, (spec.in_channels, *patch))
        needed = (PROGRAM_BYTES + weights + per_value * values) / 1e9
        if needed <= memory_gb:
            shown = "x".join(map(str, patch))
            logger.info("memory: patch %s, batch %d: about %.1f of %.1f GB", shown, batch, needed, memory_gb)
            return TrainingPlan(replace(spec, size=patch), batch, needed)
    raise ValueError(f"memory_gb is {memory_gb:g}: even one patch of {MULTIPLE} voxels per side takes {needed:.1f} GB; "
                     "raise the limit, or choose a narrower network")  # fmt: skip


def needed_gb(
    spec: DatasetSpec,
    architecture: Callable[..., nn.Module],
    size: Sequence[int],
    batch_size: int,
    *,
    precision: str = "auto",
    device: str | torch.device = "cpu",
) -> float:
    """What a training step takes, about, in GB of 10^9 bytes.

    Args:
        spec: the data set, whose channels count.
        architecture: makes the network.
        size, batch_size: of the samples.
        precision, device: as in `medseg_monai.engines.precision.precision_of`.
    """
    network = _without_numbers(architecture)
    weights = STATE_BYTES * sum(parameter.numel() for parameter in network.parameters())
    values = batch_size * activations(network, (spec.in_channels, *size))
    return (PROGRAM_BYTES + weights + ACTIVATION_BYTES[precision_of(precision, device)] * values) / 1e9


def _refuse_gigantic(
    spec: DatasetSpec,
    size: Sequence[int],
    architecture: Callable[..., nn.Module],
    precision: str,
    device: str | torch.device,
) -> None:
    """Raise a ValueError if one sample of this size exceeds the memory of the whole machine."""
    memory = _memory_bytes(device)
    # only part of a step's memory: the sample, its logits and their gradient
    least = 4 * math.prod(size) * (spec.in_channels + 2 * spec.out_channels)
    if memory is None or least < memory / 1000:
        return
    with suppress(RuntimeError, NotImplementedError, TypeError):  # a network that cannot run on the meta device
        values = activations(_without_numbers(architecture), (spec.in_channels, *size))
        least = max(least, round(ACTIVATION_BYTES[precision_of(precision, device)] * values))
    if least > memory:
        shown = "x".join(map(str, size))
        raise ValueError(
            f"size: one sample of {shown} takes about {least / 1e9:,.0f} GB, but this machine has {memory / 1e9:,.0f}: reduce the size"
        )


def _memory_bytes(device: str | torch.device) -> int | None:
    """Total memory of the device, or what the container allows; None if unknown."""
    if torch.device(device).type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    limit = memory_limit_bytes()
    return None if math.isinf(limit) else round(limit)


def _without_numbers(architecture: Callable[..., nn.Module]) -> nn.Module:
    """The network on the meta device; nothing is downloaded for it."""
    named = getattr(architecture, "keywords", {})
    unwanted = {"pretrained": False, "weights_file": None}
    with torch.device("meta"):
        return architecture(**{name: value for name, value in unwanted.items() if name in named})


def activations(network: nn.Module, shape: Sequence[int]) -> int:
    """Number of values that the backward pass of one sample needs.

    Args:
        network: the network, on the meta device.
        shape: the sample's shape, (C, *S).

    >>> activations(nn.Conv2d(1, 4, 3, padding=1, bias=False, device="meta"), (1, 8, 8))  # its input
    64
    """
    seen: dict[int, int] = {}
    weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in weights:
            seen[storage] = max(seen.get(storage, 0), tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        kept = network.train()(torch.empty(2, *shape, device="meta"))  # two, for batch norm on maps of one voxel
    del kept
    return sum(seen.values()) // 2


def _smaller(size: Sequence[int], batch_size: int, *, shrinks: bool) -> list[tuple[tuple[int, ...], int]]:
    """Patches and batches to try, the largest first.

    >>> _smaller((80, 64), 2, shrinks=True)[:4]
    [((80, 64), 2), ((64, 64), 2), ((64, 64), 1), ((48, 64), 1)]
    """
    tried = [(tuple(size), batch_size)]
    while tried[-1][1] > 1 or (shrinks and max(tried[-1][0]) > MULTIPLE):
        patch, batch = tried[-1]
        longest = max(patch)
        if shrinks and longest > (SMALL if batch > 1 else MULTIPLE):
            axis = patch.index(longest)
            shorter = (math.ceil(longest / MULTIPLE) - 1) * MULTIPLE
            tried.append(((*patch[:axis], shorter, *patch[axis + 1 :]), batch))
        else:
            tried.append((patch, batch - 1))
    return tried
