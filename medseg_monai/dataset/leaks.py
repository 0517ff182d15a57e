"""What two splits must not share: a patient or lesion (group), or a picture with identical content."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from medseg_monai.images.paired import all_files

Key = TypeVar("Key", bound=Hashable)


def shared_keys(keys: Mapping[str, Iterable[Key]]) -> dict[Key, list[str]]:
    """Keys that occur in two or more splits, each with those splits, in order of first occurrence.

    >>> shared_keys({"training": ["p1", "p2", "p2"], "test": ["p2", "p3"]})
    {'p2': ['training', 'test']}
    """
    found: dict[Key, list[str]] = {}
    for split, values in keys.items():
        for value in values:
            splits = found.setdefault(value, [])
            if split not in splits:
                splits.append(split)
    return {value: splits for value, splits in found.items() if len(splits) > 1}


def same_content(images: Mapping[str, Sequence[Sequence[Path]]]) -> list[dict[str, list[Path]]]:
    """Byte-identical images in two or more splits.

    Only files of a size that occurs in another split are read. A picture that was saved again, with other
    bytes, is not found. Files that are missing, empty or unreadable have no content to compare: whoever reads them says so.

    Args:
        images: for each split, the files of each image (several if each channel has its own).

    Returns:
        For each such content, the first file of every image that has it, by split.
    """
    whole = {
        split: [[part for file in files for part in all_files(file)] for files in images[split]] for split in images
    }
    sizes = {split: [_sizes(files) for files in whole[split]] for split in whole}
    suspicious = shared_keys({split: [size for size in sizes[split] if size is not None] for split in sizes})
    found: dict[tuple[str, ...], dict[str, list[Path]]] = defaultdict(dict)
    for split, cases in whole.items():
        for files, size in zip(cases, sizes[split], strict=True):
            if size is not None and size in suspicious:
                with suppress(OSError):
                    digest = tuple(content_hash(file) for file in files)
                    found[digest].setdefault(split, []).append(files[0])
    return [by_split for by_split in found.values() if len(by_split) > 1]


def _sizes(files: Sequence[Path]) -> tuple[int, ...] | None:
    """The files' sizes in bytes; None if one is missing or empty."""
    try:
        sizes = tuple(file.stat().st_size for file in files)
    except OSError:
        return None
    return sizes if all(sizes) else None


def content_hash(file: Path) -> str:
    """Hexadecimal BLAKE2b digest (128 bits) of a file's bytes."""
    digest = hashlib.blake2b(digest_size=16)
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
