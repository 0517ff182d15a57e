"""Generated pictures with exactly known masks: to try and to test the tools, not to learn medicine from.

Source: drawn by this project (dermoscopy.py, abdomen.py); no picture of a patient went into it. Licence: Apache-2.0, as the
project. The same arguments give the same files to the byte (with the same versions of numpy and Pillow).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medseg_monai.dataset import DatasetSpec, Intensity
from medseg_monai.prepare.abdomen import ORGANS, Patient, draw_abdomen
from medseg_monai.prepare.dermoscopy import draw_dermoscopy
from medseg_monai.prepare.pairs import Pair, Progress
from medseg_monai.prepare.prepared import Prepared, finish
from medseg_monai.prepare.shapes import Size
from medseg_monai.spec import did_you_mean

Kind = Literal["dermoscopy", "mr"]
SLICES_PER_PATIENT = 4
MIN_SIDE = 32
JPEG_QUALITY = 95


def demo_spec(kind: Kind = "dermoscopy", *, size: int | Size = (256, 256)) -> DatasetSpec:
    """What a network must know about the demo data set of a kind.

    Args:
        kind: ``dermoscopy`` (colour photographs, one lesion) or ``mr`` (16-bit grey slices, three overlapping organs).
        size: (width, height), or one number for both.

    Raises:
        ValueError: no such kind, or a size below 32.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"no demo of the kind {kind!r}{did_you_mean(kind, get_args(Kind))}")
    width, height = (size, size) if isinstance(size, int) else size
    if min(width, height) < MIN_SIDE:
        raise ValueError(f"size: demo pictures have at least {MIN_SIDE} pixels a side, got {width}x{height}")
    mr = kind == "mr"
    return DatasetSpec(
        "demo-mr" if mr else "demo",
        "multilabel" if mr else "binary",
        classes=ORGANS if mr else ("lesion",),
        channels=("grey",) if mr else ("red", "green", "blue"),
        size=(width, height),
        intensity=Intensity("percentile") if mr else Intensity("uint8"),
        description="Generated pictures, not of patients",
        licence="Apache-2.0",
        modality="drawn like MR" if mr else "drawn like dermoscopy",
    )


def prepare_demo(
    out: Path,
    *,
    kind: Kind = "dermoscopy",
    n: int = 200,
    size: int | Size = (256, 256),
    seed: int = 0,
    progress: Progress = iter,
) -> Prepared:
    """Draw pictures and masks below `out` and write `out`/dataset.json, last: a folder without it is unfinished.

    Args:
        out: where to; images go to ``images/``, masks to ``masks/`` (``masks/<class>/`` for ``mr``).
        kind: see `demo_spec`.
        n: how many pictures; ``mr`` draws four slices of each patient, who is the group.
        size: (width, height), or one number for both.
        seed: picture number i depends on seed, i and size alone.
        progress: wraps the pass over the pictures.

    Raises:
        ValueError: no such kind, or too few or too small pictures.
    """
    spec = demo_spec(kind, size=size)
    width, height = spec.size or (0, 0)
    least = 3 * SLICES_PER_PATIENT if kind == "mr" else 3
    if n < least:
        raise ValueError(f"n: at least {least} pictures are needed for three splits, got {n}")
    out = Path(out)
    draw = _draw_slice if kind == "mr" else _draw_photograph
    pairs = [draw(out, number, (width, height), seed) for number in progress(range(n))]
    return finish(pairs, spec, out, seed=seed)


def _draw_photograph(out: Path, number: int, size: Size, seed: int) -> Pair:
    pixels, lesion = draw_dermoscopy(np.random.default_rng([seed, number]), size)
    image = out / "images" / f"demo_{number:04d}.jpg"
    mask = out / "masks" / f"demo_{number:04d}_mask.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(image, quality=JPEG_QUALITY)
    return Pair(image, (_save_mask(lesion, mask),))


def _draw_slice(out: Path, number: int, size: Size, seed: int) -> Pair:
    who, which = divmod(number, SLICES_PER_PATIENT)
    patient = Patient.draw(np.random.default_rng([seed, who]))
    pixels, organs = draw_abdomen(patient, (which + 0.5) / SLICES_PER_PATIENT, size)
    name = f"patient{who:03d}_slice{which}"
    image = out / "images" / f"{name}.png"
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(image)
    masks = [
        _save_mask(mask, out / "masks" / organ / f"{name}.png") for organ, mask in zip(ORGANS, organs, strict=True)
    ]
    return Pair(image, tuple(masks), group=f"patient{who:03d}")


def _save_mask(mask: NDArray[np.bool_], file: Path) -> Path:
    """{0, 255} in a PNG file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(file)
    return file
