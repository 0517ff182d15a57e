"""Blocks that several networks share: convolution with norm and ReLU, resizing, in 2D and 3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn

NormKind = Literal["batch", "instance"]

_CONVOLUTIONS: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
_NORMS: dict[tuple[str, int], type[nn.Module]] = {
    ("batch", 2): nn.BatchNorm2d,
    ("batch", 3): nn.BatchNorm3d,
    ("instance", 2): nn.InstanceNorm2d,
    ("instance", 3): nn.InstanceNorm3d,
}


def check_arguments(
    network: str,
    *,
    features: Sequence[int],
    stem_stride: int = 1,
    norm: str = "batch",
    spatial_dims: int = 2,
    most_dims: int = 3,
    least: int = 2,
) -> None:
    """Raise a ValueError for arguments that `network` cannot have.

    Args:
        network: its name, for the message.
        features: channels per level.
        stem_stride: 1 or 2.
        norm: ``batch`` or ``instance``.
        spatial_dims: 2 or 3.
        most_dims: 2 for a network that is defined only for images.
        least: smallest number of levels.
    """
    is_list = isinstance(features, Sequence) and not isinstance(features, str)
    if not is_list or len(features) < least or any(not isinstance(width, int) or width < 1 for width in features):
        raise ValueError(f"{network}: features must be at least {least} positive whole numbers, not {features!r}")
    if stem_stride not in (1, 2):
        raise ValueError(f"{network}: stem_stride must be 1 or 2, not {stem_stride!r}")
    if spatial_dims not in range(2, most_dims + 1):
        allowed = "2 or 3" if most_dims == 3 else "2 (this network is defined only for images)"
        raise ValueError(f"{network}: spatial_dims must be {allowed}, not {spatial_dims!r}")
    if (norm, spatial_dims) not in _NORMS:
        raise ValueError(f"{network}: norm must be 'batch' or 'instance', not {norm!r}")


def convolution(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int = 3,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
    spatial_dims: int = 2,
) -> nn.Conv2d | nn.Conv3d:
    """A convolution that keeps the size at stride 1 (odd kernels) and gives ceil(size / stride) otherwise."""
    return _CONVOLUTIONS[spatial_dims](
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        groups=groups,
        bias=bias,
    )


def logits_convolution(in_channels: int, out_channels: int, *, spatial_dims: int = 2) -> nn.Conv2d | nn.Conv3d:
    """The 1x1 convolution of a head, its weights drawn as by Glorot and Bengio (AISTATS 2010), its bias 0.

    So logits begin as large as the features. torch's own start makes them two to three times smaller, and a narrow head then needs the
    first hundred steps of a training to grow (measured in docs/results/recipe.md).
    Shape: (B, in_channels, *S) -> (B, out_channels, *S).
    """
    head = convolution(in_channels, out_channels, kernel_size=1, bias=True, spatial_dims=spatial_dims)
    nn.init.xavier_uniform_(head.weight)
    nn.init.zeros_(cast(Tensor, head.bias))
    return head


def normalisation(channels: int, *, kind: str = "batch", spatial_dims: int = 2) -> nn.Module:
    """Batch norm, or instance norm with learnt scale and shift for batches of one or two volumes."""
    if kind == "instance":
        return _NORMS[kind, spatial_dims](channels, affine=True)
    return _NORMS[kind, spatial_dims](channels)


class ConvNormReLU(nn.Sequential):
    """Convolution without bias (the norm has one), norm, ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        dilation: int = 1,
        norm: str = "batch",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__(
            convolution(
                in_channels,
                out_channels,
                kernel_size=kernel_size,
                stride=stride,
                dilation=dilation,
                spatial_dims=spatial_dims,
            ),
            normalisation(out_channels, kind=norm, spatial_dims=spatial_dims),
            nn.ReLU(inplace=True),
        )


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each with norm and ReLU: a box of the U-Net's figure. Shape: (B, C, *S) -> (B, C', *ceil(S / stride))."""

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int = 1, norm: str = "batch", spatial_dims: int = 2
    ) -> None:
        super().__init__(
            ConvNormReLU(in_channels, out_channels, stride=stride, norm=norm, spatial_dims=spatial_dims),
            ConvNormReLU(out_channels, out_channels, norm=norm, spatial_dims=spatial_dims),
        )


class Subsample(nn.Module):
    """Every n-th pixel along each spatial axis; in front of a 1x1 convolution it is that convolution with stride n.

    A strided 1x1 convolution of 2 to 15 channels in channels_last corrupts memory in its backward pass on the CPU (torch 2.13, 2.15).
    Shape: (B, C, *S) -> (B, C, *ceil(S / stride)).
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Pixels 0, n, 2n ..."""
        if self.stride == 1:
            return x
        if x.dim() == 5:
            return x[:, :, :: self.stride, :: self.stride, :: self.stride]
        return x[:, :, :: self.stride, :: self.stride]


class HalvePool(nn.Module):
    """Max pooling by 2 that rounds up, so that an odd last row is kept. Shape: (B, C, *S) -> (B, C, *ceil(S / 2))."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool every spatial axis by 2."""
        if x.dim() == 5:
            return F.max_pool3d(x, 2, ceil_mode=True)
        return F.max_pool2d(x, 2, ceil_mode=True)


def resize_linear(x: Tensor, size: list[int]) -> Tensor:
    """Bilinear (4-d input) or trilinear (5-d input) resizing of the spatial axes to `size`."""
    if x.dim() == 5:
        return F.interpolate(x, size=size, mode="trilinear", align_corners=False)
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def crop(x: Tensor, size: list[int]) -> Tensor:
    """The first `size` rows, columns (and slices) of `x`: rounding a size up adds pixels at the end of each axis."""
    for axis, length in enumerate(size):
        x = x.narrow(axis + 2, 0, length)
    return x


def to_image_size(logits: Tensor, stride: int, size: list[int]) -> Tensor:
    """Logits, or a map, whose pixels are `stride` pixels of the image (or of a finer map), resized to its `size`.

    They are upsampled by exactly `stride`, then cropped, so that they stay in place at sizes that `stride` does not divide.
    """
    if stride == 1:
        return logits
    return crop(resize_linear(logits, [length * stride for length in logits.shape[2:]]), size)


class PooledConvReLU(nn.Sequential):
    """1x1 convolution, group norm over all channels, ReLU: for maps of a few pixels, down to one.

    Batch norm has too few values there: with one image a 1x1 map has one per channel, which it refuses; with two images each becomes
    plus or minus one, whatever its value. Group norm normalises an image's values over the channels, in training and afterwards.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
            nn.GroupNorm(1, out_channels),
            nn.ReLU(inplace=True),
        )
