"""Masks as PNG: other readers find the same pixels."""

import io
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from medseg_monai.images.png import STRIP, even_png

sides = st.one_of(st.integers(1, 9), st.integers(STRIP - 1, STRIP + 1), st.just(2 * STRIP + 3))


@given(
    plane=st.tuples(sides, sides).flatmap(
        lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 7, 255]))
    )
)
def test_pillow_finds_the_same_pixels(plane: np.ndarray) -> None:
    content = even_png(plane)
    with Image.open(io.BytesIO(content)) as image:
        image.verify()  # every chunk's checksum
    with Image.open(io.BytesIO(content)) as image:
        assert (image.mode, image.size) == ("L", plane.shape)
        assert np.array_equal(np.asarray(image), plane.T)


@given(plane=arrays(np.uint8, st.tuples(sides, sides), elements=st.sampled_from([0, 255])))
def test_rows_that_lie_together_give_the_same_file(plane: np.ndarray) -> None:
    assert even_png(np.asfortranarray(plane)) == even_png(np.ascontiguousarray(plane))


def test_itk_finds_the_same_pixels(tmp_path: Path) -> None:
    plane = np.zeros((40, 30), np.uint8)
    plane[10:35, 5:9] = 255
    file = tmp_path / "mask.png"
    file.write_bytes(even_png(plane))
    image = SimpleITK.ReadImage(str(file))
    assert image.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), plane.T)


def test_a_round_mask_takes_no_more_room_than_from_pillow() -> None:
    x, y = np.mgrid[:300, :200]
    plane = ((x - 150) ** 2 + (y - 90) ** 2 < 70**2).astype(np.uint8) * 255
    theirs = io.BytesIO()
    Image.fromarray(plane.T).save(theirs, format="PNG")
    assert len(even_png(plane)) < 1.1 * len(theirs.getvalue())


@pytest.mark.parametrize(
    "plane", [np.zeros((0, 4), np.uint8), np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2), np.float32)]
)
def test_what_is_no_mask_is_refused(plane: np.ndarray) -> None:
    with pytest.raises(ValueError, match="of uint8, not of"):
        even_png(plane)
