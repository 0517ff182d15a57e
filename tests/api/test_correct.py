"""A correction by clicks from Python: places as text, numbers and clicks."""

from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

import medseg_monai as mm
from medseg_monai.api.correct import Correction, as_box, clicks_at
from medseg_monai.api.datasets import ImageDataset
from medseg_monai.clicks import Box, Click

PHOTO = REPOSITORY / "examples" / "ISIC_0000253.jpg"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Correction:
    """One click in the middle of the lesion that says that it is none."""
    mask = mm.Predictor("unet")(PHOTO).mask
    row, column = (int(value) for value in np.argwhere(mask).mean(axis=0))
    assert mask[row, column] == 1
    return mm.correct("unet", PHOTO, outside=(row, column), out=tmp_path_factory.mktemp("corrected"))


def test_the_mask_says_what_the_click_says(found: Correction) -> None:
    (click,) = found.found.clicks
    assert (found.before.mask[click.row, click.column], found.found.mask[click.row, click.column]) == (1, 0)
    assert found.changed == np.count_nonzero(found.before.mask != found.found.mask) > 0
    written = np.asarray(Image.open(found.files[0])) > 0
    assert np.array_equal(written, found.found.mask > 0)


def test_it_draws_saves_and_shows_itself(found: Correction, tmp_path: Path) -> None:
    before, after = (axes.images[0].get_array() for axes in found.plot().axes[:2])
    assert not np.array_equal(before, after)
    assert found.save(tmp_path / "m.png")[0].read_bytes() == found.files[0].read_bytes()
    assert found.save(tmp_path / "figure.pdf")[0].read_bytes().startswith(b"%PDF")
    assert f"{found.changed:,} changed" in found._repr_html_()


def test_places_are_text_numbers_or_clicks() -> None:
    wanted = [Click(3, 4), Click(5, 6)]
    assert clicks_at(["3,4", (5, 6)], inside=True) == clicks_at(wanted, inside=True) == wanted
    assert clicks_at([3, 4, 5], inside=False) == [Click(3, 4, inside=False, slice=5)]
    assert clicks_at("a:3,4", inside=True) == [Click(3, 4, class_name="a")]
    assert clicks_at(None, inside=True) == clicks_at([], inside=True) == []
    with pytest.raises(ValueError, match="given as outside"):
        clicks_at(Click(3, 4), inside=False)
    with pytest.raises(ValueError, match="expected ROW,COLUMN"):
        clicks_at(3 * (4,) + (5,), inside=True)


def test_boxes_likewise() -> None:
    box = Box((3, 4), (5, 6))
    assert as_box("3,4,5,6") == as_box((3, 4, 5, 6)) == as_box(box) == box
    assert as_box(None) is None


def test_there_must_be_something_to_correct_by(data: ImageDataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to correct by"):
        mm.correct("unet", data[0], out=tmp_path)
