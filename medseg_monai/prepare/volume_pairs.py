"""What the preparations of volumes share: reading each pair, and deriving spacing, patch and intensity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.label_values import LabelValues, Value
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.geometry import Geometry
from medseg_monai.grids.turn import Turn
from medseg_monai.images.label_volumes import read_label_numbers
from medseg_monai.images.volumes import read_image_volume, read_volume_header
from medseg_monai.prepare.mask_contents import side_by_side
from medseg_monai.prepare.pairs import VOLUMES, LeftOut, Pair, Progress
from medseg_monai.program.messages import listed

Modality = Literal["ct", "mr"]
Triple = tuple[float, float, float]

VOLUME_FRACTIONS = (0.6, 0.2, 0.2)
"""Shares of training, validation and test: volumes are few, but each gives many patches."""
CT_WINDOW = (-160.0, 240.0)
"""Hounsfield units of soft tissue."""
CT_LOWEST = -200.0
"""Volumes of unknown modality with values below this are CT: MR has no such negative values."""
PATCH_VOXELS = 96**3
"""Approximate largest number of voxels in a patch: training with a batch of two then fits into a few GB."""
PATCH_STEP = 16
"""A patch's sides are multiples of this, so they can be halved four times."""


@dataclass(frozen=True)
class VolumeFacts:
    """Facts found by reading a pair.

    Args:
        geometry: the image's grid.
        channels: 1, or more for a 4D file.
        lowest: lowest value in the image.
        levels: the whole numbers in the label; {0, 1} in each of several label files.
        overlap: whether several label files share voxels.
        filled: for each label file, whether it has any foreground.
    """

    geometry: Geometry
    channels: int
    lowest: float
    levels: tuple[int, ...]
    overlap: bool = False
    filled: tuple[bool, ...] = ()

    @property
    def ras_shape(self) -> tuple[int, int, int]:
        """Voxels along right, anterior, superior."""
        i, j, k = (self.geometry.shape[axis] for axis in self._ras_axes())
        return i, j, k

    @property
    def ras_spacing_mm(self) -> Triple:
        """Voxel sides along right, anterior, superior."""
        i, j, k = (self.geometry.spacing_mm[axis] for axis in self._ras_axes())
        return i, j, k

    def _ras_axes(self) -> Sequence[int]:
        return Turn.to_ras(self.geometry.affine).axes


def look_at_volume(pair: Pair) -> VolumeFacts:
    """Read a pair in full.

    Raises:
        FileNotFoundError, ValueError: a file is unusable, or the label has fractions, negative numbers or another grid.
    """
    files = pair.stack or (pair.image,)
    channels = sum(read_volume_header(file).channels for file in files)
    volume = read_image_volume(files, channels)
    levels: set[int] = set()
    covered = np.zeros(volume.geometry.shape if len(pair.masks) > 1 else (), bool)
    overlap = False
    filled = []
    for file in pair.masks:
        label = read_label_numbers(file, volume.geometry)
        found = np.unique(label).tolist()
        if len(pair.masks) > 1 and label.ndim == 3:
            overlap = overlap or bool((covered & (label > 0)).any())
            covered |= label > 0
        if found[0] < 0:
            raise ValueError(f"{file}: contains the label {found[0]}; labels must be 0 for background, 1, 2, …")
        filled.append(found[-1] > 0)
        levels |= {0, *(int(number > 0) for number in found)} if len(pair.masks) > 1 else set(found)
    return VolumeFacts(
        volume.geometry, channels, float(volume.array.min()), tuple(sorted(levels)), overlap, tuple(filled)
    )


def usable_volumes(
    pairs: Iterable[Pair], *, progress: Progress = iter
) -> tuple[dict[Pair, VolumeFacts], list[LeftOut]]:
    """The pairs that can be read in full, with facts about them; and the others with the reason."""
    good: dict[Pair, VolumeFacts] = {}
    gone: list[LeftOut] = []
    everything = list(pairs)
    for pair, look in zip(everything, side_by_side(_look_or_reason, everything, progress=progress), strict=True):
        if isinstance(look, str):
            gone.append((pair.image, look))
        else:
            good[pair] = look
    return good, gone


def _look_or_reason(pair: Pair) -> VolumeFacts | str:
    try:
        return look_at_volume(pair)
    except (ValueError, OSError) as error:
        return str(error).removeprefix(f"{pair.image}: ")


def of_classes(
    looks: Mapping[Pair, VolumeFacts],
    classes: Sequence[str],
    values: LabelValues | None = None,
    ignore: Sequence[Value] = (),
) -> tuple[dict[Pair, VolumeFacts], list[LeftOut]]:
    """The pairs whose labels all belong to a class or are ignored, and the others.

    Args:
        looks: the pairs with facts from reading them.
        classes: their names.
        values: their numbers; default: 1, 2, …, and for one class 255 too.
        ignore: the numbers to ignore.
    """
    numbers = {name: values.codes(name) if values else (number,) for number, name in enumerate(classes, 1)}
    known = {
        *(values.background(ignore) if values else (0,)),
        *ignore,
        *(n for of_one in numbers.values() for n in of_one),
    }
    good = {
        pair: look
        for pair, look in looks.items()
        if known.issuperset(look.levels)
        or (len(classes) == 1 and values is None and known.issuperset({*look.levels} - {255}) and 1 not in look.levels)
    }
    table = "0 background, " + ", ".join(f"{listed(of_one)} {name}" for name, of_one in numbers.items())
    gone = [
        (
            pair.masks[0],
            f"contains the labels {listed(sorted({*look.levels} - known))}, which are not classes; known: {table}; "
            "name numbers with --class NAME=NUMBER or --ignore NUMBER",
        )
        for pair, look in looks.items()
        if pair not in good
    ]
    return good, gone


def of_channels(looks: Mapping[Pair, VolumeFacts], channels: int) -> tuple[dict[Pair, VolumeFacts], list[LeftOut]]:
    """The pairs whose image has this number of channels, and the others."""
    good = {pair: look for pair, look in looks.items() if look.channels == channels}
    gone = [
        (pair.image, f"has {look.channels} channels, the data set has {channels}")
        for pair, look in looks.items()
        if pair not in good
    ]
    return good, gone


def unlabelled(folder: Path) -> list[LeftOut]:
    """A report of a folder of volumes without labels; nothing if it does not exist."""
    count = sum(1 for path in folder.iterdir() if VOLUMES.fits(path) and path.name[0] != ".") if folder.is_dir() else 0
    return [(folder, f"{count} volumes without labels: for prediction only")] if count else []


def named_modality(channels: Sequence[str]) -> Modality | None:
    """CT if the only channel is named so; MR if it has any other name that is not a number."""
    names = {name.upper() for name in channels}
    mr = {"MRI", "MR", "T1", "T1N", "T1W", "T1C", "T1CE", "T1GD", "T2", "T2W", "T2F", "FLAIR", "ADC"}
    return "ct" if names == {"CT"} else "mr" if names & mr else None


def guessed_modality(looks: Iterable[VolumeFacts]) -> Modality:
    """``ct`` if at least half of the volumes reach far below 0, else ``mr``."""
    return "ct" if float(np.median([look.lowest for look in looks])) < CT_LOWEST else "mr"


def intensity_of(modality: Modality, window: tuple[float, float] | None = None) -> Intensity:
    """A window of Hounsfield units for CT; for MR each image's own mean and standard deviation between its percentiles."""
    if modality == "mr":
        return Intensity("zscore")
    lower, upper = window or CT_WINDOW
    return Intensity("window", lower=lower, upper=upper)


@dataclass(frozen=True)
class VolumeOverrides:
    """Overrides of what is derived from the data.

    Args:
        spacing_mm: to resample to, along right, anterior, superior; default: the training cases' median.
        size: of a patch, in voxels; default: `patch_size`.
        modality: default: as the source says, else guessed from the values.
        window: for CT, in Hounsfield units.
    """

    spacing_mm: Triple | None = None
    size: tuple[int, int, int] | None = None
    modality: Modality | None = None
    window: tuple[float, float] | None = None


def spec_of(
    draft: DatasetSpec, looks: Mapping[Pair, VolumeFacts], overrides: VolumeOverrides
) -> Callable[[Sequence[Pair]], DatasetSpec]:
    """A function that makes the spec from the training pairs, for `finish`: the draft with spacing and patch."""

    def spec(training: Sequence[Pair]) -> DatasetSpec:
        by_image = {pair.image: look for pair, look in looks.items()}
        seen = [by_image[pair.image] for pair in training] or list(looks.values())
        spacing = overrides.spacing_mm or median_spacing(seen)
        return replace(draft, spacing_mm=spacing, size=overrides.size or patch_size(seen, spacing))

    return spec


def with_present(looks: Mapping[Pair, VolumeFacts], spec: DatasetSpec) -> list[Pair]:
    """The pairs, each with the names of the classes in its label; without them if classes are channels of one file."""
    pairs, classes = [], spec.classes
    for pair, look in looks.items():
        if len(pair.masks) == len(classes) > 1 and not spec.ignore:
            filled = zip(classes, look.filled, strict=True)
            pairs.append(replace(pair, present=tuple(name for name, holds in filled if holds)))
            continue
        if (spec.task == "multilabel" and not spec.label_values) or len(pair.masks) == len(classes) > 1:
            pairs.append(pair)
            continue
        levels = {*look.levels} - {*spec.ignore}
        if spec.label_values is not None:
            present = [name for name in classes if levels.intersection(spec.label_values.codes(name))]
        else:
            present = [classes[number - 1] for number in sorted({min(number, len(classes)) for number in levels} - {0})]
        pairs.append(replace(pair, present=tuple(present)))
    return pairs


def median_spacing(looks: Sequence[VolumeFacts]) -> Triple:
    """Median voxel side along right, anterior and superior, rounded to a thousandth of a millimetre."""
    i, j, k = np.median([look.ras_spacing_mm for look in looks], axis=0)
    return round(float(i), 3), round(float(j), 3), round(float(k), 3)


def patch_size(looks: Sequence[VolumeFacts], spacing_mm: Sequence[float]) -> tuple[int, int, int]:
    """A patch for networks that halve four times: the median volume at the new spacing if it fits, else shrunk in proportion.

    As in nnU-Net (Isensee et al., Nature Methods 18, 2021), the side that is longest relative to the volume's is shortened repeatedly.
    """
    shapes = [np.multiply(look.ras_shape, look.ras_spacing_mm) / np.asarray(spacing_mm) for look in looks]
    median = np.median(shapes, axis=0)
    size = np.maximum(1, np.ceil(median / PATCH_STEP)).astype(int)
    while size.prod() * PATCH_STEP**3 > PATCH_VOXELS and size.max() > 1:
        share = np.where(size > 1, size * PATCH_STEP / median, 0)
        size[int(share.argmax())] -= 1
    i, j, k = (size * PATCH_STEP).tolist()
    return i, j, k
