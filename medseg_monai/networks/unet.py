"""U-Net: a contracting path, an expanding path, and skips between them at every level (Fig. 1).

Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015, arXiv:1505.04597.

```
64 ────────────────────────────> cat -> 64 -> head
 ↘ 128 ───────────────────> cat -> 128 ↗
    ↘ 256 ───────────> cat -> 256 ↗            ↘ max pooling by 2, ↗ transposed convolution by 2
       ↘ 512 ────> cat -> 512 ↗
          ↘ 1024 (bottleneck) ↗
```

Departures: convolutions are padded, so that the logits have the image's size; batch norm after every 3x3 convolution; no dropout.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from medseg_monai.networks.blocks import DoubleConv, check_arguments, crop, logits_convolution, to_image_size
from medseg_monai.networks.encoders import PlainEncoder, choose_encoder
from medseg_monai.networks.imagenet import Normalisation

PUBLISHED_FEATURES = (64, 128, 256, 512, 1024)
ENCODER_FEATURES = (32, 64, 128, 256, 512)  # narrower ones suffice with an encoder that starts at half or quarter size


class Up(nn.Module):
    """A step up: transposed convolution by 2, concatenation with the skip, two convolutions.

    Shape: below (B, below_channels, *ceil(S / 2)), skip (B, skip_channels, *S) -> (B, out_channels, *S).
    """

    def __init__(
        self, below_channels: int, skip_channels: int, out_channels: int, *, norm: str, spatial_dims: int
    ) -> None:
        super().__init__()
        transposed = nn.ConvTranspose3d if spatial_dims == 3 else nn.ConvTranspose2d
        self.up = transposed(below_channels, out_channels, kernel_size=2, stride=2)
        self.convs = DoubleConv(skip_channels + out_channels, out_channels, norm=norm, spatial_dims=spatial_dims)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Features at the skip's size."""
        up = crop(self.up(below), list(skip.shape[2:]))
        features: Tensor = self.convs(torch.cat([skip, up], dim=1))
        return features


class UNet(nn.Module):
    """U-Net.

    The modules `bottleneck` and `last_stage` pass on the deepest features and those before the head, for explanations.
    Shape: (B, in_channels, *S) -> (B, out_channels, *S), S of any size.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the logits.
        features: channels per level, fine to coarse. By default 64 to 1024 as published, with a timm encoder 32 to 256 (these have
            their own channels on the way down and `features` only on the way up: the coarsest is not used, nor those beyond its levels).
        encoder: ``plain`` or a timm model such as ``resnet34``; its logits, at its finest stride, are upsampled bilinearly.
        pretrained: ImageNet weights in the encoder, from an installed package that holds them, else timm's download.
        weights_file: the file with these, instead.
        input_normalisation: (mean, std) by which the image was normalised: a timm encoder renormalises it to its own.
        stem_stride: 2 lets the first convolution halve the size and upsamples the logits bilinearly: about a quarter of the cost
            and coarser outlines (departure from the paper).
        norm: ``batch`` or ``instance``.
        spatial_dims: 2, or 3: the 3D U-Net (Çiçek et al., MICCAI 2016, arXiv:1606.06650) up to its widths.
        deep_supervision: in training all upper stages, not only the last, have a head (departure from the paper; give the loss
            ``head_weights`` to weight them, the main head first).

    Raises:
        ValueError: an argument out of range.

    >>> network = UNet(1, 4, features=(4, 8, 16)).eval()
    >>> network(torch.zeros(2, 1, 37, 50)).shape
    torch.Size([2, 4, 37, 50])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        features: Sequence[int] | None = None,
        encoder: str = "plain",
        pretrained: bool = False,
        weights_file: str | Path | None = None,
        input_normalisation: Normalisation | None = None,
        stem_stride: int = 1,
        norm: str = "batch",
        spatial_dims: int = 2,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        widths = features or (PUBLISHED_FEATURES if encoder == "plain" else ENCODER_FEATURES)
        check_arguments("UNet", features=widths, stem_stride=stem_stride, spatial_dims=spatial_dims, norm=norm)
        self.encoder = choose_encoder(
            encoder,
            in_channels,
            lambda: PlainEncoder(in_channels, widths, stem_stride=stem_stride, norm=norm, spatial_dims=spatial_dims),
            levels=len(widths),
            pretrained=pretrained,
            weights_file=weights_file,
            input_normalisation=input_normalisation,
            spatial_dims=spatial_dims,
        )
        channels = self.encoder.channels
        self.stride = self.encoder.strides[0]
        self.bottleneck = nn.Identity()
        self.decoder = nn.ModuleList()
        below = channels[-1]
        for level in reversed(range(len(channels) - 1)):
            self.decoder.append(Up(below, channels[level], widths[level], norm=norm, spatial_dims=spatial_dims))
            below = widths[level]
        self.last_stage = nn.Identity()
        self.head = logits_convolution(below, out_channels, spatial_dims=spatial_dims)
        self.strides = tuple(self.encoder.strides)
        deeper = widths[1 : len(channels) - 1] if deep_supervision else ()
        self.auxiliary_heads = nn.ModuleList(
            logits_convolution(width, out_channels, spatial_dims=spatial_dims) for width in deeper
        )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits at the size of `x`; a list of them in training with deep supervision, the main head's first."""
        maps = self.encoder(x)
        features = self.bottleneck(maps[-1])
        stages: list[Tensor] = []
        for index, up in enumerate(self.decoder):
            features = up(features, maps[len(maps) - 2 - index])
            stages.append(features)
        size = list(x.shape[2:])
        logits: list[Tensor] = [to_image_size(self.head(self.last_stage(features)), self.stride, size)]
        if not self.training or len(self.auxiliary_heads) == 0:
            return logits[0]
        for index, head in enumerate(self.auxiliary_heads):
            logits.append(to_image_size(head(stages[len(stages) - 2 - index]), self.strides[index + 1], size))
        return logits
