"""The files of an explanation: a map per class and method, and a row for each in ``explanations.csv``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from zlib_ng import gzip_ng

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.explain.maps import Method
from medseg_monai.files.csv_tables import csv_text
from medseg_monai.files.writing import file_part, write_whole
from medseg_monai.grids.geometry import Geometry
from medseg_monai.images.masks import write_png
from medseg_monai.outputs.naming import file_rules

TABLE_FILE = "explanations.csv"


@dataclass(frozen=True)
class Explanation:
    """A row of ``explanations.csv``.

    Attributes:
        case: id of the case.
        class_name: which class; ``class`` in the file.
        layer: the layer whose output the map is made from.
        method: cam, gradcam …
        region: as requested.
        score: the class's mean logit over the region; None if the region is empty.
        note: why there is no map, or an empty one; otherwise "".
        region_pixels: pixels (voxels) of the region on the image's own grid.
        heat_inside: share of the map's heat inside the region; None without a map.
        map: the map's file in the output folder; empty without a map.
    """

    case: str
    class_name: str
    layer: str
    method: Method
    region: str
    score: float | None
    note: str
    region_pixels: int
    heat_inside: float | None
    map: str


def map_file(case_id: str, method: Method, layer: str, name: str, spec: DatasetSpec) -> Path:
    """``<id>_<method>_<layer>.png`` (``.nii.gz`` for a volume), with the class's name after it where there are several."""
    of_class = f"_{file_part(name)}" if len(spec.classes) > 1 else ""
    return Path(f"{case_id}_{method}_{file_part(layer)}{of_class}{file_rules(spec).map_ending}")


def write_map(values: NDArray[np.float32], file: Path, geometry: Geometry | None) -> None:
    """Write heat of 0 .. 1: a photograph's as 8-bit grey PNG (255 is 1.0), a volume's as float32 NIfTI on its grid.

    8 bits, because a step of 1/255 is far finer than such a map can resolve, and every program can show it.
    """
    if geometry is None:
        write_png(np.rint(values * 255).astype(np.uint8), file)
        return
    image = nibabel.Nifti1Image(values.astype(np.float32), geometry.affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    write_whole(file, gzip_ng.compress(image.to_bytes(), 3, mtime=0))  # type: ignore[no-untyped-call]


def write_explanations(folder: Path, rows: Sequence[Explanation]) -> Path:
    """``explanations.csv``: a row per case, class, method and layer."""
    names = ["class" if field.name == "class_name" else field.name for field in fields(Explanation)]
    values = ([f"{value:.6g}" if isinstance(value, float) else value for value in astuple(row)] for row in rows)
    write_whole(folder / TABLE_FILE, csv_text([names, *values]).encode())
    return folder / TABLE_FILE
