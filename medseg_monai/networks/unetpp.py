"""U-Net++: a U-Net whose skip connections are nested, densely connected convolutions (Fig. 1a).

Zhou et al., UNet++: A Nested U-Net Architecture for Medical Image Segmentation, DLMIA 2018, arXiv:1807.10165;
Zhou et al., UNet++: Redesigning Skip Connections, IEEE TMI 2020, arXiv:1912.05074.

```
X00 ──> X01 ──> X02 ──> X03 ──> X04      each X0j has a head; each node takes all nodes to its left in its row
  ↘   ↗   ↘   ↗   ↘   ↗   ↘   ↗          and, upsampled, the node below left
  X10 ──> X11 ──> X12 ──> X13
    ↘   ↗   ↘   ↗   ↘   ↗
    X20 ──> X21 ──> X22
      ↘   ↗   ↘   ↗
      X30 ──> X31
        ↘   ↗
        X40
```

Departures: batch norm after every convolution and nearest upsampling without weights, as the authors' code has them in its networks
with ImageNet backbones (its plain one of these widths has transposed convolutions and dropout, and no norm: 9.04 M parameters); the
heads' logits are averaged, not their probabilities, so that the network returns logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medseg_monai.networks.blocks import DoubleConv, check_arguments, logits_convolution, to_image_size
from medseg_monai.networks.encoders import PlainEncoder, choose_encoder
from medseg_monai.networks.imagenet import Normalisation


class NestedNode(nn.Module):
    """A node X: everything to its left in its row and the upsampled node below left, then two convolutions.

    Shape: skips (B, C, *S) each, skip_channels in all, below (B, below_channels, *ceil(S / 2)) -> (B, out_channels, *S).
    """

    def __init__(
        self,
        *,
        skip_channels: int,
        below_channels: int,
        out_channels: int,
        norm: str,
        spatial_dims: int,
    ) -> None:
        super().__init__()
        self.convs = DoubleConv(skip_channels + below_channels, out_channels, norm=norm, spatial_dims=spatial_dims)

    def forward(self, skips: list[Tensor], below: Tensor) -> Tensor:
        """The node's feature map."""
        upsampled = F.interpolate(below, size=skips[0].shape[2:], mode="nearest")
        features: Tensor = self.convs(torch.cat(skips + [upsampled], dim=1))  # noqa: RUF005 (TorchScript knows no [*skips, x])
        return features


class UNetPlusPlus(nn.Module):
    """U-Net++ with deep supervision and pruning.

    In training with deep supervision, a list of logits: the deepest head X^{0,L} first (the main one), then X^{0,1} ... X^{0,L-1}.
    Otherwise one tensor. In eval mode that is, as the paper names them, the *accurate mode* (mean of all heads) or, in a network
    made with `inference_depth` or by :meth:`pruned`, the *fast mode* of that depth (its one head, without the nodes it does not need).
    The modules `bottleneck` and `last_stage` pass on X^{L,0} and X^{0,L}, for explanations.
    Shape: (B, in_channels, *S) -> (B, out_channels, *S), S of any size.

    Args:
        in_channels: channels of the image.
        out_channels: channels of the logits.
        features: channels per row, fine to coarse; their number less one is the depth L.
        deep_supervision: a head on each of X^{0,1} ... X^{0,L}; else on X^{0,L} alone.
        inference_depth: build only what the head X^{0,inference_depth} needs, 1 to L; the weights of a whole network, trained with
            deep supervision, load into it.
        encoder: ``plain`` or a timm model such as ``resnet34``, whose maps are the first column; the nodes keep `features`. The logits,
            at its finest stride, are upsampled bilinearly, and L is at most its number of maps less one.
        pretrained: ImageNet weights in the encoder, from an installed package that holds them, else timm's download.
        weights_file: the file with these, instead.
        input_normalisation: (mean, std) by which the image was normalised: a timm encoder renormalises it to its own.
        stem_stride: 2 lets the first convolution halve the size and upsamples the logits bilinearly: about a quarter of the cost
            and coarser outlines (departure from the paper).
        norm: ``batch`` or ``instance``.
        spatial_dims: 2 or 3.

    Raises:
        ValueError: an argument out of range.

    >>> network = UNetPlusPlus(3, 1, features=(4, 8, 16)).eval()
    >>> network(torch.zeros(2, 3, 37, 50)).shape
    torch.Size([2, 1, 37, 50])
    >>> [tuple(head.shape) for head in network.train()(torch.zeros(2, 3, 32, 32))]
    [(2, 1, 32, 32), (2, 1, 32, 32)]
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        features: Sequence[int] = (32, 64, 128, 256, 512),
        deep_supervision: bool = True,
        inference_depth: int | None = None,
        encoder: str = "plain",
        pretrained: bool = False,
        weights_file: str | Path | None = None,
        input_normalisation: Normalisation | None = None,
        stem_stride: int = 1,
        norm: str = "batch",
        spatial_dims: int = 2,
    ) -> None:
        super().__init__()
        check_arguments(
            "UNetPlusPlus", features=features, stem_stride=stem_stride, spatial_dims=spatial_dims, norm=norm
        )
        self._with_depth = partial(
            UNetPlusPlus,
            in_channels=in_channels,
            out_channels=out_channels,
            features=tuple(features),
            deep_supervision=deep_supervision,
            encoder=encoder,
            input_normalisation=input_normalisation,
            stem_stride=stem_stride,
            norm=norm,
            spatial_dims=spatial_dims,
        )
        _check_inference_depth(inference_depth, len(features) - 1)
        levels = len(features) if inference_depth is None else inference_depth + 1
        self.encoder = choose_encoder(
            encoder,
            in_channels,
            lambda: PlainEncoder(
                in_channels, features[:levels], stem_stride=stem_stride, norm=norm, spatial_dims=spatial_dims
            ),
            levels=levels,
            pretrained=pretrained,
            weights_file=weights_file,
            input_normalisation=input_normalisation,
            spatial_dims=spatial_dims,
        )
        self.stride = self.encoder.strides[0]
        depth = len(self.encoder.channels) - 1
        _check_inference_depth(inference_depth, depth)
        self.bottleneck = nn.Identity()
        self.places = [(row, column) for column in range(1, depth + 1) for row in range(depth - column + 1)]
        self.nodes = nn.ModuleDict(
            {f"x_{row}_{column}": self._node(row, column, features, norm, spatial_dims) for row, column in self.places}
        )
        self.last_stage = nn.Identity()
        every_head = deep_supervision and inference_depth is None
        self.headed = [depth, *range(1, depth)] if every_head else [depth]
        self.heads = nn.ModuleDict(
            {
                f"x_0_{column}": logits_convolution(features[0], out_channels, spatial_dims=spatial_dims)
                for column in self.headed
            }
        )
        if inference_depth is not None:
            self.register_load_state_dict_pre_hook(_drop_unneeded)  # type: ignore[no-untyped-call]

    def _node(self, row: int, column: int, features: Sequence[int], norm: str, spatial_dims: int) -> NestedNode:
        """X^{row,column}; the first column is the encoder's maps, which may be wider than the nodes."""
        maps = self.encoder.channels
        return NestedNode(
            skip_channels=maps[row] + (column - 1) * features[row],
            below_channels=maps[row + 1] if column == 1 else features[row + 1],
            out_channels=features[row],
            norm=norm,
            spatial_dims=spatial_dims,
        )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits at the size of `x`; a list of them in training with deep supervision."""
        size = list(x.shape[2:])
        rows = [[level] for level in self.encoder(x)]
        rows[-1][0] = self.bottleneck(rows[-1][0])
        for index, node in enumerate(self.nodes.values()):
            row, column = self.places[index]
            rows[row].append(node(rows[row], rows[row + 1][column - 1]))
        rows[0][-1] = self.last_stage(rows[0][-1])
        logits: list[Tensor] = []
        for index, head in enumerate(self.heads.values()):
            logits.append(head(rows[0][self.headed[index]]))
        if self.training and len(logits) > 1:
            return [to_image_size(each, self.stride, size) for each in logits]
        return to_image_size(_mean(logits), self.stride, size)

    def pruned(self, depth: int) -> UNetPlusPlus:
        """The fast mode of `depth`: a smaller network with copies of these weights, whose one head is X^{0,depth}.

        Raises:
            ValueError: `depth` is not 1 to L, or this network has no head there.
        """
        if depth not in self.headed:
            raise ValueError(f"UNetPlusPlus: there is no head X^(0,{depth}) to prune to; the heads are {self.headed}")
        smaller = self._with_depth(inference_depth=depth)
        smaller.load_state_dict(self.state_dict())
        return smaller.train(self.training).to(next(self.parameters()).device)


def _mean(tensors: list[Tensor]) -> Tensor:
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total / len(tensors)


def _check_inference_depth(inference_depth: int | None, deepest: int) -> None:
    if inference_depth is not None and inference_depth not in range(1, deepest + 1):
        raise ValueError(f"UNetPlusPlus: inference_depth must be 1 to {deepest}, not {inference_depth!r}")


def _drop_unneeded(module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Let the weights of a whole network load into a pruned one: forget those of the nodes it does not have."""
    needed = module.state_dict().keys()
    parts = tuple(f"{prefix}{part}." for part in ("encoder", "nodes", "heads"))
    for key in [key for key in state_dict if key.startswith(parts) and key.removeprefix(prefix) not in needed]:
        del state_dict[key]
