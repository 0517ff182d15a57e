"""Polygons of masks: by hand, back again by other programs' rasterisers, and that no ring meets itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageDraw

from medseg_monai.formats.polygons import Polygon, polygons, signed_area

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.booleans())


def drawn(*rows: str) -> np.ndarray:
    """A (W, H) mask as it is seen: # is inside."""
    return np.array([[mark == "#" for mark in row] for row in rows]).T


def test_an_outline_and_its_hole_by_hand() -> None:
    found = polygons(drawn("####.", "#..#.", "####."))
    outline, hole = [(0, 0), (4, 0), (4, 3), (0, 3)], [(1, 1), (1, 2), (3, 2), (3, 1)]
    assert [polygon.area for polygon in found] == [10]
    assert found[0].outline == outline
    assert sorted(found[0].holes[0]) == sorted(hole)
    assert signed_area(found[0].holes[0]) == -2


def test_parts_that_touch_at_a_corner_are_apart() -> None:
    assert polygons(drawn("#.", ".#")) == [
        Polygon([(0, 0), (1, 0), (1, 1), (0, 1)]),
        Polygon([(1, 1), (2, 1), (2, 2), (1, 2)]),
    ]


def test_a_hole_that_touches_its_outline_is_a_hole() -> None:
    (found,) = polygons(drawn("###", "#.#", "##."))
    assert len(found.holes) == 1
    assert len(set(found.outline)) == len(found.outline)


def test_an_empty_mask_has_none() -> None:
    assert polygons(np.zeros((3, 2))) == []


def painted(found: list[Polygon], shape: tuple[int, int]) -> np.ndarray:
    """What Pillow draws of the polygons, eight times as large, at the middle of each pixel."""
    picture = Image.new("1", (8 * shape[0], 8 * shape[1]))
    for polygon in found:  # a part may lie in another's hole: each on a sheet of its own
        sheet = Image.new("1", picture.size)
        draw = ImageDraw.Draw(sheet)
        for ring, value in ((polygon.outline, 1), *((hole, 0) for hole in polygon.holes)):
            draw.polygon([(8 * x, 8 * y) for x, y in ring], fill=value, outline=value)
        picture = Image.fromarray(np.asarray(picture) | np.asarray(sheet))
    return np.asarray(picture)[4::8, 4::8].T


@given(MASKS)
def test_a_rasteriser_gives_the_mask_back(mask: np.ndarray) -> None:
    check_rasterised(mask)


@pytest.mark.parametrize("seed", range(8))
def test_a_ragged_mask_comes_back_too(seed: int) -> None:
    """Its outlines touch themselves at corners next to each other."""
    check_rasterised(np.random.default_rng(seed).random((12, 14)) < 0.6)


def check_rasterised(mask: np.ndarray) -> None:
    found = polygons(mask)
    assert np.array_equal(painted(found, mask.shape), mask)
    assert sum(polygon.area for polygon in found) == mask.sum()
    for ring in (ring for polygon in found for ring in (polygon.outline, *polygon.holes)):
        assert len(set(ring)) == len(ring)


@given(MASKS)
def test_polygons_are_valid_for_a_geometry_library(mask: np.ndarray) -> None:
    geometry = pytest.importorskip("shapely.geometry")
    for polygon in polygons(mask):
        shape = geometry.Polygon(polygon.outline, polygon.holes)
        assert shape.is_valid
        assert shape.area == polygon.area
        assert shape.exterior.is_ccw
