"""One case of a data set: its files, its patient."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.program.messages import did_you_mean, refuse_unknown_keys

Case = dict[str, Any]
"""``image`` (a path, or a list: one per channel), ``label`` (a path, or a list: one per class, or several of a single class)
and, optionally, ``id``, ``group`` (patient or lesion, which must not be in two splits), ``fold`` (for cross-validation), ``present``
(names of the classes that the label has pixels of), ``annotators`` (by name, each one's mask, like ``label``), ``strata`` (by column, a
text or number by which evaluations divide cases: centre, scanner) and ``soft_label`` (what other networks answered, to learn from beside
the label: a map of probabilities for each class, as ``medseg predict --probabilities`` writes them)."""
SOFT_LABEL = "soft_label"
FILE_KEYS = ("image", "label", SOFT_LABEL)
"""Their values are paths."""
CASE_KEYS = ("image", "label", SOFT_LABEL, "id", "group", "fold", "present", "annotators", "strata")
NAMING_KEYS = ("id", "group")
"""Their values are texts or numbers, and equal ones mean the same."""
MAPPING_KEYS = ("annotators", "strata")
"""Their values are mappings in dataset.json, and in a case tuples of pairs, which batches leave out."""
MASK_BANDS = (2, 3, 4)
"""Number of overlapping classes that can share one mask picture, a band each: LA, RGB, RGBA."""


def check_case(case: object, spec: DatasetSpec, where: str) -> None:
    """Raise ValueError if a case is malformed; `where` is e.g. ``training[3]``."""
    if not isinstance(case, Mapping):
        raise ValueError(f"{where}: a case must be a mapping with image and label, got {case!r}")
    refuse_unknown_keys(case, CASE_KEYS, where)
    for key in FILE_KEYS:
        if key == SOFT_LABEL and key not in case:
            continue
        if key not in case:
            raise ValueError(f"{where}: the key {key!r} is missing")
        files = as_list(case[key])
        if not files or not all(isinstance(file, str | Path) and str(file) for file in files):
            raise ValueError(f"{where}: {key} must be a path or a list of paths, got {case[key]!r}")
        if wrong := [file for file in as_list(case[key]) if not _can_be_there(file)]:
            raise ValueError(f"{where}: {key}: no file can have the name {wrong[0]!r}")
    for key in NAMING_KEYS:
        if key in case and not _is_name(case[key]):
            raise ValueError(
                f"{where}: {key} must be a text or a number, got {case[key]!r}; a YAML date goes in quotes"
            )
    parts = PurePath(str(case.get("id", "x"))).parts
    if not parts or ".." in parts or PurePath(*parts).is_absolute():
        raise ValueError(f"{where}: the id names files, it cannot be {case['id']!r}")
    _check_images(len(as_list(case["image"])), spec, where)
    _check_labels(len(as_list(case["label"])), spec, where)
    _check_soft_label(len(as_list(case.get(SOFT_LABEL, spec.classes))), spec, where)
    _check_present(case.get("present", []), spec, where)
    _check_annotators(case.get("annotators", {}), spec, where)
    _check_strata(case.get("strata", {}), where)


def _can_be_there(file: object) -> bool:
    """Whether a file can have this path: no zero byte, nothing that is no text (bytes that are not UTF-8 are, as Python reads them)."""
    try:
        return b"\0" not in os.fsencode(str(file))
    except UnicodeEncodeError:
        return False


def _is_name(value: object) -> bool:
    """Whether a text or a number names something: not NaN, which is what tables have for nothing."""
    return (
        isinstance(value, str | int | float)
        and not isinstance(value, bool)
        and value == value
        and "\0" not in str(value)
    )


def _check_images(count: int, spec: DatasetSpec, where: str) -> None:
    """Check the number of image files: each has all channels or its share of them; neighbouring slices are a file each."""
    if spec.in_channels % count or (spec.slice_stride and count != spec.in_channels):
        many = "one per slice" if spec.slice_stride else "one, or one per channel"
        channels = f"{spec.in_channels} channels ({', '.join(spec.channels)})"
        raise ValueError(f"{where}: {count} image files for {channels}; give {many}")


def _check_present(names: object, spec: DatasetSpec, where: str) -> None:
    if not isinstance(names, list | tuple):
        raise ValueError(f"{where}: present must be a list of classes, got {names!r}")
    for name in names:
        if name not in spec.classes:
            raise ValueError(f"{where}: present: unknown class {name!r}{did_you_mean(name, spec.classes)}")


def _check_soft_label(count: int, spec: DatasetSpec, where: str) -> None:
    if count != len(spec.classes):
        raise ValueError(
            f"{where}: {count} files of probabilities for {len(spec.classes)} classes ({', '.join(spec.classes)}); give one for each"
        )


def _check_annotators(masks: object, spec: DatasetSpec, where: str) -> None:
    if not isinstance(masks, Mapping):
        raise ValueError(f"{where}: annotators must be a mapping of names to masks, got {masks!r}")
    for name, value in masks.items():
        files = as_list(value)
        if not files or not all(isinstance(file, str | Path) and str(file) for file in files):
            raise ValueError(f"{where}: annotators: {name} must have a path or a list of paths, got {value!r}")
        _check_labels(len(files), spec, f"{where}: annotators: {name}")


def _check_strata(values: object, where: str) -> None:
    if not isinstance(values, Mapping) or not all(isinstance(value, str | int | float) for value in values.values()):
        raise ValueError(f"{where}: strata must be a mapping of columns to a text or a number each, got {values!r}")


def _check_labels(count: int, spec: DatasetSpec, where: str) -> None:
    """Check the number of mask files: multilabel has one per class, or one with all classes (bands, 4D in 3D, or by `label_values`);
    multiclass one, or one per class; binary any number.
    """
    classes = len(spec.classes)
    allowed = {spec.label_channels}
    if spec.task == "binary" and count > 1:
        return  # their union
    if spec.task == "multiclass":
        allowed.add(classes)
    if spec.label_values is not None:
        if count > 1:
            raise ValueError(f"{where}: {count} mask files, but label_values are for one file with all classes")
        return
    if spec.spatial_dims == 3 or (spec.task == "multilabel" and classes in MASK_BANDS):
        allowed.add(1)
    if count not in allowed:
        raise ValueError(
            f"{where}: {count} mask files do not match the class list of this {spec.task} data set "
            f"({classes}: {', '.join(spec.classes)}); give {' or '.join(map(str, sorted(allowed)))}"
        )


def label_coding(spec: DatasetSpec) -> dict[str, Any]:
    """What a case carries so that its label can be read by weights that know only the classes; empty for class numbers.

    A tuple, which batches leave out.
    """
    return {"coding": (spec.label_values, spec.ignore)} if spec.label_values or spec.ignore else {}


def label_spec(case: Mapping[Any, Any], spec: DatasetSpec) -> DatasetSpec:
    """The spec for reading a case's label: that of the weights, with the class values of the case's data set."""
    values, ignore = case.get("coding", (None, ()))
    return replace(spec, label_values=values, ignore=ignore)


def rebased(case: Case, root: Path, folder: Path) -> Case:
    """The case with paths relative to `folder` instead of `root`; keys in the usual order."""

    def rebase(path: str) -> str:
        file = absolute_path(root / path)
        try:
            return PurePath(os.path.relpath(file, folder)).as_posix()
        except ValueError:  # another drive
            return file.as_posix()

    paths = {key: map_paths(case[key], rebase) for key in FILE_KEYS if key in case}
    if "annotators" in case:
        paths["annotators"] = {name: map_paths(files, rebase) for name, files in case["annotators"].items()}
    return {key: paths.get(key, case[key]) for key in CASE_KEYS if key in case}


def as_written(case: Case) -> Case:
    """What dataset.json holds of a case that `Dataset.cases` gave."""
    return {key: dict(case[key]) if key in MAPPING_KEYS else case[key] for key in CASE_KEYS if key in case}


def case_names(paths: Sequence[Path]) -> list[str]:
    """A distinct name for each file, as short as possible."""
    stems = [stem(path) for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    folder = os.path.commonpath([path.parent for path in paths])
    relative = [PurePath(os.path.relpath(path, folder)) for path in paths]
    long = [path.with_name(stem(path)).as_posix() for path in relative]
    return long if len(set(long)) == len(long) else [path.as_posix() for path in relative]


def stem(path: PurePath) -> str:
    """File name without its suffix; ``.nii.gz`` counts as one."""
    return path.stem.removesuffix(".nii") if path.suffix == ".gz" else path.stem


def absolute_path(path: str | Path) -> Path:
    """Absolute and without ``..``; links stay as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100  resolve() follows links, and is slow


def as_list(value: Any) -> list[Any]:
    """A list of the path or paths, empty for None."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def main_file(image: Any) -> str:
    """The file that represents a case's image: the only one, or the middle one of a list, which is the slice itself in a stack."""
    files = as_list(image)
    return str(files[len(files) // 2])


def map_paths(value: Any, function: Callable[[str], str]) -> Any:
    """The function's result for one path, or for each in a list."""
    return [function(path) for path in value] if isinstance(value, list | tuple) else function(value)
