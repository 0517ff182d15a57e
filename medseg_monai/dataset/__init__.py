"""What a data set is: its spec, its cases, and the file that holds both. Needs neither torch nor MONAI.

================== ==================================================================================
`spec`             what a network must know of a data set: classes, channels, geometry, intensity, task
`dataset_file`     dataset.json: read, written, checked
`cases`            one case's files and keys
`label_values`     what stands for a class in the files of the masks
`leaks`            what must not stand in two splits
================== ==================================================================================
"""

from medseg_monai.dataset.cases import Case
from medseg_monai.dataset.dataset_file import (
    FILE_NAMES,
    SPLITS,
    Dataset,
    check_dataset,
    read_dataset,
    write_dataset,
)
from medseg_monai.dataset.spec import Aspect, DatasetSpec, Intensity, IntensityKind, Task

__all__ = [
    "FILE_NAMES",
    "SPLITS",
    "Aspect",
    "Case",
    "Dataset",
    "DatasetSpec",
    "Intensity",
    "IntensityKind",
    "Task",
    "check_dataset",
    "read_dataset",
    "write_dataset",
]
