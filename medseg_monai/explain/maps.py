"""Where a network looks for a class: CAM and Grad-CAM of the class's mean logit over a region, on MONAI's ``visualize`` module.

A segmentation network answers for every pixel, but these maps explain one number. That number is the *score*: the mean of a class's
logits over a region (`medseg_monai.explain.regions`), which turns the network into a classifier of that region.

=========== =========================================================================================== ====================
method      map                                                                                         default layer
=========== =========================================================================================== ====================
cam         class weights of the network's 1x1 head over its last feature maps (Zhou et al. 2016)       ``last_stage``
gradcam     feature maps weighted by the score's mean gradient, positive part (Selvaraju et al. 2017)   ``bottleneck``
gradcampp   the same with weights per pixel that favour several instances (Chattopadhyay et al. 2018)   ``bottleneck``
occlusion   how much the score falls when a part of the image is covered (Zeiler and Fergus 2014)       none: the image
=========== =========================================================================================== ====================

Works on any 2D or 3D network; `class_heads` says what CAM needs.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import torch
from monai.visualize import GradCAM, GradCAMpp, OcclusionSensitivity
from monai.visualize.class_activation_maps import ModelWithHooks
from torch import Tensor, nn

from medseg_monai.explain.layers import LayerError, enlarge, find_layer, frozen, recorded
from medseg_monai.program.messages import did_you_mean

Method = Literal["cam", "gradcam", "gradcampp", "occlusion"]
METHODS: tuple[Method, ...] = get_args(Method)
DEFAULT_LAYERS: dict[Method, str] = {
    "cam": "last_stage",
    "gradcam": "bottleneck",
    "gradcampp": "bottleneck",
    "occlusion": "image",
}
OCCLUDED_SHARE = 8  # the covered square's side is an eighth of the image's
FLAT = 1e-6  # a map whose values differ by less than this share of the largest is constant up to rounding


@dataclass(frozen=True)
class ClassMap:
    """A method's result, before scaling.

    Attributes:
        values: (*S), on the network's grid; high is important.
        score: the class's mean logit over the region.
        note: why the map is empty, if it is; otherwise "".
    """

    values: Tensor
    score: float
    note: str = ""


def explain(
    network: nn.Module,
    image: Tensor,
    *,
    channel: int,
    region: Tensor,
    method: Method = "gradcam",
    layer: str | None = None,
) -> ClassMap:
    """The map of one class for one region.

    The network's mode, gradients and hooks are restored afterwards. Works under ``torch.no_grad`` too.

    Args:
        network: returns logits (1, K, *S), one tensor, in eval mode.
        image: (1, C, *S), the network's input.
        channel: the class's channel in the logits.
        region: (*S), weights of the pixels over which the logits are averaged; 0 outside.
        method: see the table above.
        layer: name of the module whose output is used; None for the method's default.

    Raises:
        LayerError: the layer does not exist or does not output a feature map, or CAM is requested for one without class weights.
        ValueError: the region is empty, or the method unknown.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}{did_you_mean(method, METHODS)}")
    total = region.sum()
    if not total > 0:
        raise ValueError("the region to explain is empty")
    with frozen(network):
        # plain tensors, in case these were made in inference mode
        image, share = image.clone(), (region / total).to(image, copy=True)
        if method == "occlusion":
            return _occlusion(network, image, channel, share)
        name = layer or DEFAULT_LAYERS[method]
        if method == "cam":
            return _cam(network, image, channel, share, name)
        return _gradcam(network, image, channel, share, name, GradCAM if method == "gradcam" else PaperGradCAMpp)


def heat(values: Tensor) -> tuple[Tensor, str]:
    """A map scaled to 0 (least important) .. 1 (most important), and a note if it is empty, that is 0 everywhere.

    >>> heat(torch.tensor([-1.0, 0.0, 3.0]))
    (tensor([0.0000, 0.2500, 1.0000]), '')
    >>> heat(torch.tensor([2.0, 2.0]))
    (tensor([0., 0.]), 'constant map: no place counts more than another')
    """
    if not torch.isfinite(values).all():
        return torch.zeros_like(values), "the map contains values that are not finite"
    low, high = values.min(), values.max()
    if high - low <= FLAT * torch.maximum(low.abs(), high.abs()):
        return torch.zeros_like(values), "constant map: no place counts more than another"
    return (values - low) / (high - low), ""


def class_heads(network: nn.Module) -> dict[str, nn.Conv2d | nn.Conv3d]:
    """The 1x1 convolutions that turn feature maps into logits, by name: ``head``, or all of ``heads`` (U-Net++).

    Raises:
        LayerError: the network has no such head, so its classes have no weights over feature maps.
    """
    heads: dict[str, object] = {"head": getattr(network, "head", None)}
    if isinstance(several := getattr(network, "heads", None), nn.ModuleDict):
        heads = {f"heads.{name}": head for name, head in several.items()}
    found = {name: head for name, head in heads.items() if isinstance(head, nn.Conv2d | nn.Conv3d)}
    if not found or any(set(head.kernel_size) != {1} for head in found.values()):
        kind = type(network).__name__
        raise LayerError(f"{kind} has no 1x1 convolution `head` with class weights for CAM: use gradcam")
    return found


def region_score(logits: Tensor, share: Tensor) -> Tensor:
    """(B, K, *S) logits averaged over a region whose weights (*S) add up to 1: (B, K)."""
    return (logits * share).flatten(2).sum(2)


def _cam(network: nn.Module, image: Tensor, channel: int, share: Tensor, layer: str) -> ClassMap:
    """Class weights over the last feature maps: the heads' outputs without their bias.

    A network with several heads (U-Net++ in accurate mode) answers with their mean, which is one linear layer over all their feature
    maps: its map is the mean of the heads' maps. So the map's mean over the region plus the bias is the score.

    MONAI's CAM is for classifiers: it calls a dense layer once per pixel. This is the same sum in one convolution.
    """
    heads = class_heads(network)
    if layer in heads:
        heads = {layer: heads[layer]}
    elif layer != DEFAULT_LAYERS["cam"]:
        known = [DEFAULT_LAYERS["cam"], *heads]
        raise LayerError(
            f"CAM needs class weights, but layer {layer!r} has none{did_you_mean(layer, known)}; or use gradcam"
        )
    with torch.no_grad(), recorded(network, heads) as outputs:
        score = region_score(_logits(network, image), share)[0, channel]
    maps = [
        enlarge(output[:, channel : channel + 1] - (0 if head.bias is None else head.bias[channel]), image.shape[2:])
        for name, head in heads.items()
        for output in outputs[name]
    ]
    return ClassMap(torch.stack(maps).mean(0)[0, 0], float(score.detach()))


class PaperGradCAMpp(GradCAMpp):
    """Grad-CAM++ with the paper's denominator (eq. 19).

    MONAI's sums activation times cubed gradient over the map; the paper multiplies the sum of activations by each pixel's cubed
    gradient. Both are equal if the gradient is the same at all pixels, as before global pooling; here it is not. Dividing by
    the squared gradient, as here, avoids a small constant in the denominator, which would outweigh the tiny gradients of a mean.
    """

    def compute_map(  # type: ignore[override]  # MONAI's own differ from each other
        self, x: Any, class_idx: Any = None, retain_graph: Any = False, layer_idx: Any = -1, **_: Any
    ) -> Any:
        """(1, 1, *s), on the layer's grid."""
        _, activations, gradients = self.nn_module(x)
        activation, gradient = activations[layer_idx], gradients[layer_idx]
        spatial = list(range(2, activation.dim()))
        rising = gradient.clamp(min=0)
        denominator = 2 + gradient * activation.sum(spatial, keepdim=True)
        alpha = torch.where((rising > 0) & (denominator != 0), 1 / denominator, 0)
        weights = (alpha * rising).sum(spatial, keepdim=True)
        return (weights * activation).sum(1, keepdim=True).relu()


class _Recording(ModelWithHooks):
    """The network interface of MONAI's maps: a layer's outputs and the score's gradients there, from one finished pass.

    MONAI's own hooks stay on the network permanently, pair the last output of a layer that runs several times with the gradient of its
    first, compute every weight's gradient and fail on in-place layers. Here the graph begins at the layer.
    """

    def __init__(self, activations: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        self.activations_and_gradients = tuple(activations), tuple(gradients)

    def __call__(self, x: Tensor, class_idx: int | None = None, retain_graph: bool = False, **_: Any) -> Any:
        """No logits, outputs and gradients, per run of the layer."""
        return None, *self.activations_and_gradients


def _gradcam(
    network: nn.Module, image: Tensor, channel: int, share: Tensor, layer: str, method: type[GradCAM]
) -> ClassMap:
    """Grad-CAM or Grad-CAM++; the maps of a layer that runs several times are added."""
    find_layer(network, layer)
    with recorded(network, [layer], begin_graph=True) as outputs:
        score = region_score(_logits(network, image), share)[0, channel]
    activations = outputs[layer]
    if not score.requires_grad:
        return ClassMap(torch.zeros_like(share), float(score.detach()), f"the score does not depend on layer {layer}")
    gradients = torch.autograd.grad(score, activations, allow_unused=True, materialize_grads=True)
    if not any(bool(gradient.any()) for gradient in gradients):
        return ClassMap(
            torch.zeros_like(share), float(score.detach()), f"dead gradient: it is 0 everywhere at layer {layer}"
        )
    recording = _Recording([each.detach() for each in activations], [each.contiguous() for each in gradients])
    monai = method(cast(nn.Module, recording), layer)
    maps: list[Tensor] = [
        enlarge(monai.compute_map(image, layer_idx=run), image.shape[2:])  # type: ignore[no-untyped-call]
        for run in range(len(activations))
    ]
    values = torch.stack(maps).sum(0)[0, 0]
    note = "" if values.any() else f"nowhere positive: the features of layer {layer} speak against the class"
    return ClassMap(values, float(score.detach()), note)


class _RegionClassifier(nn.Module):
    """A network whose answer is the region's mean logits: (B, C, *S) -> (B, K)."""

    def __init__(self, network: nn.Module, share: Tensor) -> None:
        super().__init__()
        self.network = network
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Mean logits per class."""
        return region_score(_logits(self.network, x), self.share)


def _occlusion(network: nn.Module, image: Tensor, channel: int, share: Tensor) -> ClassMap:
    """The drop of the score when a soft square of 1/8 of the image's side fades to 0, the middle grey of normalised images."""
    classifier = _RegionClassifier(network, share)
    sides = [max(2, side // OCCLUDED_SHARE) for side in image.shape[2:]]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using a non-tuple sequence", UserWarning)  # in MONAI 1.6
        score = classifier(image)[0, channel]
        covering = OcclusionSensitivity(
            classifier, mask_size=sides, n_batch=4, overlap=0.5, activate=False, verbose=False
        )
        occluded, _ = covering(image)
    return ClassMap(torch.as_tensor(score - occluded[0, channel]), float(score.detach()))


def _logits(network: nn.Module, image: Tensor) -> Tensor:
    answer = network(image)
    if not isinstance(answer, Tensor) or answer.shape[2:] != image.shape[2:]:
        raise ValueError(
            f"{type(network).__name__} does not output logits at the image's size, so it cannot be explained"
        )
    return answer.float()
