"""What functions and commands accept, checked before anything slow is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from medseg_monai.program.messages import nearest_path

if TYPE_CHECKING:
    from medseg_monai.api.datasets import ImageDataset

FilePath: TypeAlias = "str | Path"
Assignments: TypeAlias = "Mapping[str, Any] | Sequence[str] | None"
"""Pieces of config by key, which may be expressions; also as ``--set`` takes them, ``["lr=0.001"]``."""


def given(**options: Any) -> dict[str, Any]:
    """The options that the user set: the others keep the library's or the config's defaults."""
    return {name: value for name, value in options.items() if value is not None}


def text(path: FilePath | None) -> str | None:
    """A path as text for a config."""
    return None if path is None else str(path)


def as_path(path: FilePath | None) -> Path | None:
    """A path as a `Path`, if there is one."""
    return None if path is None else Path(path)


def texts(items: str | Sequence[str] | None) -> list[str]:
    """A list of one text or several; empty for None."""
    return [items] if isinstance(items, str) else list(items or [])


def listed(items: Any) -> list[Any]:
    """A list of one thing or several; empty for None.

    >>> listed(None), listed("a.jpg"), listed(("a", "b"))
    ([], ['a.jpg'], ['a', 'b'])
    """
    if items is None:
        return []
    return [items] if isinstance(items, (str, Path)) else list(items)


def data_folder(dataset: FilePath | ImageDataset | None) -> Path | None:
    """Where a data set is, given as its folder or as `medseg_monai.load_dataset` returned it.

    Raises:
        ValueError: it is a part of a data set, which is in no file.
    """
    from medseg_monai.api.datasets import ImageDataset

    if isinstance(dataset, ImageDataset):
        if not dataset.is_whole:
            raise ValueError(f"{dataset!r} is a part of a data set: give all of it, and name a split")
        return dataset.file
    return as_path(dataset)


def bundle_and_data(
    bundle: FilePath,
    dataset_dir: FilePath | ImageDataset | None,
    weights: FilePath | None,
    assignments: Assignments,
    *paths: FilePath | None,
) -> tuple[Path, Path | None, dict[str, Any]]:
    """The bundle's folder, the data set's, and the assignments, of what works with trained weights on a data set: all checked.

    Args:
        bundle: its name or folder.
        dataset_dir: the data set, or its folder; None for the generated demo data, if the weights were trained on it.
        weights: file, folder, or the data set's name; None for the bundle's own.
        assignments: pieces of config.
        paths: other files and folders that have to be there.

    Raises:
        FileNotFoundError, ValueError: one of them cannot be used, or a data set has to be named.
    """
    from medseg_monai.bundle.paths import find_bundle, find_weights

    folder, overrides, data = find_bundle(bundle), parsed(assignments), data_folder(dataset_dir)
    check_there(data, *paths)
    if weights:
        find_weights(folder, text(weights))
    if data is None and "dataset_dir" not in overrides:
        check_trained_on_demo(folder, weights)
    return folder, data, overrides


def check_trained_on_demo(bundle_root: Path, weights: FilePath | None) -> None:
    """Refuse to judge weights by generated drawings that they were not trained on.

    Their scores would be meaningless, and what is learnt from drawings would decide from then on which masks of patients are flagged.

    Raises:
        FileNotFoundError: there are no weights.
        ValueError: they were trained on something else.
    """
    from medseg_monai.bundle.paths import dataset_of, demo_kind, find_weights
    from medseg_monai.prepare.demo import demo_spec

    demo = demo_spec(demo_kind(bundle_root)).name
    file = find_weights(bundle_root, text(weights), dataset=demo)
    trained = dataset_of(file)
    if trained != demo:
        raise ValueError(
            f"name the data set (--dataset-dir FOLDER): {file} was trained on {trained or 'an unknown data set'}, "
            "so the generated demo data would say nothing about it"
        )


def image_paths(images: Any) -> list[str]:
    """Images to work on: files, folders, or the cases of a data set.

    Raises:
        ValueError: a case has several image files.
    """
    from medseg_monai.api.datasets import ImageDataset, LabelledCase

    found: list[str] = []
    for image in [images] if isinstance(images, (ImageDataset, LabelledCase)) else listed(images):
        cases = list(image) if isinstance(image, ImageDataset) else [image] if isinstance(image, LabelledCase) else None
        if cases is None:
            found.append(str(image))
            continue
        for case in cases:
            if len(case.image_files) > 1:
                raise ValueError(
                    f"{case.id} has {len(case.image_files)} image files: predict the folders that they are in"
                )
            found.append(str(case.image_files[0]))
    return found


def parsed(assignments: Assignments) -> dict[str, Any]:
    """Assignments by key.

    Raises:
        ValueError: one of ``KEY=VALUE`` has no ``=``, or a value that is not YAML.
    """
    from medseg_monai.bundle.assignments import parse_assignments

    return dict(assignments) if isinstance(assignments, Mapping) else parse_assignments(listed(assignments))


def square(size: int | None) -> tuple[int, int] | None:
    """(size, size), if there is one."""
    return None if size is None else (size, size)


def check_there(*paths: FilePath | None) -> None:
    """Raise a FileNotFoundError for a path that does not exist, before anything slow is imported.

    ``FOLDER#SERIES_UID`` exists if the folder does.
    """
    for path in paths:
        if path is not None and not Path(path).exists() and not Path(str(path).rpartition("#")[0] or path).exists():
            raise FileNotFoundError(f"no such file or folder: {path}{nearest_path(path)}")


def time_limit(minutes: float | None, hours: float | None) -> float | None:
    """The time that was given, in minutes.

    Raises:
        ValueError: both were given, or a time of 0 or less.
    """
    if minutes is not None and hours is not None:
        raise ValueError("give --minutes or --hours, not both")
    limit = minutes if hours is None else 60 * hours
    if limit is not None and not 0 < limit < float("inf"):
        raise ValueError(f"the time must be above 0, got {limit:g} minutes")
    return limit


def preset(quick: bool, best: bool) -> str | None:
    """The preset that was chosen, None for the default.

    Raises:
        ValueError: two were.
    """
    if quick and best:
        raise ValueError("give --quick or --best, not both")
    return "quick" if quick else "best" if best else None
