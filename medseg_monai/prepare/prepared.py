"""The last step of every preparation: usable pairs, splits without leaks, and dataset.json."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medseg_monai.dataset import SPLITS, Dataset, DatasetSpec, check_dataset, read_dataset, write_dataset
from medseg_monai.dataset.cases import absolute_path, stem
from medseg_monai.dataset.leaks import same_content
from medseg_monai.files.csv_tables import csv_text
from medseg_monai.files.writing import write_whole
from medseg_monai.prepare.pairs import LeftOut, Pair
from medseg_monai.prepare.splits import FRACTIONS, draw_splits, fractions_for, read_leave_out, read_splits, read_table
from medseg_monai.program.messages import listed


@dataclass(frozen=True)
class Prepared:
    """A data set, and the files of the raw folder that are not in it, as (file, reason), also in left_out.csv.

    Args:
        notes: what else a person should know.
        layout: the layout of the raw folder, if several were possible.
    """

    dataset: Dataset
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    layout: str = ""


def finish(
    pairs: Sequence[Pair],
    spec: DatasetSpec | Callable[[Sequence[Pair]], DatasetSpec],
    out: Path,
    *,
    left_out: Sequence[LeftOut] = (),
    notes: Sequence[str] = (),
    splits: Path | None = None,
    groups: Path | None = None,
    leave_out: Path | None = None,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
) -> Prepared:
    """Give each pair its split, leave out what would leak, write `out`/dataset.json and left_out.csv.

    A table of `splits` decides; else the pairs' own splits; else the seed draws them by group. If identical images are in
    two splits, test keeps its copy in preference to validation, and validation in preference to training. `spec` may be a
    function that makes it from the training pairs, if it depends on them (a median spacing). What the table `leave_out` names is left
    out once splits are known, so that all others stay in theirs.

    Raises:
        ValueError: nothing is left, all masks are empty, two images have the same id, a group is in two splits, or splits cannot be drawn.
    """
    names = _by_id(pairs)
    gone = list(left_out)
    if groups:
        names, missing = _with_groups(names, groups)
        gone += missing
    if splits:
        names, missing = _by_table(names, splits)
        gone += missing
    elif names and not any(pair.split for pair in names.values()):
        group_of = {n: p.group or n for n, p in names.items()}
        count = len(set(group_of.values()))
        shares = fractions_for(count, fractions)
        if shares != tuple(fractions):
            gone.append(
                (out, f"{count} cases or groups are too few for three splits; add some, or name the splits in a CSV")
            )
        drawn = draw_splits(group_of, seed=seed, fractions=shares)
        names = {name: replace(pair, split=drawn[name]) for name, pair in names.items()}
    if leave_out:
        names, named = _without(names, leave_out)
        gone += named
    names, copies = _without_copies(names)
    gone += copies
    if not names:
        reasons = listed(f"{path}: {reason}" for path, reason in gone) or "no image was found"
        raise ValueError(f"{out}: no image with a usable mask; left out: {reasons}")
    if callable(spec):
        spec = spec([pair for pair in names.values() if pair.split == "training"])
    notes = [*notes, *class_notes(list(names.values()), spec, out)]
    dataset = _dataset(names, spec, out)
    check_dataset(dataset, contents=False)
    _write_left_out(gone, out)
    return Prepared(read_dataset(write_dataset(dataset, out)), tuple(gone), tuple(notes))


def class_notes(pairs: Sequence[Pair], spec: DatasetSpec, out: Path) -> list[str]:
    """Notes on classes that occur in no mask, or in none of the training split; none if not every pair says what is present.

    Raises:
        ValueError: no class occurs at all: there is nothing to learn or measure.
    """
    if any(pair.present is None for pair in pairs):
        return []
    splits = {name: {pair.split for pair in pairs if name in (pair.present or ())} for name in spec.classes}
    if not any(splits.values()):
        counted = " that is not ignored" if spec.ignore else ""
        raise ValueError(
            f"{out}: all {len(pairs)} masks are empty: none has a pixel of {', '.join(spec.classes)}{counted}; "
            "check the masks, and the classes' values (--class NAME=VALUE)"
        )
    nowhere = [name for name, found in splits.items() if not found]
    untrained = [name for name, found in splits.items() if found and "training" not in found]
    notes = [f"no mask has a pixel of {', '.join(nowhere)}"] if nowhere else []
    if untrained and any(pair.split == "training" for pair in pairs):
        notes.append(f"no mask of the training split has a pixel of {', '.join(untrained)}; masks of other splits do")
    return notes


def _by_id(pairs: Sequence[Pair]) -> dict[str, Pair]:
    names: dict[str, Pair] = {}
    for pair in pairs:
        # composed accents, in ids as in tables: macOS decomposes those of file names
        other = names.setdefault(unicodedata.normalize("NFC", pair.id or stem(pair.image)), pair)
        if other is not pair:
            raise ValueError(f"{pair.image} and {other.image} have the same name; rename or remove one of them")
    return names


def _by_table(names: Mapping[str, Pair], file: Path) -> tuple[dict[str, Pair], list[LeftOut]]:
    """Splits by the table; images that it does not name, and names without an image, are reported."""
    table = read_splits(file)
    known = {name: replace(pair, split=table[name]) for name, pair in names.items() if name in table}
    gone = [(pair.image, f"not named in {file.name}") for name, pair in names.items() if name not in table]
    if absent := [name for name in table if name not in names]:
        gone.append((file, f"{len(absent)} of its {len(table)} ids have no usable image here: {listed(absent)}"))
    if not known:
        raise ValueError(f"{file}: names none of the {len(names)} images (ids here: {listed(names)})")
    return known, gone


def _with_groups(names: Mapping[str, Pair], file: Path) -> tuple[dict[str, Pair], list[LeftOut]]:
    """Groups by the table ``image_id,group``; images without one are left out: they might leak."""
    table = {name: group for _, name, group in read_table(file, "group")}
    known = {name: replace(pair, group=table[name]) for name, pair in names.items() if table.get(name)}
    return known, [(p.image, f"has no group in {file.name}") for n, p in names.items() if n not in known]


def _without(names: Mapping[str, Pair], file: Path) -> tuple[dict[str, Pair], list[LeftOut]]:
    """The images that a table does not name; those that it names, and its names without an image, are reported."""
    table = read_leave_out(file)
    if table and not table.keys() & names.keys():
        raise ValueError(f"{file}: names none of the {len(names)} images (ids here: {listed(names)})")
    gone = [
        (pair.image, f"named in {file.name}" + (f": {table[name]}" if table[name] else ""))
        for name, pair in names.items()
        if name in table
    ]
    if absent := [name for name in table if name not in names]:
        gone.append((file, f"{len(absent)} of its {len(table)} ids have no usable image here: {listed(absent)}"))
    return {name: pair for name, pair in names.items() if name not in table}, gone


def _without_copies(names: Mapping[str, Pair]) -> tuple[dict[str, Pair], list[LeftOut]]:
    images = {split: [[p.image] for p in names.values() if p.split == split] for split in SPLITS}
    reasons: dict[Path, str] = {}
    for by_split in same_content(images):
        keeper = max(by_split, key=SPLITS.index)
        kept = by_split[keeper][0]
        for split in by_split.keys() - {keeper}:
            reasons |= dict.fromkeys(by_split[split], f"the same picture as {kept} of the {keeper} split")
    gone = [(p.image, reasons[p.image]) for p in names.values() if p.image in reasons]
    return {name: pair for name, pair in names.items() if pair.image not in reasons}, gone


def _dataset(names: Mapping[str, Pair], spec: DatasetSpec, out: Path) -> Dataset:
    split_cases: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for name, pair in sorted(names.items()):
        masks = [str(absolute_path(mask)) for mask in pair.masks]
        one = len(masks) == 1 and (spec.task != "multilabel" or len(spec.classes) > 1)
        stack = [str(absolute_path(file)) for file in pair.stack]
        case: dict[str, Any] = {"image": stack or str(absolute_path(pair.image)), "label": masks[0] if one else masks}
        case |= {"id": name} if name != stem(pair.image) else {}
        case |= {"group": pair.group} if pair.group else {}
        case |= {"fold": pair.fold} if pair.fold is not None else {}
        case |= {"present": list(pair.present)} if pair.present is not None else {}
        split_cases[pair.split].append(case)
    return Dataset(spec=spec, root=out, **{split: tuple(cases) for split, cases in split_cases.items()})


def _write_left_out(gone: Sequence[LeftOut], out: Path) -> None:
    """Write left_out.csv beside dataset.json, unless nothing was left out."""
    file = out / "left_out.csv"
    if not gone:
        file.unlink(missing_ok=True)
        return
    write_whole(file, csv_text([("file", "reason"), *gone]).encode())
