"""Several processes that train one network together, as ``torchrun`` starts them.

N processes with batches of B cases do what one process does with batches of N x B: the sampler deals out the same cases
(`sampling.SeededSampler`), gradients are averaged, and batch norm sees all of the batch
(`TrainedTogether`). What differs is rounding, and what dropout draws.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from medseg_monai.training.dataset import open_dataset

if TYPE_CHECKING:
    from medseg_monai.prepare.demo import Kind


def device_ids(device: torch.device) -> list[torch.device] | None:
    """The ``device_ids`` for ``DistributedDataParallel``: None on the CPU."""
    return [device] if device.type == "cuda" else None


def join_processes(device: torch.device, dataset_dir: str | Path | None, *, demo: Kind) -> None:
    """Connect the processes that ``torchrun`` started, and wait until the data set exists.

    Only the first process generates the demo data, if no data set is given.
    """
    on_gpu = device.type == "cuda"
    dist.init_process_group("nccl" if on_gpu else "gloo")
    if on_gpu:
        torch.cuda.set_device(device)
    if dist.get_rank() == 0:
        open_dataset(dataset_dir, demo=demo)
    dist.barrier()


def between_several() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized()


def has_lost_another(error: BaseException) -> bool:
    """Whether an error says that another process of this training cannot be reached; gloo's have no class of their own."""
    return between_several() and (isinstance(error, dist.DistError) or "gloo/transport" in str(error))


def mean_over_processes(value: float, device: torch.device) -> float:
    """The mean of each process's value; all of them have to call this."""
    if not between_several():
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return float(total) / dist.get_world_size()


class TrainedTogether(nn.parallel.DistributedDataParallel):
    """torch's ``DistributedDataParallel`` whose batch norms take the mean and variance of the batches of all processes in training.

    Unlike ``SyncBatchNorm`` this works on the CPU too, for batch norms of any class, and leaves the network's modules as they are.
    """

    def forward(self, *inputs: Any, **settings: Any) -> Any:
        """The network's answer."""
        with _SynchronisedNorms():
            return super().forward(*inputs, **settings)  # type: ignore[no-untyped-call]


class _SynchronisedNorms(TorchFunctionMode):
    """Within it, batch norm in training sees what all processes have."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """`func` itself, or `synchronised_batch_norm` for batch norm in training."""
        settings = kwargs or {}
        if func is F.batch_norm and inspect.signature(func).bind(*args, **settings).arguments.get("training"):
            return synchronised_batch_norm(*args, **settings)
        return func(*args, **settings)


def synchronised_batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.batch_norm`` in training, over the batches of all processes (Ioffe and Szegedy 2015, arXiv:1502.03167).

    Each process has at least one case; the numbers may differ. Running statistics are updated, the same in every process.

    Args:
        input: (B, C, *S); half precision is computed in float32.
        running_mean, running_var: (C,), or None.
        weight, bias: (C,), or None.
        training: always True; it has a place because ``batch_norm`` is called by position too.
        momentum: share of this step in the running statistics.
        eps: added to the variance.
    """
    values = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
    axes = [axis for axis in range(values.dim()) if axis != 1]
    count = values.new_full((1,), values.numel() / values.shape[1])
    sums = _SumOverProcesses.apply(torch.cat([values.sum(axes), count]))
    total = sums[-1].detach()
    if total <= 1:
        raise ValueError(
            "batch norm needs more than one value per channel in training: let a batch have at least two cases"
        )
    mean = sums[:-1] / total
    # around the mean: the mean of squares minus the square of the mean has no digits left for a channel far from 0
    centred = values - _per_channel(mean, values)
    variance = _SumOverProcesses.apply(centred.square().sum(axes)) / total
    _move(running_mean, mean, momentum)
    _move(running_var, variance * total / (total - 1), momentum)
    normalised = centred * _per_channel(torch.rsqrt(variance + eps), values)
    if weight is not None:
        normalised = normalised * _per_channel(weight, values)
    if bias is not None:
        normalised = normalised + _per_channel(bias, values)
    return normalised.to(input.dtype)


class _SumOverProcesses(torch.autograd.Function):
    """The sum over all processes. Its gradient is the sum too: the losses of all of them depend on it."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return _summed(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _summed(gradients[0])


def _summed(value: Tensor) -> Tensor:
    total = value.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def _move(running: Tensor | None, step: Tensor, momentum: float) -> None:
    """Move a running statistic towards that of a step."""
    if running is not None:
        running.lerp_(step.detach().to(running.dtype), momentum)


def _per_channel(value: Tensor, like: Tensor) -> Tensor:
    return value.view(1, -1, *[1] * (like.dim() - 2))
