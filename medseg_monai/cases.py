"""One case of a data set: which files, which patient."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from medseg_monai.spec import DatasetSpec, refuse_unknown_keys

Case = dict[str, Any]
"""``image`` (a path, or a list: one per channel), ``label`` (a path, or a list: one per class) and, if wanted,
``id``, ``group`` (patient or lesion: what must not stand in two splits) and ``fold`` (for cross-validation)."""
CASE_KEYS = ("image", "label", "id", "group", "fold")


def check_case(case: object, spec: DatasetSpec, where: str) -> None:
    """Raise ValueError where one case cannot be one; `where` is e.g. ``training[3]``."""
    if not isinstance(case, Mapping):
        raise ValueError(f"{where}: a case is a mapping with image and label, got {case!r}")
    refuse_unknown_keys(case, CASE_KEYS, where)
    for key in ("image", "label"):
        if key not in case:
            raise ValueError(f"{where}: the key {key!r} is missing")
        files = as_list(case[key])
        if not files or not all(isinstance(file, str | Path) and str(file) for file in files):
            raise ValueError(f"{where}: {key} is a path or a list of paths, got {case[key]!r}")
    parts = PurePath(str(case.get("id", "x"))).parts
    if not parts or ".." in parts or PurePath(*parts).is_absolute():
        raise ValueError(f"{where}: the id names files, it cannot be {case['id']!r}")
    if spec.in_channels % len(as_list(case["image"])):
        raise ValueError(
            f"{where}: {len(as_list(case['image']))} image files for {spec.in_channels} channels "
            f"({', '.join(spec.channels)}); give one, or one per channel"
        )
    _check_labels(len(as_list(case["label"])), spec, where)


def _check_labels(count: int, spec: DatasetSpec, where: str) -> None:
    """Multilabel has a mask per class (one 4D file in 3D); the others one, or multiclass one per class."""
    classes = len(spec.classes)
    allowed = {spec.label_channels}
    if spec.task == "multiclass":
        allowed.add(classes)
    if spec.spatial_dims == 3:
        allowed.add(1)
    if count not in allowed:
        raise ValueError(
            f"{where}: {count} mask files do not match the class list of this {spec.task} data set "
            f"({classes}: {', '.join(spec.classes)}); give {' or '.join(map(str, sorted(allowed)))}"
        )


def rebased(case: Case, root: Path, folder: Path) -> Case:
    """The case with paths relative to `folder` instead of `root`; keys in the usual order."""

    def rebase(path: str) -> str:
        file = absolute_path(root / path)
        try:
            return PurePath(os.path.relpath(file, folder)).as_posix()
        except ValueError:  # another drive
            return file.as_posix()

    paths = {key: map_paths(case[key], rebase) for key in ("image", "label")}
    return {key: paths.get(key, case[key]) for key in CASE_KEYS if key in case}


def case_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file, as short as can be without two being the same."""
    stems = [stem(path) for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    folder = os.path.commonpath([path.parent for path in paths])
    relative = [PurePath(os.path.relpath(path, folder)) for path in paths]
    long = [path.with_name(stem(path)).as_posix() for path in relative]
    return long if len(set(long)) == len(long) else [path.as_posix() for path in relative]


def stem(path: PurePath) -> str:
    """File name without its suffix, ``.nii.gz`` being one."""
    return path.stem.removesuffix(".nii") if path.suffix == ".gz" else path.stem


def absolute_path(path: str | Path) -> Path:
    """Absolute and without ``..``; links stay as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100  resolve() follows links, and is slow


def as_list(value: Any) -> list[Any]:
    """A list of the one path, or of the several, or of none, that stand there."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def map_paths(value: Any, function: Callable[[str], str]) -> Any:
    """The function's result for one path, or for each in a list."""
    return [function(path) for path in value] if isinstance(value, list | tuple) else function(value)
