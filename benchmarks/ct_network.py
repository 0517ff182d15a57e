"""A generated CT, a 3D U-Net that finds its structures, and the two ways of reading the scan for it: ours, and a MONAI script's.

volumes.py runs it. The structures have grey values of their own, so that a few minutes of training find all of them, the small one too:
masks of a network that finds nothing are equal for no reason. Its patches are of both readings in turn, for they resample in
different ways, and neither shall have the advantage of having been learnt.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from large_ct import Structure, scan
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from medseg_monai.bundle.trained import Trained, load_weights
from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.engines.precision import SomeInFloat32, precision_of
from medseg_monai.training.losses import segmentation_loss
from medseg_monai.transforms import load, normalise

SHAPE, SPACING_MM = (512, 512, 300), (0.9, 0.9, 1.5)
CLASSES = ("liver", "spleen", "right kidney", "left kidney", "gall bladder")
STRUCTURES: tuple[Structure, ...] = (
    (100, (130, 190, 220), (65, 60, 70)),
    (140, (300, 230, 230), (28, 25, 45)),
    (180, (150, 260, 180), (22, 20, 45)),
    (220, (260, 260, 180), (22, 20, 45)),
    (0, (235, 215, 235), (16, 12, 15)),
)
"""Hounsfield units, centre and radii in mm."""
INTENSITY = Intensity("window", lower=-160.0, upper=240.0)
FEATURES = (16, 32, 64, 128)
Case = dict[str, Tensor]


def prepare(work: Path, options: argparse.Namespace) -> None:
    """``scan.nii``, ``label.nii``, ``model.pt`` and ``spec.json`` in a folder, unless they are there."""
    work.mkdir(parents=True, exist_ok=True)
    if (work / "model.pt").is_file():
        return
    sides = [side * full / count for side, full, count in zip(SPACING_MM, SHAPE, options.shape, strict=True)]
    affine = np.diag([-sides[0], -sides[1], sides[2], 1.0])
    drawn = scan(0, tuple(options.shape), tuple(sides), STRUCTURES)
    for name, values in zip(("scan", "label"), drawn, strict=True):
        nibabel.save(nibabel.Nifti1Image(values, affine), work / f"{name}.nii")
    trained = described(options)
    trained.write(work)
    network = fit(trained.build_network(), [our_reading(work, label=True), script_reading(work)], options.steps)
    torch.save(network.state_dict(), work / "model.pt")


def described(options: argparse.Namespace) -> Trained:
    """What ``spec.json`` says."""
    spec = DatasetSpec(
        "benchmark", "multiclass", classes=CLASSES, channels=("ct",), spatial_dims=3, size=tuple(options.window),
        spacing_mm=(options.spacing,) * 3, intensity=INTENSITY,
    )  # fmt: skip
    architecture = {
        "in_channels": 1, "out_channels": len(CLASSES) + 1, "features": list(FEATURES), "spatial_dims": 3, "norm": options.norm,
    }  # fmt: skip
    return Trained(spec, {"_target_": "medseg_monai.networks.UNet", **architecture}, "unet3d")


def built(work: Path) -> nn.Module:
    """The network with its weights, as a script would have it."""
    return load_weights(Trained.read(work).build_network(), work / "model.pt").eval()


def our_reading(work: Path, *, label: bool = False) -> Case:
    """The scan as `medseg predict` gives it to the network, (1, i, j, k), and its label on the same grid."""
    spec = Trained.read(work).dataset
    keys = ["image", "label"] if label else ["image"]
    case = load(spec, keys=keys)({"image": str(work / "scan.nii"), "label": str(work / "label.nii")})
    return {key: normalise(spec)(case)[key] for key in keys}


def script_transforms(spacing_mm: Sequence[float], *, crop: bool, label: bool = False) -> list[Any]:
    """What MONAI's model zoo has (spleen_ct_segmentation), with the network's range of values, -2 to 2."""
    from monai import transforms as mt

    keys = ["image", "label"] if label else ["image"]
    modes = ["bilinear", "nearest"][: len(keys)]
    low, high = grey_range()
    return [
        mt.LoadImaged(keys),
        mt.EnsureChannelFirstd(keys),
        mt.Orientationd(keys, axcodes="RAS", labels=None),
        mt.Spacingd(keys, pixdim=tuple(spacing_mm), mode=modes),
        mt.ScaleIntensityRanged("image", a_min=INTENSITY.lower, a_max=INTENSITY.upper, b_min=low, b_max=high, clip=True),
        *([mt.CropForegroundd(keys, "image", select_fn=is_patient, allow_smaller=True)] if crop else []),
        mt.EnsureTyped(keys),
    ]  # fmt: skip


def grey_range() -> tuple[float, float]:
    """The network's values at the lower and at the upper limit of intensity."""
    [mean], [std] = INTENSITY.mean, INTENSITY.std
    return (0 - mean) / std, (1 - mean) / std


def is_patient(values: Any) -> Any:
    """What CropForegroundd keeps a box around."""
    return values > grey_range()[0]


def script_reading(work: Path) -> Case:
    """The scan and its label as a script with MONAI's transforms reads them."""
    from monai.transforms.compose import Compose

    spacing = Trained.read(work).dataset.spacing_mm or ()
    case = Compose(script_transforms(spacing, crop=True, label=True))(
        {"image": str(work / "scan.nii"), "label": str(work / "label.nii")}
    )
    return {key: case[key].as_tensor() for key in ("image", "label")}


def fit(network: nn.Module, cases: Sequence[Case], steps: int, *, side: int = 32) -> nn.Module:
    """A short training on patches, three of four around a voxel of a class, each class as often as the others; the cases take turns.

    To the usual loss comes a cross entropy in which rare classes weigh more: without it 300 steps did not find the small ones.
    """
    torch.manual_seed(0)
    loss_of = segmentation_loss("multiclass")
    counts = torch.bincount(cases[0]["label"].flatten().long(), minlength=1 + len(CLASSES)).clamp_min(1)
    weight = counts.rsqrt() / counts.rsqrt().mean()
    optimiser = torch.optim.Adam(network.train().parameters(), lr=3e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=max(1, steps))
    batches = itertools.cycle([patches(case, side) for case in cases])
    lower = precision_of("auto", "cpu")
    for step in range(steps):
        images, labels = next(next(batches))
        with torch.autocast("cpu", lower, enabled=lower is not None), SomeInFloat32():
            logits = network(images)
        loss = loss_of(logits, labels) + cross_entropy(logits.float(), labels[:, 0].long(), weight)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rate.step()
        if step % 20 == 0:
            print(f"step {step}: loss {float(loss.detach()):.3f}", file=sys.stderr, flush=True)
    return network.eval()


def patches(case: Case, side: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of four patches of a case without end."""
    image, label = case["image"], case["label"]
    shape = image.shape[1:]
    side = min(side, *shape)
    found = [torch.nonzero(label[0] == number) for number in torch.unique(label) if number]
    while True:
        voxels = [found[int(torch.randint(len(found), ()))] for _ in range(3)]
        middles = [of[torch.randint(len(of), ())] for of in voxels]
        middles.append(torch.stack([torch.randint(n, ()) for n in shape]))
        places = [tuple(slice(start, start + side) for start in _starts(at, side, shape)) for at in middles]
        images, labels = (torch.stack([part[(slice(None), *place)] for place in places]) for part in (image, label))
        yield images, labels


def _starts(middle: Tensor, side: int, shape: Sequence[int]) -> list[int]:
    return [max(0, min(int(at) - side // 2, length - side)) for at, length in zip(middle, shape, strict=True)]
