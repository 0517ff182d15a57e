"""Generated pictures with exactly known masks: for trying out and testing the tools, not for medical conclusions.

Source: drawn by this project (dermoscopy.py, abdomen.py, torso.py), without using any picture of a patient. Licence: Apache-2.0, like
the project. The same arguments give byte-identical files (with the same versions of numpy and Pillow).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medseg_monai.dataset import DatasetSpec, Intensity
from medseg_monai.files.writing import replacing
from medseg_monai.prepare.abdomen import ORGANS, Patient, draw_abdomen
from medseg_monai.prepare.dermoscopy import draw_dermoscopy
from medseg_monai.prepare.pairs import Pair, Progress
from medseg_monai.prepare.prepared import Prepared, finish
from medseg_monai.prepare.shapes import Size
from medseg_monai.prepare.torso import EXTENT_MM, STRUCTURES, Torso, draw_torso, torso_grid
from medseg_monai.program.messages import did_you_mean

Kind = Literal["dermoscopy", "mr", "volumes"]
SIZES: Mapping[Kind, tuple[int, ...]] = {"dermoscopy": (256, 256), "mr": (256, 256), "volumes": (48, 42, 30)}
COUNTS: Mapping[Kind, int] = {"dermoscopy": 200, "mr": 200, "volumes": 24}
SLICES_PER_PATIENT = 4
MIN_SIDE = 32
MIN_VOLUME_SIDE = 8
JPEG_QUALITY = 95


def demo_spec(kind: Kind = "dermoscopy", *, size: int | Sequence[int] | None = None) -> DatasetSpec:
    """What a network must know about the demo data set of a kind.

    Args:
        kind: ``dermoscopy`` (colour photographs, one lesion), ``mr`` (16-bit grey slices, three overlapping organs) or ``volumes``
            (CT volumes, three exclusive structures of different sizes, scans of several spacings and orientations).
        size: (width, height), for volumes (i, j, k); or one number for all.

    Raises:
        ValueError: the kind is unknown, or the size too small.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"unknown kind of demo {kind!r}{did_you_mean(kind, get_args(Kind))}")
    usual = SIZES[kind]
    sides = usual if size is None else (size,) * len(usual) if isinstance(size, int) else tuple(size)
    least = MIN_VOLUME_SIDE if kind == "volumes" else MIN_SIDE
    if len(sides) != len(usual) or min(sides) < least:
        what = f"{'volumes' if kind == 'volumes' else 'pictures'} have {len(usual)} sides of at least {least} pixels"
        raise ValueError(f"size: demo {what}, got {'x'.join(map(str, sides))}")
    if kind == "volumes":
        return _volume_spec(sides)
    mr = kind == "mr"
    return DatasetSpec(
        "demo-mr" if mr else "demo",
        "multilabel" if mr else "binary",
        classes=ORGANS if mr else ("lesion",),
        channels=("grey",) if mr else ("red", "green", "blue"),
        size=sides,
        intensity=Intensity("percentile") if mr else Intensity("uint8"),
        description="Generated pictures, not of patients",
        licence="Apache-2.0",
        modality="drawn like MR" if mr else "drawn like dermoscopy",
    )


def _volume_spec(size: tuple[int, ...]) -> DatasetSpec:
    return DatasetSpec(
        "demo-volumes",
        "multiclass",
        classes=STRUCTURES,
        channels=("ct",),
        spatial_dims=3,
        size=size,
        spacing_mm=tuple(round(extent / side, 3) for extent, side in zip(EXTENT_MM, size, strict=True)),
        intensity=Intensity("window", lower=-160, upper=240),
        description="Generated volumes, not of patients",
        licence="Apache-2.0",
        modality="drawn like CT",
    )


def prepare_demo(
    out: Path,
    *,
    kind: Kind = "dermoscopy",
    n: int | None = None,
    size: int | Sequence[int] | None = None,
    seed: int = 0,
    progress: Progress = iter,
) -> Prepared:
    """Draw pictures and masks below `out` and write `out`/dataset.json, last: a folder without it is unfinished.

    Args:
        out: output folder; images go to ``images/``, masks to ``masks/`` (``masks/<class>/`` for ``mr``).
        kind: see `demo_spec`.
        n: number of pictures (200) or volumes (24); ``mr`` draws four slices of each patient, who is the group.
        size: (width, height), for volumes the patch (i, j, k); or one number for all.
        seed: picture number i depends only on seed, i and size.
        progress: wraps the pass over the pictures.

    Raises:
        ValueError: the kind is unknown, or there are too few or too small pictures.
    """
    spec = demo_spec(kind, size=size)
    n = COUNTS[kind] if n is None else n
    least = 3 * SLICES_PER_PATIENT if kind == "mr" else 3
    if n < least:
        raise ValueError(f"n: at least {least} pictures are needed for three splits, got {n}")
    out = Path(out)
    if kind == "volumes":
        return finish([_draw_volume(out, number, spec, seed) for number in progress(range(n))], spec, out, seed=seed)
    width, height = spec.size or SIZES[kind]
    draw = _draw_slice if kind == "mr" else _draw_photograph
    pairs = [draw(out, number, (width, height), seed) for number in progress(range(n))]
    return finish(pairs, spec, out, seed=seed)


def _draw_photograph(out: Path, number: int, size: Size, seed: int) -> Pair:
    pixels, lesion = draw_dermoscopy(np.random.default_rng([seed, number]), size)
    image = out / "images" / f"demo_{number:04d}.jpg"
    mask = out / "masks" / f"demo_{number:04d}_mask.png"
    with replacing(image, ending=image.suffix, sync=False) as part:
        Image.fromarray(pixels).save(part, quality=JPEG_QUALITY)
    return Pair(image, (_save_mask(lesion, mask),))


def _draw_slice(out: Path, number: int, size: Size, seed: int) -> Pair:
    who, which = divmod(number, SLICES_PER_PATIENT)
    patient = Patient.draw(np.random.default_rng([seed, who]))
    pixels, organs = draw_abdomen(patient, (which + 0.5) / SLICES_PER_PATIENT, size)
    name = f"patient{who:03d}_slice{which}"
    image = out / "images" / f"{name}.png"
    with replacing(image, ending=image.suffix, sync=False) as part:
        Image.fromarray(pixels).save(part)
    masks = [
        _save_mask(mask, out / "masks" / organ / f"{name}.png") for organ, mask in zip(ORGANS, organs, strict=True)
    ]
    return Pair(image, tuple(masks), group=f"patient{who:03d}")


def _draw_volume(out: Path, number: int, spec: DatasetSpec, seed: int) -> Pair:
    rng = np.random.default_rng([seed, number])
    geometry = torso_grid(rng, spec.spacing_mm or (1.0, 1.0, 1.0))
    values, label = draw_torso(Torso.draw(rng), geometry)
    name = f"demo_{number:04d}"
    files = [out / "images" / f"{name}.nii.gz", out / "labels" / f"{name}.nii.gz"]
    for file, array in zip(files, (values, label), strict=True):
        with replacing(file, ending=".nii.gz", sync=False) as part:
            nibabel.save(nibabel.Nifti1Image(array, geometry.affine), part)  # type: ignore[no-untyped-call]
    return Pair(files[0], (files[1],), id=name)


def _save_mask(mask: NDArray[np.bool_], file: Path) -> Path:
    """Write a mask as {0, 255} to a PNG file."""
    with replacing(file, ending=file.suffix, sync=False) as part:
        Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(part)
    return file
