import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.formats.coco import coco_entries, coco_entry, coco_file

BINARY = DatasetSpec("d", "binary", classes=("lesion",), channels=("grey",), size=(8, 8))


NUMBERS = DatasetSpec("d", "multiclass", classes=("liver", "spleen"), channels=("grey",), size=(8, 8))


MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.booleans())


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
