"""Files of explanations: their names, and the maps read back by other libraries."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg_monai.dataset import DatasetSpec, Intensity
from medseg_monai.explain.files import Explanation, map_file, write_explanations, write_map
from medseg_monai.files.csv_tables import read_records
from medseg_monai.grids.geometry import Geometry

ONE = DatasetSpec("x", "binary", classes=("a",), channels=("grey",), size=(8, 8))
TWO = DatasetSpec("x", "multilabel", classes=("large bowel", "b"), channels=("grey",), size=(8, 8))
DEEP = DatasetSpec(
    "x", "binary", classes=("a",), channels=("ct",), spatial_dims=3, size=(8, 8, 8), intensity=Intensity("zscore")
)


@pytest.mark.parametrize(
    ("spec", "name", "file"),
    [
        (ONE, "a", "p/x_gradcam_stages.1.png"),
        (TWO, "large bowel", "p/x_gradcam_stages.1_large_bowel.png"),
        (DEEP, "a", "p/x_gradcam_stages.1.nii.gz"),
    ],
)
def test_names_say_what_differs(spec: DatasetSpec, name: str, file: str) -> None:
    assert map_file("p/x", "gradcam", "stages.1", name, spec) == Path(file)


def test_a_photographs_map_is_grey_of_255(tmp_path: Path) -> None:
    heat = np.array([[0.0, 0.5], [1.0, 0.2], [0.1, 0.9]], np.float32)  # (W, H)
    write_map(heat, tmp_path / "m.png", None)
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.size == (3, 2)
        assert np.asarray(picture).tolist() == [[0, 255, 26], [128, 51, 230]]


def test_a_volumes_map_lies_on_its_grid(tmp_path: Path) -> None:
    affine = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, 3, 9], [0, 0, 0, 1]])
    heat = np.random.default_rng(0).random((2, 3, 4)).astype(np.float32)
    write_map(heat, tmp_path / "m.nii.gz", Geometry((2, 3, 4), affine))
    image = nibabel.load(tmp_path / "m.nii.gz")
    assert np.array_equal(image.get_fdata(dtype=np.float32), heat)
    assert np.array_equal(image.affine, affine)
    assert image.header.get_xyzt_units()[0] == "mm"


def test_each_map_has_its_row(tmp_path: Path) -> None:
    rows = [
        Explanation("x", "a", "l", "cam", "prediction", 1.23456789, "", 12, 0.25, "x_cam_l.png"),
        Explanation("y", "=a", "l", "cam", "prediction", None, "nothing there", 0, None, ""),
    ]
    first, second = read_records(write_explanations(tmp_path, rows))
    assert (first["class"], first["score"], first["heat_inside"]) == ("a", "1.23457", "0.25")
    assert (second["case"], second["score"], second["note"]) == ("y", "", "nothing there")
