"""Small volumes in files, for tests of reading and writing them."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np

FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha")

OBLIQUE = np.array(  # turned about an axis between all three, sides 0.7, 0.9 and 2.5 mm, left-handed
    [[-0.56, 0.54, 0.0, 12.5], [0.42, 0.72, 0.0, -80.25], [0.0, 0.0, -2.5, 33.0], [0, 0, 0, 1]]
)


def ramp(shape: tuple[int, ...] = (3, 4, 5), dtype: str = "int16") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def save(path: Path, array: np.ndarray, affine: np.ndarray = OBLIQUE) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def itk_affine(image: Any) -> np.ndarray:
    """The grid of a SimpleITK image as a RAS affine."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return np.diag([-1, -1, 1, 1]) @ affine
