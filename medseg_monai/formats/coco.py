"""COCO JSON of a run: images, categories, and an annotation for each connected part of each class.

A part without holes is a polygon along the edges of its pixels. COCO's polygons have no holes, so a part with holes is stored as
uncompressed run lengths (column by column, as COCO counts), which keep them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.evaluation.metrics import class_masks
from medseg_monai.formats.polygons import polygons


def coco_entry(mask: NDArray[np.uint8], spec: DatasetSpec, *, file_name: str) -> dict[str, Any]:
    """An image and its annotations, without the numbers that `coco_file` gives them.

    Args:
        mask: (1, W, H) of class numbers, or (classes, W, H) of {0, 1} for multilabel.
        spec: the data set.
        file_name: name of the image file.
    """
    width, height = mask.shape[1:]
    annotations = []
    for number, plane in enumerate(class_masks(mask, len(spec.classes)), start=1):
        parts, _ = label(plane.T)  # numbered row by row, as the polygons are
        for part, polygon in enumerate(polygons(plane), start=1):
            x, y = np.array(polygon.outline).T
            corners = [coordinate for corner in polygon.outline for coordinate in corner]
            annotations.append(
                {
                    "category_id": number,
                    "segmentation": run_lengths(np.equal(parts.T, part)) if polygon.holes else [corners],
                    "area": polygon.area,
                    "bbox": [int(x.min()), int(y.min()), int(np.ptp(x)), int(np.ptp(y))],
                    "iscrowd": 0,
                }
            )
    return {"image": {"file_name": file_name, "width": width, "height": height}, "annotations": annotations}


def coco_file(entries: dict[str, dict[str, Any]], spec: DatasetSpec) -> dict[str, Any]:
    """The whole file from the entries of its images, by case id; image ids count from 1 in the order of case ids."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, case in enumerate(sorted(entries), start=1):
        images.append({"id": number, "case": case, **entries[case]["image"]})
        for annotation in entries[case]["annotations"]:
            annotations.append({"id": len(annotations) + 1, "image_id": number, **annotation})
    categories = [{"id": number, "name": name} for number, name in enumerate(spec.classes, start=1)]
    info = {"description": f"Masks with the classes of the data set {spec.name}, written by medseg-monai"}
    return {"info": info, "images": images, "annotations": annotations, "categories": categories}


def coco_entries(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The entries of a file written by `coco_file`, by case id."""
    own = {"id", "image_id", "case"}

    def bare(item: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in item.items() if key not in own}

    entries: dict[str, dict[str, Any]] = {}
    by_number: dict[int, dict[str, Any]] = {}
    for image in content["images"]:
        entries[image["case"]] = by_number[image["id"]] = {"image": bare(image), "annotations": []}
    for annotation in content["annotations"]:
        by_number[annotation["image_id"]]["annotations"].append(bare(annotation))
    return entries


def run_lengths(plane: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's uncompressed run lengths of a (W, H) mask: lengths of 0, 1, 0 … down one column after another.

    >>> run_lengths(np.array([[False, True, False], [True, True, False]]))
    {'size': [3, 2], 'counts': [1, 1, 1, 2, 1]}
    """
    values = np.concatenate([[False], plane.ravel()])  # (W, H) in memory is column after column
    changes = np.flatnonzero(values[1:] != values[:-1])
    counts = np.diff(np.concatenate([[0], changes, [plane.size]]))
    return {"size": [plane.shape[1], plane.shape[0]], "counts": [int(count) for count in counts]}
