"""The mask of a prediction, read back from its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.masks import read_mask
from medseg_monai.images.volumes import read_geometry, read_label_volume
from medseg_monai.outputs.naming import file_rules, mask_files


def read_predicted_mask(case_id: str, spec: DatasetSpec, folder: Path, *, image: Path) -> NDArray[np.uint8]:
    """The mask of a case from whichever label map was written: (1 or classes, W, H), of a volume (1 or classes, I, J, K).

    Args:
        case_id: of the case.
        spec: what the network was trained for.
        folder: the output folder.
        image: the case's image, on whose grid the mask is.

    Raises:
        FileNotFoundError: no label map was written.
        ValueError: the file is no such mask.
    """
    stem = folder / case_id
    for ending in file_rules(spec).label_endings.values():
        files = [str(file) for file in mask_files(stem, spec, ending)]
        if all(Path(file).is_file() for file in files):
            if spec.spatial_dims == 2:
                return read_mask(files, spec)
            return read_label_volume(files if len(files) > 1 else files[0], spec, read_geometry(image))
    raise FileNotFoundError(f"{folder}: there is no label map of {case_id}, only other formats")
