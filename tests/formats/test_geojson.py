import json
from pathlib import Path

import numpy as np

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.formats.geojson import write_geojson

NUMBERS = DatasetSpec("d", "multiclass", classes=("liver", "spleen"), channels=("grey",), size=(8, 8))


def test_geojson_names_classes_and_closes_rings(tmp_path: Path) -> None:
    mask = np.zeros((1, 4, 3), np.uint8)
    mask[0, 1, 2], mask[0, 3, 0] = 1, 2
    content = json.loads(write_geojson(mask, tmp_path / "x.geojson", NUMBERS).read_text())
    assert [feature["properties"]["class"] for feature in content["features"]] == ["liver", "spleen"]
    assert [feature["properties"]["pixels"] for feature in content["features"]] == [1, 1]
    assert content["features"][0]["geometry"] == {
        "type": "Polygon", "coordinates": [[[1, 2], [2, 2], [2, 3], [1, 3], [1, 2]]],
    }  # fmt: skip
