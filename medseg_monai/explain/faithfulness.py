"""Can a map be trusted? Deletion and insertion curves, and the change of the map when the weights are random.

**Deletion and insertion** (Petsiuk et al., RISE, BMVC 2018): remove the hottest places from the image first, or insert them first into an
empty image, and record the answer: the mean probability of the class over the explained region. A map that shows what the
network uses makes it fall early (small area under the deletion curve) or rise early (large area under the insertion curve).

- Places are square tiles, so that random orders remove shapes like those of the map's order. Single pixels in random
  order would be noise all over the image, to which a network responds differently.
- Removed tiles take the image's mean colour. A blurred copy (``blur``) adds no new edges, but to the tested networks a lesion blurred to
  4 x 4 blocks is still a lesion, with a mean probability of 0.5 to 0.97 (docs/explain.md): nothing would be removed.
- Two kinds of orders for comparison: random ones, with their spread, and the region itself before all else. A map that does no better than
  the region says no more than the mask does.

**Randomisation** (Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018): weights are replaced from the output backwards, stage by
stage. A map that stays the same shows the image's edges, not what the network learnt.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from monai.metrics.regression import SSIMMetric
from scipy.stats import spearmanr
from torch import Tensor, nn

from medseg_monai.networks.blocks import resize_linear

Replacement = Literal["mean", "blur"]
TILES = 32  # per side
BLUR_BLOCKS = 4  # per side: resolution of the image after blurring
SSIM_WINDOW = 11


def without_content(image: Tensor, replacement: Replacement = "mean") -> Tensor:
    """The replacement of an image's pixels, (1, C, *S): its mean colour, or the image blurred to a few blocks per side.

    Raises:
        ValueError: the kind of replacement is unknown.
    """
    spatial = list(range(2, image.dim()))
    if replacement == "mean":
        return image.mean(spatial, keepdim=True).expand_as(image)
    if replacement != "blur":
        raise ValueError(f"replacement must be 'mean' or 'blur', not {replacement!r}")
    blocks = F.interpolate(image, size=[BLUR_BLOCKS] * len(spatial), mode="area")
    return resize_linear(blocks, list(image.shape[2:]))


def removal_order(values: Tensor, *, generator: torch.Generator, tiles: int = TILES) -> Tensor:
    """The order of removal, (*S): for each pixel the share of the image removed before it; hottest tiles first, equal ones at random.

    >>> removal_order(torch.tensor([[3.0, 1.0], [0.0, 2.0]]), generator=torch.Generator(), tiles=2)
    tensor([[0.0000, 0.5000],
            [0.7500, 0.2500]])
    """
    grid = [min(tiles, side) for side in values.shape]
    pooled = F.interpolate(values[None, None].float(), size=grid, mode="area")[0, 0].cpu()
    shuffled = torch.randperm(pooled.numel(), generator=generator)
    order = shuffled[pooled.flatten()[shuffled].argsort(descending=True, stable=True)]
    ranks = torch.empty(pooled.numel())
    ranks[order] = torch.arange(pooled.numel()) / pooled.numel()
    return F.interpolate(ranks.view(1, 1, *grid), size=values.shape, mode="nearest-exact")[0, 0].to(values.device)


def removal_curve(
    answer: Callable[[Tensor], Tensor],
    image: Tensor,
    background: Tensor,
    order: Tensor,
    *,
    insert: bool,
    steps: int = 16,
    at_once: int = 8,
) -> list[float]:
    """The answer as the image's pixels are replaced by the background, or (`insert`) the background's by the image.

    Args:
        answer: from (B, C, *S) to a number per image.
        image: (1, C, *S).
        background: likewise.
        order: from `removal_order`.
        insert: insertion instead of deletion.
        steps: number of equal shares.
        at_once: number of images per batch.

    Returns:
        ``steps + 1`` answers, from nothing changed to everything.
    """
    start, end = (background, image) if insert else (image, background)
    shares = [step / steps for step in range(steps + 1)]
    found: list[float] = []
    for first in range(0, len(shares), at_once):
        changed = torch.cat([torch.where(order < share, end, start) for share in shares[first : first + at_once]])
        found += [float(value) for value in answer(changed)]
    return found


def area(curve: Sequence[float]) -> float:
    """Area under a curve over 0 .. 1, by trapezoids.

    >>> area([1.0, 0.5, 0.0])
    0.5
    """
    inner = sum(curve) - (curve[0] + curve[-1]) / 2
    return inner / (len(curve) - 1)


def stages_from_output(network: nn.Module) -> list[str]:
    """The network's parts with weights, from the output back: its children in reverse order."""
    return [name for name, child in reversed(list(network.named_children())) if any(True for _ in child.parameters())]


def randomised(
    network: nn.Module, *, seed: int = 0, used: Sequence[str] | None = None
) -> Iterator[tuple[str, nn.Module]]:
    """The network with random weights in its last stage, then in its last two, until all are random.

    Weights are drawn from normal distributions with each tensor's own mean and standard deviation, so that signals keep their
    magnitude; running statistics stay. The network itself is not changed, and the yielded network is the same object each time.

    Args:
        network: trained.
        seed: of the draw.
        used: stages to count; by default all.
    """
    copied = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    for name in used or stages_from_output(network):
        with torch.no_grad():
            for parameter in copied.get_submodule(name).parameters():
                spread = parameter.std().item() if parameter.numel() > 1 else 0.0
                drawn = torch.randn(parameter.shape, generator=generator) * spread + parameter.mean().item()
                parameter.copy_(drawn.to(parameter))
        yield name, copied


def likeness(first: Tensor, second: Tensor) -> tuple[float, float]:
    """Spearman's rank correlation and SSIM of two heats (*S) of 0 .. 1; 0 and 0 if one of them is constant.

    Raises:
        ValueError: a side is shorter than SSIM's window.
    """
    if first.min() == first.max() or second.min() == second.max():
        return 0.0, 0.0
    if min(first.shape) < SSIM_WINDOW:
        raise ValueError(f"maps of {tuple(first.shape)} are too small to compare in windows of {SSIM_WINDOW} pixels")
    ranks = float(spearmanr(first.flatten().cpu().numpy(), second.flatten().cpu().numpy()).statistic)
    metric = SSIMMetric(spatial_dims=first.dim(), data_range=1.0, win_size=SSIM_WINDOW)
    ssim = float(torch.as_tensor(metric(first[None, None].float().cpu(), second[None, None].float().cpu())).mean())
    return (0.0 if math.isnan(ranks) else ranks), ssim
