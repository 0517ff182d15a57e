"""The precision and memory layout in which a network runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from monai.inferers import Inferer
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

TOO_OLD_FOR_BF16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}
"""Values of ``ONEDNN_MAX_CPU_ISA`` that keep torch's convolutions from the hardware's bfloat16."""


def precision_of(name: str, device: str | torch.device) -> torch.dtype | None:
    """The dtype to compute in, or None for plain float32.

    Args:
        name: ``auto`` (bfloat16 if the hardware supports it, else float16 on a GPU, else float32), ``fp32``, ``bf16``, ``fp16``.
        device: where the network runs.

    Raises:
        ValueError: the name is unknown, or fp16 on a CPU.
    """
    kind = torch.device(device).type
    if name == "auto":
        if kind == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        return torch.bfloat16 if kind == "cpu" and _cpu_has_bf16() else None
    dtypes = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
    if name not in dtypes:
        raise ValueError(f"precision must be auto, fp32, bf16 or fp16, not {name!r}")
    if name == "fp16" and kind != "cuda":
        raise ValueError("precision fp16 needs a CUDA device: use bf16, fp32 or auto")
    return dtypes[name]


def _cpu_has_bf16() -> bool:
    """Whether torch multiplies bfloat16 natively on this x86 CPU (AVX-512 BF16 or AMX); emulation is slower than float32.

    torch reports this only in private functions, which a later version may remove: then float32 is used, which is slower but never wrong.
    What the CPU can do may be switched off by ``ATEN_CPU_CAPABILITY`` and ``ONEDNN_MAX_CPU_ISA``.
    """
    most = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    # the second is what torch was limited to (ATEN_CPU_CAPABILITY)
    if most in TOO_OLD_FOR_BF16 or torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "NO AVX", "AVX2"):
        return False
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def local_device() -> torch.device:
    """The device of one of several processes, as ``torchrun`` numbers them: a GPU each, or all on the CPU."""
    return torch.device("cuda", int(os.environ["LOCAL_RANK"])) if torch.cuda.is_available() else torch.device("cpu")


def default_device() -> torch.device:
    """The first GPU if there is one, else Apple's, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda:0")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def placed(network: nn.Module, device: str | torch.device) -> nn.Module:
    """The network on its device, its weights in the memory layout that convolutions are fastest in (channels last)."""
    axes = max((parameter.ndim for parameter in network.parameters()), default=0)
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(axes, torch.preserve_format)
    return network.to(device).to(memory_format=layout)


_CONVOLUTIONS = (F.conv2d, F.conv3d, F.conv_transpose2d, F.conv_transpose3d)


class SomeInFloat32(TorchFunctionMode):
    """Within it, two kinds of convolutions are computed in float32, also under autocast, for training on a CPU:

    - those of one channel each, in 2D: torch's backward pass of these is slow on CPUs in bfloat16, so that a whole training step of an
      EfficientNet takes up to 1.7 times as long as in float32, and with this 0.85 times (docs/results/accuracy.md);
    - those whose kernel is longer than what they read or what they write, transposed ones too, as at the lowest level of a network on
      small patches: in bfloat16 their weights' gradients are computed with memory that nobody has written, now and then NaN (torch 2.13,
      AMD EPYC with AVX-512 and bfloat16).
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """`func` itself, in float32 if it is such a convolution."""
        call = partial(_convolve, func) if func in _CONVOLUTIONS else func
        return call(*args, **(kwargs or {}))


def _convolve(func: Callable[..., Tensor], input: Tensor, weight: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if not (func is F.conv2d and _is_depthwise(input, weight)):
        answer = func(input, weight, *args, **kwargs)
        if not _is_longer(weight, input, answer):
            return answer
    with torch.autocast("cpu", enabled=False):
        return func(input.float(), weight, *args, **kwargs)


def _is_depthwise(images: Tensor, weight: Tensor) -> bool:
    """Whether a kernel (out, in, *K) reads one of several channels."""
    return images.ndim == 4 and weight.shape[0] > 1 and weight.shape[1] == 1 < images.shape[1]


def _is_longer(weight: Tensor, *images: Tensor) -> bool:
    """Whether a kernel, its axes last, is longer than one of the images along an axis."""
    axes = weight.ndim - 2
    return any(
        kernel > side for image in images for kernel, side in zip(weight.shape[2:], image.shape[-axes:], strict=True)
    )


class DilatedChannelsFirst(TorchFunctionMode):
    """Within it, dilated convolutions of one channel each are computed channels first, for training on a processor with AVX2.

    There oneDNN takes two to four times as long for them channels last, the layout of everything else (DeepLabV3+; benchmarks/networks.py).
    With AVX-512 channels last is faster, but for dilations as long as the image.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """`func` itself, from channels first to channels last if it is such a convolution."""
        call = _convolve_channels_first if func is F.conv2d else func
        return call(*args, **(kwargs or {}))


def _convolve_channels_first(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    steps = dilation if isinstance(dilation, Sequence) else (dilation,)
    if not (_is_depthwise(input, weight) and max(steps) > 1):
        return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
    # a copy of the weights, whose strides say so: those of one channel fit both layouts
    first = input.contiguous(), weight.clone(memory_format=torch.contiguous_format)
    return F.conv2d(*first, bias, stride, padding, dilation, groups).contiguous(memory_format=torch.channels_last)


def as_a_cpu_trains(dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """What a network's training in a dtype, None for float32, needs on this CPU."""
    if dtype is not None:
        return SomeInFloat32()
    return DilatedChannelsFirst() if torch.backends.cpu.get_cpu_capability() == "AVX2" else nullcontext()


class PrecisionInferer(Inferer):
    """Run the network on the whole image in a lower precision; the answer comes back as float32.

    In training on a CPU some convolutions stay in float32 (`SomeInFloat32`), or are computed in another layout (`DilatedChannelsFirst`).

    Args:
        precision: as in :func:`precision_of`.
        device: where the network runs.
    """

    def __init__(self, precision: str, device: str | torch.device) -> None:
        self.dtype = precision_of(precision, device)
        self.device_type = torch.device(device).type

    def __call__(
        self, inputs: Tensor, network: Callable[..., Tensor | list[Tensor]] | nn.Module, *args: Any, **kwargs: Any
    ) -> Tensor | list[Tensor]:
        """Logits of ``inputs``, (B, C, W, H); a list of these in training with several heads."""
        if inputs.ndim in (4, 5):
            layout = torch.channels_last if inputs.ndim == 4 else torch.channels_last_3d
            inputs = inputs.contiguous(memory_format=layout)
        learns_on_cpu = self.device_type == "cpu" and torch.is_grad_enabled()
        exceptions = as_a_cpu_trains(self.dtype) if learns_on_cpu else nullcontext()
        with torch.autocast(self.device_type, dtype=self.dtype, enabled=self.dtype is not None), exceptions:
            logits = network(inputs, *args, **kwargs)
        return [head.float() for head in logits] if isinstance(logits, (list, tuple)) else logits.float()
