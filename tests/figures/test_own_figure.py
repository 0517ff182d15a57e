"""A figure that shows itself in a notebook without pyplot."""

import io
import sys

from PIL import Image

from medseg_monai.figures.own_figure import OwnFigure


def test_it_is_a_picture_of_its_size_without_pyplot() -> None:
    before = "matplotlib.pyplot" in sys.modules
    with Image.open(io.BytesIO(OwnFigure(3, 2)._repr_png_())) as picture:
        assert picture.size == (300, 200)
    assert ("matplotlib.pyplot" in sys.modules) == before
