"""A case's mask as files: the same that `medseg predict` writes, or beside its image as data to train on."""

from __future__ import annotations

import filecmp
import glob
import shutil
from collections.abc import Sequence
from pathlib import Path

from medseg_monai.app.opened import Opened
from medseg_monai.files.writing import replacing
from medseg_monai.predictor import Prediction

FORMATS = {
    2: {"PNG": "_mask.png", "GeoJSON": "_mask.geojson"},
    3: {"NIfTI": "_mask.nii.gz", "NRRD": "_mask.seg.nrrd", "MHA": "_mask.mha", "DICOM-SEG": "_mask.dcm"},
}
"""The endings by what people call them, by number of spatial axes."""
IMAGES, MASKS = "images", "masks"
"""Below a folder of corrections."""


def formats_for(prediction: Prediction) -> dict[str, str]:
    """The endings of the files that its mask can be written to, by what people call them."""
    return FORMATS[len(prediction.grid.own_shape)]


def save_case(case: Opened, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write the mask as it is now, in each format.

    Args:
        case: with a prediction.
        folder: created if needed; the file is named after the case, in the same subfolder.
        formats: keys of `formats_for`.

    Returns:
        The files.

    Raises:
        OSError, ValueError: a file cannot be written, or the format is not for this case.
    """
    answer = case.answer()
    known = formats_for(answer)
    written: list[Path] = []
    for name in formats:
        file = folder / f"{case.id}{known[name]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        written += answer.save(file)
    case.saved = bool(written)
    return written


def add_to_training(case: Opened, folder: Path) -> Path:
    """Put a photograph and its mask as it is now into ``images/`` and ``masks/``, which `medseg prepare folder` reads.

    The same image is replaced, with its mask; another one of the same name gets a number.

    Returns:
        The mask's file.

    Raises:
        ValueError: a volume, or overlapping classes.
        OSError: a file cannot be written.
    """
    answer = case.answer()
    if answer.mask.ndim > 2:
        raise ValueError(
            "only photographs whose classes do not overlap; save the mask, and see docs/datasets.md for its place"
        )
    image = _place_of(case.path, folder / IMAGES, case.id.replace("/", "_"))
    mask = folder / MASKS / f"{image.stem}.png"
    for file in (image, mask):
        file.parent.mkdir(parents=True, exist_ok=True)
    if not image.exists():
        with replacing(image) as part:
            shutil.copyfile(case.path, part)
    return answer.save(mask)[0]


def corrections_in(folder: Path) -> int:
    """How many corrected images a folder holds."""
    return sum(1 for _ in (folder / MASKS).glob("*.png"))


def _place_of(image: Path, folder: Path, name: str) -> Path:
    """Where an image goes: where it is already, else under its name or, if another image has it, with a number."""
    number = 1
    while True:
        stem = name if number == 1 else f"{name}_{number}"
        place = folder / f"{stem}{image.suffix}"
        others = [path for path in folder.glob(f"{glob.escape(stem)}.*") if path.stem == stem]
        if not others or (others == [place] and filecmp.cmp(image, place, shallow=False)):
            return place
        number += 1
