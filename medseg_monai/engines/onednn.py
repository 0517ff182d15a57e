"""Layers of a prepared network as a CPU computes them fastest, with the same weights: for inference in torch, channels last.

torch leaves some float32 convolutions to slow code of its own although oneDNN would compute them: those of a single image if the product
of its channels and its first two axes (in 2D all of it, in 3D all but the last axis) is at most `SMALL`, and on one core those with a
1x1 kernel (ConvParams::use_mkldnn in aten/src/ATen/native/Convolution.cpp). The deeper levels of a 3D network on one window are of the
first kind: a third of its time.
Transposed ones among them also answer channels first, and the next convolution copies what they are concatenated with: a tenth.
torch's instance norm copies a map into another memory layout, and the next convolution copies it back: a third again.
"""

from __future__ import annotations

import copy
import math
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose2d, nn.ConvTranspose3d)
INSTANCE_NORMS = (nn.InstanceNorm2d, nn.InstanceNorm3d)  # only these types: a subclass may do more than its parent
SMALL = 20480


def quickened(network: nn.Module) -> nn.Module:
    """A copy of the network, with the same weights in memory, whose convolutions and instance norms are computed faster.

    Convolutions are exchanged if they are in float32, on a CPU and plain; layers that do more stay as they are. Answers differ by
    rounding only; like every runner's they are compared with plain float32's before use (`medseg_monai.engines.agreement`).
    """
    shared: dict[int, Any] = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    clone = copy.deepcopy(network, shared)
    for name, module in list(clone.named_modules()):
        layer = _quick(module)
        if layer is not None and name:
            parent, _, child = name.rpartition(".")
            clone.get_submodule(parent)._modules[child] = layer
    return clone


def _quick(module: nn.Module) -> nn.Module | None:
    """The layer that takes a module's place; None if it stays."""
    if type(module) in INSTANCE_NORMS:
        return InstanceNorm(module) if not module.track_running_stats else None
    if type(module) in CONVOLUTIONS and _goes_to_onednn(module):
        return Convolution(module)
    if type(module) in TRANSPOSED and _goes_to_onednn(module) and _spreads_pixels(module):
        return TransposedConvolution(module)
    return None


def _goes_to_onednn(convolution: Any) -> bool:
    """Whether it is plain and torch can pass it to oneDNN here."""
    weight, mkldnn = convolution.weight, torch.backends.mkldnn
    there = mkldnn.is_available() and mkldnn.enabled and hasattr(torch, "mkldnn_convolution")  # type: ignore[no-untyped-call]
    plain = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    return bool(there and plain and weight.device.type == "cpu" and weight.dtype is torch.float32)


def _spreads_pixels(convolution: Any) -> bool:
    """Whether a transposed convolution makes a block of each pixel: kernel and stride are the same, nothing is cut off or added."""
    unmoved = not any((*convolution.padding, *convolution.output_padding)) and max(convolution.dilation) == 1
    return bool(unmoved and convolution.kernel_size == convolution.stride and convolution.groups == 1)


class Convolution(nn.Module):
    """A convolution of zero-padded float32 images in oneDNN, whatever their size. Shape: as the convolution that it is made of.

    Dilated convolutions of one channel each (DeepLabV3+'s) are computed channels first: on a processor with AVX2 oneDNN takes eight times
    as long for them channels last.
    """

    def __init__(self, convolution: Any) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self.settings = (convolution.padding, convolution.stride, convolution.dilation, convolution.groups)
        self.channels_first = convolution.groups == convolution.in_channels > 1 and max(convolution.dilation) > 1
        if self.channels_first:  # a copy, whose strides say so: those of one channel fit both layouts
            self.weight = nn.Parameter(self.weight.detach().clone(memory_format=torch.contiguous_format))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        if not self.channels_first:
            return self._convolved(x)
        layout = torch.channels_last if x.dim() == 4 else torch.channels_last_3d
        return self._convolved(x.contiguous()).contiguous(memory_format=layout)

    def _convolved(self, x: Tensor) -> Tensor:
        convolved: Tensor = torch.mkldnn_convolution(x, self.weight, self.bias, *self.settings)
        return convolved


class TransposedConvolution(nn.Module):
    """A transposed convolution that makes of each pixel a block: of a small image a 1x1 convolution to all values of the blocks, in oneDNN.

    Larger images torch passes to oneDNN itself. Shape: as the convolution that it is made of; channels last.
    """

    blocks: Tensor  # (values of a block, in_channels, 1, ...)

    def __init__(self, convolution: Any) -> None:
        super().__init__()
        self.weight, self.bias, self.stride = convolution.weight, convolution.bias, convolution.stride
        dims = len(self.stride)
        self.values = math.prod(self.stride)
        self.layout = torch.channels_last if dims == 2 else torch.channels_last_3d
        last = self.weight.detach().permute(*range(2, 2 + dims), 1, 0)  # (*block, out_channels, in_channels)
        blocks = last.reshape(-1, last.shape[-1], *[1] * dims).contiguous(memory_format=self.layout)
        self.register_buffer("blocks", blocks, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        if len(x) > 1 or math.prod(x.shape[:4]) > SMALL:
            transposed = F.conv_transpose2d if x.dim() == 4 else F.conv_transpose3d
            return transposed(x, self.weight, self.bias, self.stride).contiguous(memory_format=self.layout)
        dims, ones, zeros = x.dim() - 2, [1] * (x.dim() - 2), [0] * (x.dim() - 2)
        bias = None if self.bias is None else self.bias.repeat(self.values)
        values = torch.mkldnn_convolution(x, self.blocks, bias, zeros, ones, ones, 1).movedim(1, -1)
        blocks = values.reshape(*values.shape[:-1], *self.stride, -1)
        pairs = chain.from_iterable(
            (1 + axis, 1 + dims + axis) for axis in range(dims)
        )  # each axis beside that of its blocks
        sides = [length * by for length, by in zip(x.shape[2:], self.stride, strict=True)]
        return blocks.permute(0, *pairs, 1 + 2 * dims).reshape(len(x), *sides, -1).movedim(-1, 1)


class InstanceNorm(nn.Module):
    """Instance norm that keeps channels last: an image's own batch norm. Shape: (B, C, *S) -> (B, C, *S)."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each image by itself."""
        images = [F.batch_norm(image, None, None, self.weight, self.bias, True, 0.0, self.eps) for image in x.split(1)]  # type: ignore[no-untyped-call]
        return images[0] if len(images) == 1 else torch.cat(images)
