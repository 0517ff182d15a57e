"""Data sets: the spec, the cases, and the file with both. Needs neither torch nor MONAI.

================== ==================================================================================
`spec`             what a network must know about a data set: classes, channels, geometry, intensity, task
`dataset_file`     dataset.json: read, written, checked
`cases`            one case's files and keys
`label_values`     the values of a class in mask files
`leaks`            what must not be in two splits
================== ==================================================================================
"""

from medseg_monai.dataset.cases import Case
from medseg_monai.dataset.dataset_file import (
    FILE_NAMES,
    SPLITS,
    TRAINED_ON,
    Dataset,
    check_dataset,
    check_files,
    check_splits,
    read_dataset,
    write_dataset,
)
from medseg_monai.dataset.intensity import Intensity, IntensityKind
from medseg_monai.dataset.spec import Aspect, DatasetSpec, Task

__all__ = [
    "FILE_NAMES",
    "SPLITS",
    "TRAINED_ON",
    "Aspect",
    "Case",
    "Dataset",
    "DatasetSpec",
    "Intensity",
    "IntensityKind",
    "Task",
    "check_dataset",
    "check_files",
    "check_splits",
    "read_dataset",
    "write_dataset",
]
