"""Tiny raw folders: pictures of 8 x 6, volumes of 6 x 5 x 4, each with its own content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

from medseg_monai.dataset import SPLITS, Dataset
from medseg_monai.prepare.layouts import Drawing, FolderContents, read_layout
from medseg_monai.prepare.pairs import PICTURES, VOLUMES


def pictures(root: Path, *names: str, mode: str = "RGB") -> None:
    """Pictures of chance, in the format that their names say."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(list(name.encode())).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(root / name)


def masks(root: Path, *names: str, mode: str = "L") -> None:
    """Masks with a rectangle of 255."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((6, 8), np.uint8)
        pixels[1 : 3 + len(name) % 3, 2:6] = 255
        Image.fromarray(pixels).convert(mode).save(root / name)


def volumes(root: Path, *names: str) -> None:
    """Image volumes of chance, as MR has them."""
    for name in names:
        values = np.random.default_rng(list(name.encode())).integers(0, 500, (6, 5, 4)).astype(np.int16)
        _save(root / name, values)


def labels(root: Path, *names: str, values: tuple[int, ...] = (0, 1)) -> None:
    """Label volumes in which the values take turns."""
    for name in names:
        _save(root / name, np.resize(np.array(values, np.uint8), (6, 5, 4)))


def _save(file: Path, array: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), file)


def read(root: Path, *, layout: str = "auto", pattern: str = "", kind: str = "pictures") -> tuple[str, FolderContents]:
    """`read_layout`, drawn masks beside the folder."""
    of_kind = {"pictures": PICTURES, "volumes": VOLUMES}[kind]
    return read_layout(root, of_kind, Drawing(root.with_name(root.name + "_out")), layout=layout, pattern=pattern)


def paired(root: Path, found: FolderContents) -> dict[str, tuple[list[str], list[str]]]:
    """{id: (image files, mask files)}, as paths below the folder."""
    return {
        pair.id: (
            [file.relative_to(root).as_posix() for file in pair.stack or (pair.image,)],
            [file.relative_to(root).as_posix() for file in pair.masks],
        )
        for pair in found.pairs
    }


def in_splits(found: FolderContents) -> dict[str, list[str]]:
    """{split: ids}"""
    return {
        split: sorted(pair.id for pair in found.pairs if pair.split == split)
        for split in ("", *SPLITS)
        if any(pair.split == split for pair in found.pairs)
    }


def of_splits(dataset: Dataset) -> Mapping[str, list[str]]:
    """{split: ids} of a prepared data set."""
    return {split: sorted(case["id"] for case in dataset.cases(split)) for split in SPLITS}


def reasons(found: FolderContents) -> dict[str, str]:
    """{file name: why it was left out}"""
    return {path.name: reason for path, reason in found.left_out}
