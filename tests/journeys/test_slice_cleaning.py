"""Organs in one slice only are removed from what prediction wrote: the slices' files, the volume, the submission."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.masks import read_mask, write_mask
from medseg_monai.outputs.slices import write_stacks
from medseg_monai.outputs.submission import read_submission
from medseg_monai.transforms.cleaning import Cleaning

OVERLAPPING = DatasetSpec("d", "multilabel", classes=("bowel", "stomach"), channels=("grey",), size=(8, 8))
EXCLUSIVE = DatasetSpec("d", "multiclass", classes=("bowel", "stomach"), channels=("grey",), size=(8, 8))
# bowel in slices 1, 2 and 4; stomach in 2 and 4, of which none is next to another
PRESENT = {1: (1, 0), 2: (1, 1), 3: (0, 0), 4: (1, 1)}
KEPT = {1: (1, 0), 2: (1, 0), 3: (0, 0), 4: (0, 0)}


def mask(present: tuple[int, int], spec: DatasetSpec) -> np.ndarray:
    """Bowel on the left, stomach on the right."""
    planes = np.zeros((2, 6, 4), np.uint8)
    planes[0, :2], planes[1, 4:] = present
    return planes if spec is OVERLAPPING else planes[:1] + 2 * planes[1:]


@pytest.mark.parametrize("spec", [OVERLAPPING, EXCLUSIVE], ids=["multilabel", "multiclass"])
def test_isolated_organs_are_removed_everywhere(spec: DatasetSpec, tmp_path: Path) -> None:
    raw, out = tmp_path / "raw" / "case1_day0" / "scans", tmp_path / "out"
    raw.mkdir(parents=True)
    cases, written = [], {}
    for number, present in PRESENT.items():
        image = raw / f"slice_{number:04d}_6_4_1.50_1.50.png"
        image.touch()
        cases.append({"id": image.stem, "image": str(image)})
        written[number] = write_mask(mask(present, spec), out / f"{image.stem}_mask.png", spec)
    for _ in range(2):  # once more, as when the command is run again: nothing changes
        write_stacks(cases, spec, out, cleaning=Cleaning(drop_isolated=True))
        for number, kept in KEPT.items():
            assert np.array_equal(read_mask(written[number], spec), mask(kept, spec))
    volumes = [np.asarray(nibabel.load(file).dataobj) for file in out.glob("*.nii.gz")]
    assert sorted(int(np.count_nonzero(volume)) for volume in volumes) == ([0, 16] if len(volumes) == 2 else [16])
    rows = read_submission(out / "submission.csv")
    assert sum(bool(runs) for runs in rows.values()) == 2
