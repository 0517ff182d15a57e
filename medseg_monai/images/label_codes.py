"""From the numbers or colours in a label file to labels, by a data set's ``label_values`` and ``ignore``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from medseg_monai.dataset.label_values import (
    BACKGROUND,
    IGNORED,
    LabelValues,
    Value,
    code_of,
    shown,
)
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.images.photos import Array, PathLike

SHOWN = 6
"""Number of values that a message names."""


def labels_by_value(codes: Array, values: LabelValues, spec: DatasetSpec, file: PathLike) -> NDArray[np.uint8]:
    """Labels from whole numbers, or from colours as `medseg_monai.dataset.label_values.code_of` gives them.

    Args:
        codes: (*S), whole numbers.
        values: the classes' values.
        spec: the data set; the values in its ``ignore`` become `IGNORED`.
        file: for the error.

    Returns:
        (1, *S) of class numbers, or (classes, *S) of {0, 1} for multilabel; uint8.

    Raises:
        ValueError: a value belongs to no class; the message names such values and the known ones.
    """
    ignored = {code_of(value): IGNORED for value in spec.ignore}
    of_class = {name: values.codes(name) for name in spec.classes}
    known = {*ignored, *values.background(spec.ignore), *(code for codes_ in of_class.values() for code in codes_)}
    if unknown := _other_codes(codes, known):
        raise ValueError(f"{file}: {_unknown_text(unknown, values, spec)}")
    if spec.task == "multilabel":
        tables = [dict.fromkeys(of_class[name], 1) | ignored for name in spec.classes]
    else:
        tables = [{code: n for n, name in enumerate(spec.classes, 1) for code in of_class[name]} | ignored]
    return np.stack([_looked_up(codes, table, known) for table in tables])


def _other_codes(codes: Array, known: Iterable[int]) -> list[int]:
    """The unknown codes, sorted. Slab by slab: a copy of a whole volume would not fit into memory."""
    wanted = np.asarray(sorted(known), np.int64)  # a value of the table may exceed the type of the file
    found: set[int] = set()
    for slab in codes:
        strange = ~np.isin(slab, wanted)
        if strange.any():
            found |= set(np.unique(slab[strange]).tolist())
    return sorted(found)


def _looked_up(codes: Array, table: Mapping[int, int], known: Iterable[int]) -> NDArray[np.uint8]:
    """The table's entry for each code, 0 for those that it lacks; all codes are among the known."""
    lowest = min(known)
    by_code = np.zeros(max(known) - lowest + 1, np.uint8)
    for code, value in table.items():
        by_code[code - lowest] = value
    labels = np.empty(codes.shape, np.uint8)
    for slab, target in zip(codes, labels, strict=True):
        target[...] = by_code[slab.astype(np.int64) - lowest]
    return labels


def _unknown_text(unknown: list[int], values: LabelValues, spec: DatasetSpec) -> str:
    colours = values.are_colours
    kind = "colours" if colours else "values"
    background = ", ".join(_code_text(code, colours=colours) for code in values.background(spec.ignore)) or "none"
    known = [f"{_code_text(code, colours=colours)} {name}" for name in spec.classes for code in values.codes(name)]
    table = ", ".join([f"{background} {BACKGROUND}", *known, *(f"{shown(value)} ignored" for value in spec.ignore)])
    return (
        f"contains {kind} that belong to no class: {codes_text(unknown, colours=colours)} (known: {table}); "
        f"name them with --class NAME=VALUE, --class {BACKGROUND}=VALUE or --ignore VALUE"
    )


def codes_text(codes: Iterable[int], *, colours: bool) -> str:
    """Some of the codes, as a person writes them; colours separated by semicolons.

    >>> codes_text([255, 65280], colours=True), codes_text(range(9), colours=False)
    ('0,0,255; 0,255,0', '0, 1, 2, 3, 4, 5 and 3 more')
    """
    texts = [_code_text(code, colours=colours) for code in codes]
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ("; " if colours else ", ").join(texts[:SHOWN]) + more


def _code_text(code: int, *, colours: bool) -> str:
    value: Value = f"#{code:06x}" if colours else code
    return shown(value)


def ignored_numbers(spec: DatasetSpec) -> list[int]:
    """The whole numbers among the data set's ignored values."""
    return [value for value in spec.ignore if isinstance(value, int)]


def ignored_colours(spec: DatasetSpec) -> list[int]:
    """The colours among them, as `medseg_monai.dataset.label_values.code_of` gives them."""
    return [code_of(value) for value in spec.ignore if isinstance(value, str)]
