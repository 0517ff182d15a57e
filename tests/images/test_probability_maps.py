"""Maps of probabilities read back: their values, and what is refused."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg_monai.grids.geometry import Geometry
from medseg_monai.images.probability_maps import read_photo_map, read_volume_map

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])


def test_a_pictures_levels_are_width_by_height(tmp_path: Path) -> None:
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4)  # 3 rows of 4
    Image.fromarray(levels).save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_photo_map(tmp_path / "p.png", size=(4, 3)), levels.T)


@pytest.mark.parametrize(("mode", "message"), [("RGB", "not 8-bit grey"), ("1", "not 8-bit grey")])
def test_other_pictures_are_refused(mode: str, message: str, tmp_path: Path) -> None:
    Image.new(mode, (4, 3)).save(tmp_path / "p.png")
    with pytest.raises(ValueError, match=message):
        read_photo_map(tmp_path / "p.png")


def test_a_map_of_another_size_names_both(tmp_path: Path) -> None:
    Image.new("L", (4, 3)).save(tmp_path / "p.png")
    with pytest.raises(ValueError, match="4x3 probabilities for a photograph of 8x6"):
        read_photo_map(tmp_path / "p.png", size=(8, 6))


def test_a_torn_or_missing_file(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    with pytest.raises(ValueError, match=r"p\.png: cannot be read"):
        read_photo_map(tmp_path / "p.png")
    with pytest.raises(FileNotFoundError):
        read_photo_map(tmp_path / "q.png")


def test_a_volume_on_its_scans_grid(tmp_path: Path) -> None:
    shares = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    nibabel.save(nibabel.Nifti1Image(shares, AFFINE), tmp_path / "p.nii.gz")
    np.testing.assert_allclose(read_volume_map(tmp_path / "p.nii.gz", Geometry((2, 3, 4), AFFINE)), shares, atol=1e-3)
    with pytest.raises(ValueError, match=r"p\.nii\.gz"):
        read_volume_map(tmp_path / "p.nii.gz", Geometry((2, 3, 4), np.eye(4)))


@pytest.mark.parametrize("wrong", [2.0, -0.5, np.nan])
def test_what_is_no_probability_is_refused(wrong: float, tmp_path: Path) -> None:
    shares = np.full((2, 3, 4), 0.5, np.float32)
    shares[0, 0, 0] = wrong
    nibabel.save(nibabel.Nifti1Image(shares, AFFINE), tmp_path / "p.nii.gz")
    with pytest.raises(ValueError, match="not a map of probabilities|NaN"):
        read_volume_map(tmp_path / "p.nii.gz", Geometry((2, 3, 4), AFFINE))
