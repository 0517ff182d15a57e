"""What a network must know about a data set: classes, channels, geometry, intensity and task."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, get_args

from medseg_monai.dataset.checks import as_names, as_numbers, check_one_of, store
from medseg_monai.dataset.intensity import Intensity
from medseg_monai.dataset.label_values import (
    MOST_CLASSES,
    LabelValues,
    Value,
    check_ignore,
    read_values,
)
from medseg_monai.files.writing import file_part
from medseg_monai.program.messages import refuse_unknown_keys

Task = Literal["binary", "multiclass", "multilabel"]
Aspect = Literal["stretch", "pad"]


@dataclass(frozen=True)
class DatasetSpec:
    """What a network must know about a data set.

    Args:
        name: also the name of the folder that trained weights go to; letters, digits, ``.``, ``_`` and ``-``.
        task: ``binary`` (one class), ``multiclass`` (no two overlap) or ``multilabel`` (classes may overlap).
        classes: names of the foreground classes, without background.
        channels: names of the image's channels, e.g. ``("red", "green", "blue")``.
        spatial_dims: 2 or 3.
        size: the network's input: (width, height), or (i, j, k) in 3D. Required in 2D.
        spacing_mm: voxel size that volumes are resampled to, per axis.
        aspect: ``stretch`` to `size`, or keep the aspect ratio and ``pad``.
        intensity: how stored values become what the network sees.
        slice_stride: the channels are neighbouring slices of one scan (2.5D), this many slices apart, the segmented one in
            the middle; None for channels of any other kind.
        label_values: the meaning of the numbers or colours in a label file with all classes; None for 0 (background)
            and 1, 2, … in the order of `classes`, or for two levels if there is one class.
        ignore: values of label pixels to ignore, both in the loss and in scores.
        description, licence, citation, modality: for people to read.

    Raises:
        ValueError: a value is invalid; the message names it.
    """

    name: str
    task: Task
    _: KW_ONLY
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    spatial_dims: int = 2
    size: tuple[int, ...] | None = None
    spacing_mm: tuple[float, ...] | None = None
    aspect: Aspect = "stretch"
    intensity: Intensity = field(default_factory=Intensity)
    slice_stride: int | None = None
    label_values: LabelValues | None = None
    ignore: tuple[Value, ...] = ()
    description: str = ""
    licence: str = ""
    citation: str = ""
    modality: str = ""

    def __post_init__(self) -> None:
        for key in ("name", "description", "licence", "citation", "modality"):
            if not isinstance(getattr(self, key), str):
                raise ValueError(f"{key}: expected a text, got {getattr(self, key)!r}")
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name):
            raise ValueError(
                f"name: use only letters, digits, '.', '_' and '-', because it names a folder; got {self.name!r}"
            )
        check_one_of("task", self.task, get_args(Task))
        check_one_of("aspect", self.aspect, get_args(Aspect))
        for key in ("classes", "channels"):
            store(self, key, as_names(key, getattr(self, key)))
        self._check_classes()
        self._check_geometry()
        self._check_intensity()
        self._check_slices()
        self._check_labels()

    def _check_classes(self) -> None:
        if any(name.lower() == "background" for name in self.classes):
            raise ValueError("classes: list only the foreground; leave 'background' out")
        if len({file_part(name).lower() for name in self.classes}) < len(self.classes):
            raise ValueError(f"classes: two of {', '.join(self.classes)} would share a file name; rename one")
        if self.task == "binary" and len(self.classes) != 1:
            raise ValueError(
                f"classes: a binary data set has one class, got {', '.join(self.classes)}; "
                "make the task multiclass, or multilabel if they overlap"
            )

        if len(self.classes) > MOST_CLASSES:
            raise ValueError(
                f"classes: {len(self.classes)} are listed, but at most {MOST_CLASSES} fit into 8-bit masks"
            )

    def _check_labels(self) -> None:
        store(self, "ignore", () if self.ignore in (None, (), []) else read_values(self.ignore, "ignore"))
        if self.label_values is not None:
            store(self, "label_values", LabelValues.from_dict(self.label_values))
            self.label_values.check(self.classes, overlap=self.task == "multilabel")
        check_ignore(self.ignore, self.label_values)
        colours = any(isinstance(value, str) for value in self.ignore) or (
            self.label_values is not None and self.label_values.are_colours
        )
        if colours and self.spatial_dims == 3:
            raise ValueError("label_values and ignore: volumes contain numbers, not colours")

    def _check_geometry(self) -> None:
        dims = self.spatial_dims
        if isinstance(dims, bool) or dims not in (2, 3):
            raise ValueError(f"spatial_dims: must be 2 or 3, got {dims!r}")
        if self.size is None and (dims == 2 or self.spacing_mm is None):
            raise ValueError("size: missing; give the network's input size, e.g. [256, 256] (width, height)")
        for key in ("size", "spacing_mm"):
            if getattr(self, key) is None:
                continue
            numbers = as_numbers(key, getattr(self, key))
            if len(numbers) != dims or min(numbers) <= 0:
                raise ValueError(f"{key}: expected {dims} numbers above 0, got {list(numbers)}")
            store(self, key, numbers)
        if self.size is not None and any(n != int(n) for n in self.size):
            raise ValueError(f"size: expected whole numbers, got {list(self.size)}")
        store(self, "size", None if self.size is None else tuple(int(n) for n in self.size))

    def _check_intensity(self) -> None:
        if not isinstance(self.intensity, Intensity):
            raise ValueError(f"intensity: expected an Intensity, got {self.intensity!r}")
        for key in ("mean", "std"):
            count = len(getattr(self.intensity, key))
            if count not in (1, self.in_channels):
                raise ValueError(
                    f"intensity.{key}: {count} numbers for {self.in_channels} channels; give 1 or one each"
                )

    def _check_slices(self) -> None:
        stride = self.slice_stride
        if stride is None:
            return
        if isinstance(stride, bool) or not isinstance(stride, int) or stride < 1:
            raise ValueError(f"slice_stride: expected a whole number of 1 or more, got {stride!r}")
        if self.spatial_dims != 2 or self.in_channels < 3 or self.in_channels % 2 == 0:
            raise ValueError(
                f"slice_stride: neighbouring slices are 3, 5, … channels of a 2D data set; "
                f"this has {self.in_channels} and {self.spatial_dims} dimensions"
            )

    @property
    def window(self) -> tuple[int, ...] | None:
        """What a network sees of a volume at once, (i, j, k) voxels; None if it sees images whole."""
        return self.size if self.spatial_dims == 3 else None

    @property
    def in_channels(self) -> int:
        """Channels of the image tensor."""
        return len(self.channels)

    @property
    def out_channels(self) -> int:
        """Channels of the logits: 1 (binary), n (multilabel) or n + 1 (multiclass: background first)."""
        return len(self.classes) + (self.task == "multiclass")

    @property
    def label_channels(self) -> int:
        """Channels of the label tensor: n for multilabel, else 1."""
        return len(self.classes) if self.task == "multilabel" else 1

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """(mean, std) for normalisation, on the scale 0..1; None for `zscore`, which uses each image's own."""
        return None if self.intensity.kind == "zscore" else (self.intensity.mean, self.intensity.std)

    def in_class_numbers(self) -> DatasetSpec:
        """The spec of the masks that this package writes: 0 for background and 1, 2, … for the classes, whatever the data set's values."""
        return dataclasses.replace(self, label_values=None, ignore=())

    def to_dict(self) -> dict[str, Any]:
        """For JSON; empty values are left out."""
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        content["intensity"] = self.intensity.to_dict()
        content["label_values"] = self.label_values.to_dict() if self.label_values else None
        content = {key: list(value) if isinstance(value, tuple) else value for key, value in content.items()}
        content["ignore"] = self.ignore[0] if len(self.ignore) == 1 else content["ignore"] or None
        return {key: value for key, value in content.items() if value not in (None, "")}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> DatasetSpec:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a key is unknown (the message names the nearest valid one) or missing, or a value is invalid.
        """
        refuse_unknown_keys(content, SPEC_KEYS)
        for key in ("name", "task", "classes", "channels"):
            if key not in content:
                raise ValueError(f"the key {key!r} is missing")
        intensity = Intensity.from_dict(content.get("intensity", "uint8"))
        return cls(**{**content, "intensity": intensity})


SPEC_KEYS = tuple(f.name for f in dataclasses.fields(DatasetSpec))
"""Keys of a data set's description in dataset.json, in the order they are written."""
