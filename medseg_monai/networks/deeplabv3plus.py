"""DeepLabV3+: atrous spatial pyramid pooling, and a decoder that takes one fine map beside it (Fig. 2).

Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, ECCV 2018, arXiv:1802.02611.

```
image -> dilated backbone ── stride 16 ──> ASPP: 1x1 | 3x3 at rates 6, 12, 18 | image pooling -> cat -> 1x1, 256
             │                                                                                          │ x4
             └─ stride 4 ──> 1x1, 48 ───────────────────────────────────────────────────────────────> cat -> 3x3 -> 3x3 -> logits, x4
```

Departures: norm and ReLU follow a separable convolution's pointwise half alone; group norm in place of batch norm on the pooled
image, whose one value per channel batch norm cannot take; the published backbones are Xception and ResNet-101: any timm model with
dilation does, and a plain one of double convolutions is the light variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
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


class SeparableConv(nn.Sequential):
    """3x3 convolution per channel, then a 1x1 convolution over channels, norm, ReLU (Fig. 3). Shape: (B, C, H, W) -> (B, C', H, W)."""

    def __init__(self, in_channels: int, out_channels: int, *, dilation: int = 1) -> None:
        super().__init__(
            convolution(in_channels, in_channels, dilation=dilation, groups=in_channels),
            ConvNormReLU(in_channels, out_channels, kernel_size=1),
        )


class ImagePooling(nn.Module):
    """The mean of the whole map, projected, at every pixel. Shape: (B, C, H, W) -> (B, C', H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.project = PooledConvReLU(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """One vector per image, repeated."""
        pooled: Tensor = self.project(x.mean(dim=(2, 3), keepdim=True))
        return pooled.expand(-1, -1, x.shape[2], x.shape[3])


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: branches with growing receptive fields, concatenated and projected (Fig. 2, encoder).

    Shape: (B, C, H, W) -> (B, width, H, W).

    Args:
        in_channels: of the input.
        width: channels of each branch and of the output.
        rates: dilation of the 3x3 branches.
        dropout: share of values dropped from the output.
    """

    def __init__(self, in_channels: int, width: int, *, rates: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                ConvNormReLU(in_channels, width, kernel_size=1),
                *[SeparableConv(in_channels, width, dilation=rate) for rate in rates],
                ImagePooling(in_channels, width),
            ]
        )
        self.project = nn.Sequential(
            ConvNormReLU(width * len(self.branches), width, kernel_size=1), nn.Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features with several receptive fields."""
        views: list[Tensor] = []
        for branch in self.branches:
            views.append(branch(x))
        features: Tensor = self.project(torch.cat(views, dim=1))
        return features


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+.

    The modules `bottleneck` and `last_stage` output the pyramid's features and those before the head, for explanations.
    Shape: (B, in_channels, H, W) -> (B, out_channels, H, W), H and W of any size from 32.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the logits.
        features: channels of the plain backbone's levels, of strides 2, 4, 8 ...; not used with a timm encoder.
        encoder: ``plain``, or a timm model such as ``resnet101``.
        pretrained: ImageNet weights in the encoder, from an installed package that holds them, else timm's download.
        weights_file: the file with these, instead.
        input_normalisation: (mean, std) by which the image was normalised: a timm encoder renormalises it to its own.
        output_stride: 16, or 8 for finer features at about three times the cost; of timm encoders. At 8 take twice the rates.
        rates: dilation of the pyramid's 3x3 branches.
        width: channels of the pyramid and the decoder; 256 as published.
        skip_width: channels of the fine map; 48 as published.
        decoder_convs: convolutions of the decoder; 2 as published.
        dropout: share of values dropped after the pyramid.

    Raises:
        ValueError: an argument out of range.

    >>> network = DeepLabV3Plus(3, 2, features=(4, 8, 8, 8), width=8, skip_width=4).eval()
    >>> network(torch.zeros(1, 3, 37, 50)).shape
    torch.Size([1, 2, 37, 50])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        features: Sequence[int] = (32, 64, 128, 256),
        encoder: str = "plain",
        pretrained: bool = False,
        weights_file: str | Path | None = None,
        input_normalisation: Normalisation | None = None,
        output_stride: int = 16,
        rates: Sequence[int] = (6, 12, 18),
        width: int = 256,
        skip_width: int = 48,
        decoder_convs: int = 2,
        dropout: float = 0.1,
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        check_arguments("DeepLabV3Plus", features=features, least=3, spatial_dims=spatial_dims, most_dims=2)
        if output_stride not in (8, 16):
            raise ValueError(f"DeepLabV3Plus: output_stride is 8 or 16, not {output_stride!r}")
        if decoder_convs < 1:
            raise ValueError(f"DeepLabV3Plus: decoder_convs is at least 1, not {decoder_convs!r}")
        self.encoder = choose_encoder(
            encoder,
            in_channels,
            lambda: StridedEncoder(in_channels, features),
            output_stride=output_stride,
            pretrained=pretrained,
            weights_file=weights_file,
            input_normalisation=input_normalisation,
        )
        channels = self.encoder.channels
        self.fine = self.encoder.strides.index(4)
        self.context_stride = self.encoder.strides[-1] // 4
        self.bottleneck = AtrousPyramid(channels[-1], width, rates=rates, dropout=dropout)
        self.skip = ConvNormReLU(channels[self.fine], skip_width, kernel_size=1)
        widths = [width + skip_width, *[width] * decoder_convs]
        self.last_stage = nn.Sequential(*[SeparableConv(came, width) for came in widths[:-1]])
        self.head = logits_convolution(width, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Logits at the size of `x`."""
        maps = self.encoder(x)
        fine = self.skip(maps[self.fine])
        context = to_image_size(self.bottleneck(maps[-1]), self.context_stride, list(fine.shape[2:]))
        logits: Tensor = self.head(self.last_stage(torch.cat([context, fine], dim=1)))
        return to_image_size(logits, 4, list(x.shape[2:]))
