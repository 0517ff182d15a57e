"""Polygons as GeoJSON, as QuPath and other viewers read them: pixel coordinates, y downwards, along the edges of pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.files.writing import write_whole
from medseg_monai.formats.polygons import Ring, polygons

SUFFIX = ".geojson"


def feature_collection(mask: NDArray[np.uint8], spec: DatasetSpec) -> dict[str, Any]:
    """A feature for each connected part of each class.

    Args:
        mask: (1, W, H) of class numbers, or (classes, W, H) of {0, 1} for multilabel.
        spec: the data set.

    Returns:
        GeoJSON (RFC 7946, but in pixels: see `medseg_monai.formats.polygons`). Properties: ``class``; ``classification`` with the
        class's name, which QuPath shows; ``pixels``.
    """
    features = []
    for name, plane in zip(spec.classes, class_masks(mask, len(spec.classes)), strict=True):
        for polygon in polygons(plane):
            rings = [_closed(ring) for ring in (polygon.outline, *polygon.holes)]
            features.append(
                {
                    "type": "Feature",
                    "geometry": {"type": "Polygon", "coordinates": rings},
                    "properties": {
                        "objectType": "annotation",
                        "class": name,
                        "classification": {"name": name},
                        "pixels": polygon.area,
                    },
                }
            )
    return {"type": "FeatureCollection", "features": features}


def write_geojson(mask: NDArray[np.uint8], file: Path, spec: DatasetSpec) -> Path:
    """Write `feature_collection`, whole or not at all."""
    write_whole(file, (json.dumps(feature_collection(mask, spec)) + "\n").encode())
    return file


def _closed(ring: Ring) -> list[list[int]]:
    """The ring as GeoJSON requires it: the first corner again at the end."""
    return [[x, y] for x, y in (*ring, ring[0])]
