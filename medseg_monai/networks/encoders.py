"""Encoders: plain ones, and any timm model with feature maps, behind one face.

An encoder is a module whose ``forward`` takes (B, C, *S) and returns feature maps from fine to coarse. It has ``channels`` (of each
map) and ``strides`` (each map's pixel in pixels of the image); a map's size is its stride's multiple rounded up.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medseg_monai.networks.blocks import ConvNormReLU, DoubleConv, HalvePool
from medseg_monai.networks.imagenet import Normalisation, in_order_of, packaged_weights_file, renormalise

PlainKind = TypeVar("PlainKind", "PlainEncoder", "StridedEncoder")


class PlainEncoder(nn.Module):
    """The contracting path of the U-Net: double convolutions with max pooling between them (Fig. 1, left half).

    Ronneberger et al., U-Net, MICCAI 2015, arXiv:1505.04597.
    Shape: (B, in_channels, *S) -> level i: (B, features[i], *ceil(S / stem_stride / 2^i)).

    Args:
        in_channels: channels of the image.
        features: channels per level, fine to coarse.
        stem_stride: stride of the very first convolution (departure from the paper if it is not 1).
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
        self.strides = tuple(stem_stride * 2**level for level in range(len(features)))
        self.pool = HalvePool()
        self.stages = nn.ModuleList()
        for level, width in enumerate(features):
            came = in_channels if level == 0 else features[level - 1]
            stride = stem_stride if level == 0 else 1
            self.stages.append(DoubleConv(came, width, stride=stride, norm=norm, spatial_dims=spatial_dims))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps, fine to coarse."""
        maps: list[Tensor] = []
        for level, stage in enumerate(self.stages):
            x = stage(x if level == 0 else self.pool(x))
            maps.append(x)
        return maps


class StridedEncoder(nn.Module):
    """Convolutions of which the first of each level halves the size: a light stand-in for a ResNet.

    Shape: (B, in_channels, H, W) -> level i: (B, features[i], ceil(H / 2^(i+1)), ceil(W / 2^(i+1))).

    Args:
        in_channels: channels of the image.
        features: channels per level, fine to coarse.
        convs: 3x3 convolutions per level, 1 or 2.
    """

    def __init__(self, in_channels: int, features: Sequence[int], *, convs: int = 2) -> None:
        super().__init__()
        self.channels = tuple(features)
        self.strides = tuple(2 ** (level + 1) for level in range(len(features)))
        block = DoubleConv if convs == 2 else ConvNormReLU
        widths = (in_channels, *features)
        self.stages = nn.ModuleList(block(came, width, stride=2) for came, width in zip(widths, features, strict=False))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps, fine to coarse."""
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class TimmEncoder(nn.Module):
    """The feature maps of a timm model (ResNet, EfficientNet, ConvNeXt, MobileNet ...).

    The image is padded on the far sides, by repeating its border, to a multiple of the coarsest stride: some of these models drop a
    last row that does not fill a stride. A batch of one image trains only if it is larger than that stride (batch norm needs two values).
    Shape: (B, in_channels, H, W) -> level i: (B, channels[i], ceil(H / strides[i]), ceil(W / strides[i])), rounded up to the padding.

    Args:
        name: of the timm model.
        in_channels: channels of the image; pretrained weights of the first convolution are adapted to it.
        levels: how many maps, from the finest; all by default.
        output_stride: 8 or 16 keeps maps from shrinking further and dilates their convolutions instead.
        pretrained: with ImageNet weights, from an installed package if one holds them (`networks/imagenet.py`), else timm's download.
        weights_file: file to take these weights from (.pt, .pth or .safetensors) instead.
        input_normalisation: (mean, std) by which the image was normalised; it is then renormalised to the mean and std that the
            weights were trained with. None leaves the image as it is.

    Raises:
        ImportError: timm is not installed.
        ValueError: timm has no such model, or it gives no maps of falling size.
    """

    def __init__(
        self,
        name: str,
        in_channels: int,
        *,
        levels: int | None = None,
        output_stride: int | None = None,
        pretrained: bool = False,
        weights_file: str | Path | None = None,
        input_normalisation: Normalisation | None = None,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {"in_chans": in_channels, "scriptable": True}
        if output_stride is not None:
            options["output_stride"] = output_stride
        weights = _tensors(Path(weights_file)) if weights_file is not None else None
        if pretrained and weights is None:
            weights, weights_file = _packaged(name)
        self.model = _feature_model(name, options, weights=weights, pretrained=pretrained)
        if weights is not None and weights_file is not None:
            _check_taken(self.model, weights, name, weights_file)
        if levels is not None and levels < len(self.model.feature_info.channels()):
            whole = self.model.state_dict()
            self.model = _feature_model(name, {**options, "out_indices": tuple(range(levels))})
            self.model.load_state_dict({key: whole[key] for key in self.model.state_dict()})
        self.channels: tuple[int, ...] = tuple(self.model.feature_info.channels())
        self.strides: tuple[int, ...] = tuple(self.model.feature_info.reduction())
        steps = {coarse / fine for fine, coarse in pairwise(self.strides)}
        if self.strides[0] > 4 or not steps <= {1, 2} or (1 in steps and output_stride is None):
            raise ValueError(
                f"encoder {name!r} gives maps of strides {self.strides}; needed are 2 or 4 and their doubles"
            )
        self.multiple = self.strides[-1]
        config = self.model.pretrained_cfg
        self.renormalises = input_normalisation is not None
        given = input_normalisation if input_normalisation is not None else ((0.0,), (1.0,))
        scale, shift = renormalise(given, (config["mean"], config["std"]), in_channels)
        # spec.json holds the argument, so the weights need not
        self.scale = nn.Buffer(scale, persistent=False)
        self.shift = nn.Buffer(shift, persistent=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps, fine to coarse."""
        if self.renormalises:
            x = x * self.scale + self.shift
        below, right = -x.shape[2] % self.multiple, -x.shape[3] % self.multiple
        maps: list[Tensor] = self.model(F.pad(x, [0, right, 0, below], mode="replicate"))
        return maps


def _feature_model(
    name: str, options: dict[str, Any], *, weights: dict[str, Tensor] | None = None, pretrained: bool = False
) -> Any:
    try:
        import timm
    except ImportError as error:
        raise ImportError(f"encoder {name!r} needs timm: pip install timm") from error
    if not timm.is_model(name.split(".")[0]):
        nearest = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise ValueError(
            f"encoder: neither 'plain' nor a model of timm: {name!r}; near it: {', '.join(nearest) or 'none'}"
        )
    if weights is not None:
        options = {**options, "pretrained": True, "pretrained_cfg_overlay": {"source": "timm", "state_dict": weights}}
    try:
        model = timm.create_model(name, features_only=True, **{"pretrained": pretrained, **options})
    except (RuntimeError, AttributeError, NotImplementedError, TypeError, AssertionError) as error:
        raise ValueError(f"encoder {name!r} cannot be made: {str(error).splitlines()[0]}") from error
    _drop_stages_after_the_last_map(model)
    if weights is None and not pretrained and not options.get("pretrained"):
        _begin_with_residuals(model)
    return model


def _begin_with_residuals(model: nn.Module) -> None:
    """Let residual branches count from the first step, in a network that starts from random weights.

    timm's ResNets begin with the last norm of each branch at zero, which suits long trainings; in a short one PSPNet's validation Jaccard
    is 0.043 lower (docs/results/recipe.md).
    """
    for norm in model.modules():
        weight = norm.weight if isinstance(norm, nn.BatchNorm2d) else None
        if weight is not None and not weight.is_meta and not weight.any():  # on the meta device nothing has a value
            nn.init.ones_(weight)


def _drop_stages_after_the_last_map(model: Any) -> None:
    """EfficientNets and MobileNets of timm keep and compute all stages, whatever maps are wanted; its other models end with the last."""
    stages, wanted = getattr(model, "blocks", None), getattr(model, "_stage_out_idx", None)  # stage 0 is the stem
    if isinstance(stages, nn.Sequential) and wanted and getattr(model, "feature_hooks", None) is None:
        model.blocks = stages[: max(wanted)]


def _packaged(name: str) -> tuple[dict[str, Tensor] | None, Path | None]:
    """ImageNet weights of an installed package under timm's names, and their file; (None, None) if it is not installed."""
    file = packaged_weights_file(name)
    if file is None:
        return None, None
    import timm

    return in_order_of(timm.create_model(name).state_dict(), _tensors(file), source=file), file


def _tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file; nothing else is unpickled."""
    if not path.is_file():
        raise FileNotFoundError(f"encoder: weights_file {path} is not there")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    state = torch.load(path, map_location="cpu", weights_only=True)
    found: dict[str, Tensor] = state.get("state_dict", state)
    return found


def _check_taken(model: nn.Module, weights: dict[str, Tensor], name: str, path: str | Path) -> None:
    """Refuse a foreign file: timm passes over names that it does not know, and the encoder would start untrained."""
    given = {tensor.double().sum().item() for tensor in weights.values() if tensor.dim() > 1}
    taken = [parameter.double().sum().item() in given for parameter in model.parameters() if parameter.dim() > 1]
    # the first convolution differs where its number of channels does
    if sum(taken) < len(taken) - 1:
        raise ValueError(
            f"encoder {name!r}: {path} fits {sum(taken)} of its {len(taken)} weights; it is for another model"
        )


def choose_encoder(
    name: str,
    in_channels: int,
    plain: Callable[[], PlainKind],
    *,
    levels: int | None = None,
    output_stride: int | None = None,
    pretrained: bool = False,
    weights_file: str | Path | None = None,
    input_normalisation: Normalisation | None = None,
    spatial_dims: int = 2,
) -> PlainKind | TimmEncoder:
    """What a network's `encoder` argument means: its own plain encoder, or one of timm's.

    Args:
        name: ``plain`` or a timm model.
        in_channels: channels of the image.
        plain: makes the plain encoder.
        levels: as in :class:`TimmEncoder`, and so the next three.
        output_stride: 8 or 16.
        pretrained: with ImageNet weights.
        weights_file: where these are.
        input_normalisation: see :class:`TimmEncoder`; the plain encoder learns from images as they are.
        spatial_dims: 3 has no timm models.

    Raises:
        ValueError: pretrained weights or 3D asked of what has none.
    """
    if name == "plain":
        if pretrained or weights_file is not None:
            raise ValueError("encoder 'plain' has no pretrained weights: name a timm model, e.g. encoder='resnet34'")
        return plain()
    if spatial_dims != 2:
        raise ValueError(f"encoder {name!r} is for 2D images: take encoder='plain' with spatial_dims={spatial_dims}")
    return TimmEncoder(
        name,
        in_channels,
        levels=levels,
        output_stride=output_stride,
        pretrained=pretrained,
        weights_file=weights_file,
        input_normalisation=input_normalisation,
    )
