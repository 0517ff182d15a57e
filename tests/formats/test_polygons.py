"""Polygons of masks: by hand, back again by other programs' rasterisers, and that no ring meets itself."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageDraw

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.formats.coco import coco_entries, coco_entry, coco_file
from medseg_monai.formats.geojson import write_geojson
from medseg_monai.formats.polygons import Polygon, polygons, signed_area

BINARY = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(8, 8))
NUMBERS = DatasetSpec("d", "multiclass", classes=("liver", "spleen"), channels=("grey",), size=(8, 8))
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


def test_geojson_names_classes_and_closes_rings(tmp_path: Path) -> None:
    mask = np.zeros((1, 4, 3), np.uint8)
    mask[0, 1, 2], mask[0, 3, 0] = 1, 2
    content = json.loads(write_geojson(mask, tmp_path / "x.geojson", NUMBERS).read_text())
    assert [feature["properties"]["class"] for feature in content["features"]] == ["liver", "spleen"]
    assert [feature["properties"]["pixels"] for feature in content["features"]] == [1, 1]
    assert content["features"][0]["geometry"] == {
        "type": "Polygon", "coordinates": [[[1, 2], [2, 2], [2, 3], [1, 3], [1, 2]]],
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@given(MASKS)
def test_coco_tools_give_the_mask_back(mask: np.ndarray) -> None:
    tools = pytest.importorskip("pycocotools.mask")
    entry = coco_entry(mask[None].astype(np.uint8), BINARY, file_name="x.jpg")
    width, height = mask.shape
    found = np.zeros((height, width), np.uint8)
    for annotation in entry["annotations"]:
        segmentation = annotation["segmentation"]
        encoded = tools.frPyObjects(segmentation, height, width)
        part = tools.decode(tools.merge(encoded) if isinstance(encoded, list) else encoded)
        assert part.sum() == annotation["area"]
        assert tools.toBbox(encoded[0] if isinstance(encoded, list) else encoded).tolist() == annotation["bbox"]
        found |= part
    assert np.array_equal(found.T, mask)


def test_a_coco_file_counts_images_and_gives_its_entries_back() -> None:
    square = np.ones((1, 2, 2), np.uint8)
    entries = {name: coco_entry(square, BINARY, file_name=f"{name}.jpg") for name in ("b", "a")}
    content = coco_file(entries, BINARY)
    assert [(image["id"], image["file_name"]) for image in content["images"]] == [(1, "a.jpg"), (2, "b.jpg")]
    assert [(a["id"], a["image_id"], a["category_id"], a["area"]) for a in content["annotations"]] == [
        (1, 1, 1, 4),
        (2, 2, 1, 4),
    ]
    assert content["annotations"][0]["iscrowd"] == 0
    assert coco_entries(json.loads(json.dumps(content))) == entries


def test_coco_counts_categories_from_one() -> None:
    mask = np.array([[[1, 0, 2, 2]]], np.uint8)
    content = coco_file({"a": coco_entry(mask, NUMBERS, file_name="a.jpg")}, NUMBERS)
    assert content["categories"] == [{"id": 1, "name": "liver"}, {"id": 2, "name": "spleen"}]
    assert [(a["category_id"], a["bbox"], a["area"]) for a in content["annotations"]] == [
        (1, [0, 0, 1, 1], 1),
        (2, [0, 2, 1, 2], 2),
    ]
    (image,) = content["images"]
    assert (image["width"], image["height"]) == (1, 4)
