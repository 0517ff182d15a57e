"""A predicted mask is read back from whichever label map was written."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.grids.geometry import Geometry
from medseg_monai.images.label_volumes import write_label_volume
from medseg_monai.images.masks import write_mask
from medseg_monai.outputs.reading import read_predicted_mask


@pytest.mark.parametrize(("task", "planes"), [("binary", 1), ("multiclass", 1), ("multilabel", 2)])
def test_a_photographs(task: str, planes: int, tmp_path: Path) -> None:
    classes = ("a",) if task == "binary" else ("a", "b")
    spec = DatasetSpec("x", task, classes=classes, channels=("grey",), size=(8, 8))  # type: ignore[arg-type]
    mask = np.zeros((planes, 7, 5), np.uint8)
    mask[0, 2, 1:3] = 1
    if task == "multiclass":
        mask[0, 5, 4] = 2
    write_mask(mask, tmp_path / "sub" / "x_mask.png", spec)
    assert np.array_equal(read_predicted_mask("sub/x", spec, tmp_path, image=tmp_path / "x.jpg"), mask)
    with pytest.raises(FileNotFoundError, match="no label map of y"):
        read_predicted_mask("y", spec, tmp_path, image=tmp_path / "y.jpg")


def test_a_volumes_in_its_own_format(tmp_path: Path) -> None:
    spec = DatasetSpec("x", "multiclass", classes=("a", "b"), channels=("ct",), spatial_dims=3, size=(8, 8, 8))
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    mask = np.zeros((4, 5, 6), np.uint8)
    mask[1, 2, 3], mask[0, 0, 1] = 1, 2
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.int16), affine), tmp_path / "x.nii.gz")
    write_label_volume(mask, Geometry(mask.shape, affine), tmp_path / "x_mask.seg.nrrd", spec.classes)
    assert np.array_equal(read_predicted_mask("x", spec, tmp_path, image=tmp_path / "x.nii.gz")[0], mask)
