"""Pictures and arrays become files that are read as any other; paths stay what they are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg_monai.images.given import as_file
from medseg_monai.images.photos import read_image


def test_a_path_stays_what_it_is_and_so_do_several(tmp_path: Path) -> None:
    with as_file(str(tmp_path / "x.jpg")) as file:
        assert file == str(tmp_path / "x.jpg")
    with as_file([tmp_path / "a.nii", "b.nii"]) as files:
        assert files == [str(tmp_path / "a.nii"), "b.nii"]


def test_an_array_is_read_back_and_its_file_is_gone(tmp_path: Path) -> None:
    rows = np.arange(30, dtype=np.uint8).reshape(5, 6)
    with as_file(rows) as file:
        assert np.array_equal(read_image(file, 1)[0], rows.T)
    assert not Path(str(file)).exists()


def test_a_picture_keeps_its_orientation() -> None:
    picture = Image.new("RGB", (8, 5))
    picture.getexif()[0x0112] = 6  # shown turned by 90 degrees
    with as_file(picture) as file:
        assert read_image(file, 3).shape == (3, 5, 8)


@pytest.mark.parametrize(
    ("wrong", "error", "problem"),
    [
        ([1, 2], TypeError, "got a list"),
        (np.zeros((4, 4)), ValueError, "of float64; expected"),
        (np.zeros((4, 4, 3), np.uint16), ValueError, "16-bit colours"),
        (Image.new("F", (2, 2)), ValueError, "floating-point"),
    ],
)
def test_what_is_no_image_is_refused(wrong: object, error: type[Exception], problem: str) -> None:
    with pytest.raises(error, match=problem), as_file(wrong):  # type: ignore[arg-type]
        pass
