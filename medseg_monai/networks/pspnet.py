"""PSPNet: context at several scales from pyramid pooling over a dilated backbone (Fig. 3).

Zhao et al., Pyramid Scene Parsing Network, CVPR 2017, arXiv:1612.01105.

```
image -> dilated ResNet, stride 8 ──┬──────────────────────────────> cat -> 3x3 conv -> logits, x8
                  │                 ├─ mean over 1x1 bins -> conv ─>
                  │                 ├─ mean over 2x2 bins -> conv ─>
                  │                 ├─ mean over 3x3 bins -> conv ─>
            (stage before)          └─ mean over 6x6 bins -> conv ─>
                  └─ auxiliary head, in training
```

Departures: group norm in place of batch norm on the pooled maps, whose few values batch norm cannot take; timm's ResNet has one 7x7
convolution; the authors' has three of 3x3 (`resnet50d` is nearer); a plain backbone of two convolutions as the light variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medseg_monai.networks.blocks import (
    ConvNormReLU,
    PooledConvReLU,
    check_arguments,
    convolution,
    logits_convolution,
    to_image_size,
)
from medseg_monai.networks.encoders import StridedEncoder, choose_encoder
from medseg_monai.networks.imagenet import Normalisation


def averaging_matrix(bins: int, length: int, like: Tensor) -> Tensor:
    """The matrix (bins, length) whose product with a line of pixels is the mean in each bin.

    Bin i spans the pixels floor(i * length / bins) to ceil((i + 1) * length / bins), as in torch's adaptive average pooling. Unlike that,
    a matrix product exports to ONNX at any size.

    >>> averaging_matrix(2, 3, torch.zeros(1))
    tensor([[0.5000, 0.5000, 0.0000],
            [0.0000, 0.5000, 0.5000]])
    """
    rows = torch.arange(bins, device=like.device).unsqueeze(1)
    pixels = torch.arange(length, device=like.device).unsqueeze(0)
    inside = (pixels >= rows * length // bins) & (pixels * bins < (rows + 1) * length)
    return (inside / inside.sum(1, keepdim=True)).to(like.dtype)


def enlarging_matrix(length: int, bins: int, like: Tensor) -> Tensor:
    """The matrix (length, bins) whose product with `bins` values is their bilinear interpolation to `length` pixels.

    >>> enlarging_matrix(4, 2, torch.zeros(1))
    tensor([[1.0000, 0.0000],
            [0.7500, 0.2500],
            [0.2500, 0.7500],
            [0.0000, 1.0000]])
    """
    centres = (torch.arange(length, device=like.device) + 0.5) * bins / length - 0.5
    centres = centres.clamp(0, bins - 1).unsqueeze(1)
    distance = (centres - torch.arange(bins, device=like.device).unsqueeze(0)).abs()
    return (1 - distance).clamp(min=0).to(like.dtype)


class PyramidPooling(nn.Module):
    """Means over 1x1, 2x2, 3x3 and 6x6 bins, each projected to a share of the channels (Fig. 3c).

    Shape: (B, C, H, W) -> per entry b of `bins`: (B, C // len(bins), b, b).

    Args:
        channels: of the input.
        bins: bins per side, one per branch.
    """

    def __init__(self, channels: int, *, bins: Sequence[int]) -> None:
        super().__init__()
        self.bins = list(bins)
        self.width = channels // len(bins)
        self.branches = nn.ModuleList(PooledConvReLU(channels, self.width) for _ in bins)

    def forward(self, x: Tensor) -> list[Tensor]:
        """A map of a few pixels per branch."""
        # channels last, so that one product with all branches' rows reads the map once and copies nothing
        x = x.permute(0, 2, 3, 1)
        batch, height, width, channels = x.shape
        rows = torch.cat([averaging_matrix(bins, height, x) for bins in self.bins])
        in_rows = torch.matmul(rows, x.reshape(batch, height, width * channels)).view(batch, -1, width, channels)
        pooled: list[Tensor] = []
        first = 0
        for index, branch in enumerate(self.branches):
            bins = self.bins[index]
            means = torch.matmul(averaging_matrix(bins, width, x), in_rows[:, first : first + bins])
            pooled.append(branch(means.permute(0, 3, 1, 2)))
            first += bins
        return pooled


def tap_matrix(length: int, bins: int, *, kernel_size: int, like: Tensor) -> Tensor:
    """Per tap of a padded convolution, the enlarging matrix moved by it, zero beyond the border: (length, kernel_size * bins)."""
    margin = kernel_size // 2
    padded = F.pad(enlarging_matrix(length, bins, like), [0, 0, margin, margin])
    return torch.cat([padded[tap : tap + length] for tap in range(kernel_size)], dim=1)


class PooledConv(nn.Module):
    """The convolution of a pooled map, its channels mixed at b x b pixels and enlarged along the width; see :class:`PyramidConv`.

    Shape: (B, C, b, b) -> (B, kernel_size * b, width, C').
    """

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))

    def forward(self, x: Tensor, width: int) -> Tensor:
        """What each row of bins adds, per vertical tap, to the pixels of a row."""
        bins, kernel_size = x.shape[2], self.kernel_size
        taps = torch.einsum("bcpq,ockl->bkplqo", x, self.weight.to(x.dtype))
        taps = taps.reshape(-1, kernel_size * bins, kernel_size * bins, self.weight.shape[0])
        return torch.matmul(tap_matrix(width, bins, kernel_size=kernel_size, like=x), taps)


class PyramidConv(nn.Module):
    """The convolution over the input and the enlarged pooled maps side by side (Fig. 3d), without making them.

    A convolution of a concatenation is the sum of convolutions of its parts. Enlarging and the taps' shifts are linear along each axis,
    so the pooled maps' channels are mixed on their few pixels, and only the result is enlarged, one matrix per axis: half the products
    of the whole, and nothing is concatenated.
    Shape: (B, C, H, W) and the pooled maps (B, C', b, b) -> (B, C'', H, W).
    """

    def __init__(
        self, channels: int, pooled_channels: int, out_channels: int, *, branches: int, kernel_size: int
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.own = convolution(channels, out_channels, kernel_size=kernel_size)
        self.pooled = nn.ModuleList(
            PooledConv(pooled_channels, out_channels, kernel_size=kernel_size) for _ in range(branches)
        )
        # initialised as torch would initialise the single convolution that these are parts of
        bound = (kernel_size**2 * (channels + branches * pooled_channels)) ** -0.5
        for part in self.parameters():
            nn.init.uniform_(part, -bound, bound)

    def forward(self, x: Tensor, pooled: list[Tensor]) -> Tensor:
        """The sum of all parts."""
        height, width = x.shape[2], x.shape[3]
        rows: list[Tensor] = []
        in_rows: list[Tensor] = []
        for index, part in enumerate(self.pooled):
            rows.append(tap_matrix(height, pooled[index].shape[2], kernel_size=self.kernel_size, like=x))
            in_rows.append(part(pooled[index], width))
        enlarged = torch.matmul(torch.cat(rows, dim=1), torch.cat(in_rows, dim=1).flatten(2))
        own: Tensor = self.own(x)
        return own + enlarged.view(-1, height, width, own.shape[1]).permute(0, 3, 1, 2)


class PSPNet(nn.Module):
    """PSPNet.

    In training with `auxiliary`, a list: the logits, then those of the auxiliary head (published with a loss weight of 0.4). The modules
    `bottleneck` and `last_stage` pass on the backbone's features and those before the head, for explanations.
    Shape: (B, in_channels, H, W) -> (B, out_channels, H, W), H and W of any size from 32.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the logits.
        features: channels of the plain backbone's convolutions, each of which halves the size; not used with a timm encoder.
        encoder: ``plain``, or a timm model: ``resnet50`` or ``resnet101`` as published, ``resnet18`` for small machines.
        pretrained: ImageNet weights in the encoder, from an installed package that holds them, else timm's download.
        weights_file: the file with these, instead.
        input_normalisation: (mean, std) by which the image was normalised: a timm encoder renormalises it to its own.
        output_stride: 8 as published, or 16 for a third of the cost; of timm encoders.
        levels: use only so many of the encoder's maps; 3 ends a ResNet at its second stage, at stride 8 without dilation.
        bins: bins per side of the pooled maps.
        width: channels of the convolution after the pooling; the auxiliary head has half as many. 512 as published.
        fusion_kernel: size of that convolution, an odd number; 3 as published, 1 for less.
        auxiliary: a second head on the stage before the last, in training.
        dropout: share of channels dropped before the logits.

    Raises:
        ValueError: an argument out of range.

    >>> network = PSPNet(3, 2, features=(8, 16), width=16).eval()
    >>> network(torch.zeros(1, 3, 37, 50)).shape
    torch.Size([1, 2, 37, 50])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        features: Sequence[int] = (128, 512),
        encoder: str = "plain",
        pretrained: bool = False,
        weights_file: str | Path | None = None,
        input_normalisation: Normalisation | None = None,
        output_stride: int = 8,
        levels: int | None = None,
        bins: Sequence[int] = (1, 2, 3, 6),
        width: int = 512,
        fusion_kernel: int = 3,
        auxiliary: bool = True,
        dropout: float = 0.1,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        check_arguments("PSPNet", features=features, spatial_dims=spatial_dims, most_dims=2)
        if output_stride not in (8, 16):
            raise ValueError(f"PSPNet: output_stride must be 8 or 16, not {output_stride!r}")
        if not bins or min(bins) < 1:
            raise ValueError(f"PSPNet: bins must be one or more numbers of at least 1, not {bins!r}")
        if fusion_kernel < 1 or fusion_kernel % 2 == 0:
            raise ValueError(f"PSPNet: fusion_kernel must be an odd number, not {fusion_kernel!r}")
        if levels is not None and levels < 2:
            raise ValueError(
                f"PSPNet: levels must be at least 2 (the auxiliary head uses the last but one), not {levels!r}"
            )
        self.encoder = choose_encoder(
            encoder,
            in_channels,
            lambda: StridedEncoder(in_channels, features, convs=1),
            levels=levels,
            output_stride=output_stride,
            pretrained=pretrained,
            weights_file=weights_file,
            input_normalisation=input_normalisation,
        )
        channels, strides = self.encoder.channels, self.encoder.strides
        self.stride, self.auxiliary_stride = strides[-1], strides[-2]
        self.bottleneck = nn.Identity()
        self.pooling = PyramidPooling(channels[-1], bins=bins)
        self.fusion = PyramidConv(
            channels[-1], self.pooling.width, width, branches=len(bins), kernel_size=fusion_kernel
        )
        self.last_stage = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Dropout2d(dropout))
        self.head = logits_convolution(width, out_channels)
        self.auxiliary_head: nn.Module | None = None
        if auxiliary:
            self.auxiliary_head = nn.Sequential(
                ConvNormReLU(channels[-2], width // 2),
                nn.Dropout2d(dropout),
                logits_convolution(width // 2, out_channels),
            )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits at the size of `x`; in training a list of them and the auxiliary head's."""
        size = list(x.shape[2:])
        maps = self.encoder(x)
        deepest = self.bottleneck(maps[-1])
        fused = self.fusion(deepest, self.pooling(deepest))
        logits = to_image_size(self.head(self.last_stage(fused)), self.stride, size)
        if self.auxiliary_head is not None and self.training:
            return [logits, to_image_size(self.auxiliary_head(maps[-2]), self.auxiliary_stride, size)]
        return logits
