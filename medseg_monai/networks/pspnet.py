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
convolution where the authors' has three of 3x3 (`resnet50d` is nearer); a plain backbone of two convolutions as the light variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from medseg_monai.networks.blocks import ConvNormReLU, PooledConvReLU, check_arguments, resize_linear, to_image_size
from medseg_monai.networks.encoders import StridedEncoder, choose_encoder


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


class PyramidPooling(nn.Module):
    """Means over 1x1, 2x2, 3x3 and 6x6 bins, upsampled and concatenated to the input (Fig. 3c).

    Shape: (B, C, H, W) -> (B, C + bins * (C // bins), H, W): twice the channels for the published four.

    Args:
        channels: of the input.
        bins: bins per side, one per branch.
    """

    def __init__(self, channels: int, *, bins: Sequence[int] = (1, 2, 3, 6)) -> None:
        super().__init__()
        self.bins = list(bins)
        width = channels // len(bins)
        self.branches = nn.ModuleList(PooledConvReLU(channels, width) for _ in bins)
        self.out_channels = channels + width * len(bins)

    def forward(self, x: Tensor) -> Tensor:
        """The input, and beside it what lies around each pixel."""
        height, width = x.shape[2], x.shape[3]
        maps = [x]
        for index, branch in enumerate(self.branches):
            bins = self.bins[index]
            rows, columns = averaging_matrix(bins, height, x), averaging_matrix(bins, width, x)
            pooled = torch.matmul(torch.matmul(rows, x), columns.t())
            maps.append(resize_linear(branch(pooled), [height, width]))
        return torch.cat(maps, dim=1)


class PSPNet(nn.Module):
    """PSPNet.

    In training with `auxiliary`, a list: the logits, then those of the auxiliary head (published with a loss weight of 0.4). The modules
    `bottleneck` and `last_stage` pass on the backbone's features and those that the logits are made of, for explanations.
    Shape: (B, in_channels, H, W) -> (B, out_channels, H, W), H and W of any size from 32.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the logits.
        features: channels of the plain backbone's convolutions, each of which halves the size; not used with a timm encoder.
        encoder: ``plain``, or a timm model: ``resnet50`` or ``resnet101`` as published, ``resnet18`` for small machines.
        pretrained: timm's ImageNet weights in the encoder.
        weights_file: the file with these, instead of the download.
        output_stride: 8 as published, or 16 for a quarter of the cost; of timm encoders.
        levels: use only so many of the encoder's maps; 3 ends a ResNet at its second stage, at stride 8 without dilation.
        bins: bins per side of the pooled maps.
        width: channels of the convolution after the pooling; the auxiliary head has half as many. 512 as published.
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
        output_stride: int = 8,
        levels: int | None = None,
        bins: Sequence[int] = (1, 2, 3, 6),
        width: int = 512,
        auxiliary: bool = True,
        dropout: float = 0.1,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        check_arguments("PSPNet", features=features, spatial_dims=spatial_dims, most_dims=2)
        if output_stride not in (8, 16):
            raise ValueError(f"PSPNet: output_stride is 8 or 16, not {output_stride!r}")
        self.encoder = choose_encoder(
            encoder,
            in_channels,
            lambda: StridedEncoder(in_channels, features, convs=1),
            levels=levels,
            output_stride=output_stride,
            pretrained=pretrained,
            weights_file=weights_file,
        )
        channels, strides = self.encoder.channels, self.encoder.strides
        self.stride, self.auxiliary_stride = strides[-1], strides[-2]
        self.bottleneck = nn.Identity()
        self.pooling = PyramidPooling(channels[-1], bins=bins)
        self.last_stage = _before_logits(self.pooling.out_channels, width, dropout)
        self.head = nn.Conv2d(width, out_channels, kernel_size=1)
        self.auxiliary_head: nn.Module | None = None
        if auxiliary:
            self.auxiliary_head = nn.Sequential(
                _before_logits(channels[-2], width // 2, dropout), nn.Conv2d(width // 2, out_channels, kernel_size=1)
            )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits at the size of `x`; in training a list of them and the auxiliary head's."""
        size = list(x.shape[2:])
        maps = self.encoder(x)
        context = self.pooling(self.bottleneck(maps[-1]))
        logits = to_image_size(self.head(self.last_stage(context)), self.stride, size)
        if self.auxiliary_head is not None and self.training:
            return [logits, to_image_size(self.auxiliary_head(maps[-2]), self.auxiliary_stride, size)]
        return logits


def _before_logits(in_channels: int, out_channels: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(ConvNormReLU(in_channels, out_channels), nn.Dropout2d(dropout))
