"""Raw folders of the Decathlon and of AMOS."""

from pathlib import Path

import numpy as np
import pytest
from raw_volumes import save, volume


@pytest.fixture
def hippocampus(tmp_path: Path) -> Path:
    """Ten cases in the Decathlon's layout, without dataset.json."""
    root = tmp_path / "Task04_Hippocampus"
    for number in range(1, 11):
        volume(root, f"hippocampus_{number:03}", spacing=(1, 0.5 * number, 2))
    return root


@pytest.fixture
def amos(tmp_path: Path) -> Path:
    """Six CT and five MR cases with labels, two CT and one MR of the official validation, one without labels."""
    root = tmp_path / "amos22"
    for number in (1, 4, 5, 9, 14, 499, 500, 507, 508, 510, 600):
        volume(root, f"amos_{number:04}", top=15, ct=number < 500)
    for number in (8, 13, 540):
        volume(root, f"amos_{number:04}", top=15, part="Va", ct=number < 500)
    save(root / "imagesTs" / "amos_0002.nii.gz", np.zeros((6, 5, 4), np.int16))
    return root
