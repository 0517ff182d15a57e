"""ResUNet++: a residual U-Net with squeeze-and-excitation, an atrous bridge, and attention in the decoder (Fig. 2).

Jha et al., ResUNet++: An Advanced Architecture for Medical Image Segmentation, ISM 2019, arXiv:1911.07067.

```
16  stem ───────────────────────────────────> attention -> up, cat -> residual 32 -> ASPP 16 -> head
 ↘ 32 residual + SE ───────────────> attention -> up, cat -> residual 64 ↗
    ↘ 64 residual + SE ────> attention -> up, cat -> residual 128 ↗
       ↘ 128 residual + SE -> ASPP 256 (bridge) ↗
```

Each step down is a residual unit of stride 2; the attention of a level lets the finer map decide where the coarser one counts.

Departures: the convolutions before a norm have no bias; squeeze-and-excitation is used only in the encoder, as in the figure.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medseg_monai.networks.blocks import (
    HalvePool,
    Subsample,
    check_arguments,
    convolution,
    logits_convolution,
    normalisation,
    to_image_size,
)


class SqueezeExcite(nn.Module):
    """Channels weighted by the content of the whole map: mean, two dense layers, sigmoid. Shape: (B, C, *S) -> (B, C, *S).

    Hu et al., Squeeze-and-Excitation Networks, CVPR 2018, arXiv:1709.01507.
    """

    def __init__(self, channels: int, *, ratio: int = 8) -> None:
        super().__init__()
        hidden = max(1, channels // ratio)
        self.gate = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The map with its channels weighted."""
        weights: Tensor = self.gate(x.flatten(2).mean(2))
        return x * weights.reshape(list(weights.shape) + [1] * (x.dim() - 2))


def norm_relu_conv(
    in_channels: int, out_channels: int, *, stride: int = 1, norm: str, spatial_dims: int
) -> nn.Sequential:
    """Norm, ReLU, 3x3 convolution: half a pre-activated residual unit."""
    return nn.Sequential(
        normalisation(in_channels, kind=norm, spatial_dims=spatial_dims),
        nn.ReLU(inplace=True),
        convolution(in_channels, out_channels, stride=stride, spatial_dims=spatial_dims),
    )


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions beside a 1x1 shortcut with norm, added. Shape: (B, C, *S) -> (B, C', *ceil(S / stride)).

    Args:
        in_channels: of the input.
        out_channels: of the output.
        stride: of the first convolution and the shortcut.
        stem: the first unit, on the image: no norm and ReLU before its first convolution.
        norm: ``batch`` or ``instance``.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int = 1, stem: bool = False, norm: str, spatial_dims: int
    ) -> None:
        super().__init__()
        first: nn.Module
        if stem:
            first = convolution(in_channels, out_channels, stride=stride, spatial_dims=spatial_dims)
        else:
            first = norm_relu_conv(in_channels, out_channels, stride=stride, norm=norm, spatial_dims=spatial_dims)
        self.convs = nn.Sequential(
            first, norm_relu_conv(out_channels, out_channels, norm=norm, spatial_dims=spatial_dims)
        )
        self.shortcut = nn.Sequential(
            Subsample(stride),
            convolution(in_channels, out_channels, kernel_size=1, spatial_dims=spatial_dims),
            normalisation(out_channels, kind=norm, spatial_dims=spatial_dims),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Both branches, added."""
        features: Tensor = self.convs(x) + self.shortcut(x)
        return features


class SummedPyramid(nn.Module):
    """ASPP as in this paper: 3x3 convolutions at dilations 6, 12, 18 and 1, summed, then 1x1. Shape: (B, C, *S) -> (B, C', *S)."""

    def __init__(self, in_channels: int, out_channels: int, *, norm: str, spatial_dims: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                convolution(in_channels, out_channels, dilation=rate, spatial_dims=spatial_dims),
                normalisation(out_channels, kind=norm, spatial_dims=spatial_dims),
            )
            for rate in (6, 12, 18, 1)
        )
        self.project = convolution(out_channels, out_channels, kernel_size=1, bias=True, spatial_dims=spatial_dims)

    def forward(self, x: Tensor) -> Tensor:
        """Four receptive fields, summed and projected."""
        total = torch.zeros(1, dtype=x.dtype, device=x.device)
        for branch in self.branches:
            total = total + branch(x)
        features: Tensor = self.project(total)
        return features


class Attention(nn.Module):
    """The coarse map, weighted pixel by pixel by its own values and the finer map of the encoder.

    Shape: fine (B, C, *S), coarse (B, C', *ceil(S / 2)) -> as coarse.
    """

    def __init__(self, fine_channels: int, coarse_channels: int, *, norm: str, spatial_dims: int) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            norm_relu_conv(fine_channels, coarse_channels, norm=norm, spatial_dims=spatial_dims),
            HalvePool(),
        )
        self.coarse = norm_relu_conv(coarse_channels, coarse_channels, norm=norm, spatial_dims=spatial_dims)
        self.weigh = norm_relu_conv(coarse_channels, coarse_channels, norm=norm, spatial_dims=spatial_dims)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """The coarse map, weighted."""
        weights: Tensor = self.weigh(self.fine(fine) + self.coarse(coarse))
        return coarse * weights


class UpUnit(nn.Module):
    """A step up: attention, nearest upsampling, concatenation with the skip, a residual unit.

    Shape: below (B, below_channels, *ceil(S / 2)), skip (B, skip_channels, *S) -> (B, out_channels, *S).
    """

    def __init__(
        self, below_channels: int, skip_channels: int, out_channels: int, *, norm: str, spatial_dims: int
    ) -> None:
        super().__init__()
        self.attention = Attention(skip_channels, below_channels, norm=norm, spatial_dims=spatial_dims)
        self.unit = ResidualUnit(below_channels + skip_channels, out_channels, norm=norm, spatial_dims=spatial_dims)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Features at the skip's size."""
        up = F.interpolate(self.attention(skip, below), size=skip.shape[2:], mode="nearest")
        features: Tensor = self.unit(torch.cat([up, skip], dim=1))
        return features


class ResUNetPlusPlus(nn.Module):
    """ResUNet++.

    The modules `bottleneck` (the bridge) and `last_stage` output the deepest features and those before the head, for explanations.
    Shape: (B, in_channels, *S) -> (B, out_channels, *S), S of any size.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the logits.
        features: channels of the stem, the steps down, and last of the bridge.
        stem_stride: 2 lets the stem halve the size and upsamples the logits bilinearly: about a quarter of the cost and coarser
            outlines (departure from the paper).
        norm: ``batch`` or ``instance``.
        spatial_dims: 2 or 3.

    Raises:
        ValueError: an argument out of range.

    >>> network = ResUNetPlusPlus(1, 4, features=(4, 8, 16)).eval()
    >>> network(torch.zeros(2, 1, 37, 50)).shape
    torch.Size([2, 4, 37, 50])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        features: Sequence[int] = (16, 32, 64, 128, 256),
        stem_stride: int = 1,
        norm: str = "batch",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        check_arguments(
            "ResUNetPlusPlus", features=features, least=3, stem_stride=stem_stride, spatial_dims=spatial_dims, norm=norm
        )
        *widths, bridge = features
        self.stride = stem_stride
        self.encoder = nn.ModuleList()
        for level, width in enumerate(widths):
            came, stride = (in_channels, stem_stride) if level == 0 else (widths[level - 1], 2)
            unit = ResidualUnit(came, width, stride=stride, stem=level == 0, norm=norm, spatial_dims=spatial_dims)
            self.encoder.append(unit if level == len(widths) - 1 else nn.Sequential(unit, SqueezeExcite(width)))
        self.bottleneck = SummedPyramid(widths[-1], bridge, norm=norm, spatial_dims=spatial_dims)
        self.decoder = nn.ModuleList()
        below = bridge
        for level in reversed(range(len(widths) - 1)):
            out = widths[level + 1]
            self.decoder.append(UpUnit(below, widths[level], out, norm=norm, spatial_dims=spatial_dims))
            below = out
        self.last_stage = SummedPyramid(features[1], features[0], norm=norm, spatial_dims=spatial_dims)
        self.head = logits_convolution(features[0], out_channels, spatial_dims=spatial_dims)

    def forward(self, x: Tensor) -> Tensor:
        """Logits at the size of `x`."""
        size = list(x.shape[2:])
        maps: list[Tensor] = []
        for unit in self.encoder:
            x = unit(x)
            maps.append(x)
        x = self.bottleneck(x)
        for index, up in enumerate(self.decoder):
            x = up(x, maps[len(maps) - 2 - index])
        logits: Tensor = self.head(self.last_stage(x))
        return to_image_size(logits, self.stride, size)
