"""NRRD and MetaImage beyond one grey value per voxel: channels in either order, what is refused, new folders."""

from pathlib import Path

import numpy as np
import pytest

from medseg_monai.grids.geometry import Geometry
from medseg_monai.images.itk_files import read, read_header, write_labels

sitk = pytest.importorskip("SimpleITK")

VALUES = np.arange(120, dtype=np.int16).reshape(3, 4, 5, 2)  # (I, J, K, C)


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd", ".nhdr"])
@pytest.mark.parametrize("as_vectors", [True, False], ids=["two values per voxel", "a fourth axis"])
def test_channels_come_last_however_they_are_stored(tmp_path: Path, ending: str, as_vectors: bool) -> None:
    stored = VALUES.transpose(2, 1, 0, 3) if as_vectors else VALUES.T  # (K, J, I, C) or (C, K, J, I)
    image = sitk.GetImageFromArray(np.ascontiguousarray(stored), isVector=as_vectors)
    image.SetSpacing((1, 2, 3) if as_vectors else (1, 2, 3, 1))
    sitk.WriteImage(image, str(tmp_path / f"x{ending}"))
    header = read_header(tmp_path / f"x{ending}")
    assert (header.geometry.shape, header.channels) == ((3, 4, 5), 2)
    assert header.geometry.spacing_mm == pytest.approx((1, 2, 3))
    array, affine, _ = read(tmp_path / f"x{ending}")
    np.testing.assert_array_equal(array, VALUES)
    np.testing.assert_allclose(affine, np.diag([-1, -2, 3, 1]))


def test_what_is_no_volume_of_grey_values_is_refused(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((3, 4, 5), np.complex64)), str(tmp_path / "c.nrrd"))
    with pytest.raises(
        ValueError, match=r"c\.nrrd: contains voxels of type complex of 32-bit float; expected one grey"
    ):
        read_header(tmp_path / "c.nrrd")
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((3, 4), np.int16)), str(tmp_path / "flat.nrrd"))
    with pytest.raises(ValueError, match=r"flat\.nrrd: has 2 axes; a volume has 3"):
        read_header(tmp_path / "flat.nrrd")


def test_a_label_is_written_into_folders_that_are_not_there_yet(tmp_path: Path) -> None:
    labels = (VALUES[..., 0] % 3).astype(np.uint8)
    file = write_labels(
        labels, Geometry((3, 4, 5), np.diag([1.0, 2, 3, 1])), tmp_path / "a" / "b" / "x.nrrd", ("a", "b")
    )
    np.testing.assert_array_equal(read(file)[0], labels)
    assert [path.name for path in file.parent.iterdir()] == ["x.nrrd"]
