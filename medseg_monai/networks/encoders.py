"""Encoders: the published plain ones, and any timm model with feature maps, behind one face.

An encoder is a module whose ``forward`` takes (B, C, *S) and returns feature maps from fine to coarse, and which has
``channels`` (of each map) and ``stem_stride`` (of the finest map: 1 means the input's own size).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medseg_monai.networks.blocks import DoubleConv, HalvePool


class PlainEncoder(nn.Module):
    """The contracting path of the U-Net: double convolutions with max pooling between them (Fig. 1, left half).

    Ronneberger et al., U-Net, MICCAI 2015, arXiv:1505.04597.
    Shape: (B, in_channels, *S) -> level i: (B, features[i], *ceil(S / stem_stride / 2^i)).

    Args:
        in_channels: channels of the image.
        features: channels per level, fine to coarse.
        stem_stride: stride of the very first convolution (departure from the paper where it is not 1).
        norm: ``batch`` or ``instance``.
        spatial_dims: 2 or 3.
    """

    def __init__(
        self,
        in_channels: int,
        features: Sequence[int],
        *,
        stem_stride: int = 1,
        norm: str = "batch",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        self.channels = tuple(features)
        self.stem_stride = stem_stride
        self.stages = nn.ModuleList()
        for level, width in enumerate(features):
            came = in_channels if level == 0 else features[level - 1]
            stride = stem_stride if level == 0 else 1
            self.stages.append(DoubleConv(came, width, stride=stride, norm=norm, spatial_dims=spatial_dims))
        self.pool = HalvePool(spatial_dims=spatial_dims)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps, fine to coarse."""
        maps: list[Tensor] = []
        for level, stage in enumerate(self.stages):
            x = stage(x if level == 0 else self.pool(x))
            maps.append(x)
        return maps
