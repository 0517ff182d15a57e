"""Small raw folders of volumes, as data sets come, and what is read off what they become."""

from pathlib import Path

import nibabel
import numpy as np

from medseg_monai.dataset import Dataset

SPLITS = ("training", "validation", "test")


def save(file: Path, array: np.ndarray, spacing: tuple[float, ...] = (1, 1, 1)) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([*spacing, 1.0])), file)
    return file


def volume(root: Path, name: str, *, top: int = 2, part: str = "Tr", ct: bool = False, **options: object) -> None:
    """An image of 6 x 5 x 4 voxels and its label with the classes 0 to `top`."""
    rng = np.random.default_rng(list(name.encode()))
    image = rng.integers(-1000 if ct else 0, 500, (6, 5, 4)).astype(np.int16)
    save(root / f"images{part}" / f"{name}.nii.gz", image, **options)  # type: ignore[arg-type]
    label = (np.arange(120).reshape(6, 5, 4) % (top + 1)).astype(np.uint8)
    save(root / f"labels{part}" / f"{name}.nii.gz", label, **options)  # type: ignore[arg-type]


def by_split(dataset: Dataset) -> dict[str, list[str]]:
    return {split: sorted(case["id"] for case in dataset.cases(split)) for split in SPLITS}


def left_out(prepared: object) -> dict[str, str]:
    return {Path(path).name: reason for path, reason in prepared.left_out}  # type: ignore[attr-defined]


def gappy(tmp_path: Path, *values: int) -> Path:
    """Five scans whose labels hold these values, and 0."""
    stored = np.resize(np.array([0, *values], np.int16), (6, 5, 4))
    for name in "abcde":
        save(tmp_path / "images" / f"{name}.nii.gz", np.full((6, 5, 4), ord(name), np.int16))
        save(tmp_path / "labels" / f"{name}.nii.gz", stored)
    return tmp_path
