"""UW-Madison GI tract: MR slices of the abdomen with large bowel, small bowel and stomach, which overlap.

Source: https://www.kaggle.com/competitions/uw-madison-gi-tract-image-segmentation (unpacked: train/, train.csv).
38,496 slices of 85 patients, 57 % of them without any of the three. CC BY-NC-SA 4.0.
Lee et al., Dataset for gastrointestinal tract segmentation on serial MRIs for abdominal tumor radiotherapy, Data in Brief
57, 111159 (2024).
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medseg_monai.dataset import DatasetSpec, Intensity
from medseg_monai.images.masks import write_bands
from medseg_monai.images.photos import opened
from medseg_monai.images.rle import decode_rle
from medseg_monai.images.slices import SliceFile, Stack, check_size, number_ranges, slice_file, stack_of
from medseg_monai.prepare.pairs import LeftOut, Pair, Progress, find_files
from medseg_monai.prepare.patients import dealt_splits, splits_by_table
from medseg_monai.prepare.prepared import Prepared, finish
from medseg_monai.program.messages import did_you_mean, listed

CLASSES = ("large_bowel", "small_bowel", "stomach")
BAD_SCANS = ("case7_day0", "case81_day30")
"""Scans whose masks do not belong to their slices, as participants of the competition discovered."""
TABLE = "train.csv"
COLUMNS = ("id", "class", "segmentation")
SIZE = (256, 256)


@dataclass(frozen=True)
class Runs:
    """One row of the table: its line number and the mask's runs."""

    line: int
    text: str


def prepare_uwmadison(
    raw: Path,
    out: Path,
    *,
    channels: int = 3,
    stride: int = 2,
    bad_scans: Sequence[str] = BAD_SCANS,
    splits: Path | None = None,
    leave_out: Path | None = None,
    fold: int = 0,
    seed: int = 0,
    size: tuple[int, int] = SIZE,
    progress: Progress = iter,
) -> Prepared:
    """Write a mask picture for each slice below `out`/masks (a band per organ), and `out`/dataset.json.

    Splits keep patients (cases) whole: about a seventh of them for testing, the others in five folds, of which one is the
    validation split; all parts are similar in the numbers of slices, slices without organs, and slices with each organ.

    Args:
        raw: the competition's folder, with ``train/`` and ``train.csv``.
        out: output folder.
        channels: 1 for the slice alone; 3 or 5 for as many neighbouring slices (2.5D).
        stride: distance between these, in slices.
        bad_scans: scans to leave out.
        splits: CSV with the columns image_id,split that decides the splits; an id is that of a slice, a scan (case1_day2) or a
            case (case1).
        leave_out: CSV with the column image_id: slices to leave out.
        fold: which fold is the validation split, 0 to 4.
        seed: for drawn splits and folds.
        size: (width, height) of the network's input.
        progress: wraps the pass over all slices.

    Raises:
        FileNotFoundError: `raw`, its slices or its table are missing.
        ValueError: the table has a wrong column, an unknown class or a mask twice; a scan has a slice number twice; nothing
            usable is left.
    """
    raw, out = Path(raw), Path(out)
    spec = uwmadison_spec(channels=channels, stride=stride, size=size)
    rows = read_runs(raw / TABLE)
    found = _find_scans(raw / "train", bad_scans, progress)
    gone = list(found.left_out)
    if absent := [name for name in rows if name not in found.ids]:
        gone.append((raw / TABLE, f"{len(absent)} ids have no slice: {listed(absent)}"))
    pairs: list[Pair] = []
    for scan, slice in progress([(one, slice) for one in found.scans for slice in one.slices]):
        try:
            pairs.append(_pair(slice, scan, rows.get(slice.id, {}), out, spec))
        except ValueError as error:
            gone.append((slice.path, str(error)))
    gone += _unlabelled(raw / "test")
    if splits:
        pairs, unnamed = splits_by_table(pairs, splits)
        gone += unnamed
    elif pairs:
        pairs = dealt_splits(pairs, CLASSES, fold=fold, seed=seed)
    return finish(pairs, spec, out, left_out=gone, leave_out=leave_out)


def uwmadison_spec(*, channels: int = 3, stride: int = 2, size: tuple[int, int] = SIZE) -> DatasetSpec:
    """Three overlapping organs; slices keep their aspect ratio, and each scan its own range of grey levels.

    Raises:
        ValueError: `channels` is not 1, 3 or 5, or `stride` not 1 or 2.

    >>> uwmadison_spec(channels=3, stride=2).channels
    ('slice-2', 'slice', 'slice+2')
    """
    if channels not in (1, 3, 5) or stride not in (1, 2):
        raise ValueError(f"channels must be 1, 3 or 5, and stride 1 or 2; got {channels} and {stride}")
    steps = range(-(channels // 2) * stride, channels // 2 * stride + 1, stride)
    return DatasetSpec(
        "uwmadison",
        "multilabel",
        classes=CLASSES,
        channels=tuple(f"slice{step:+d}" if step else "slice" for step in steps),
        size=size,
        aspect="pad",
        intensity=Intensity("percentile"),
        slice_stride=stride if channels > 1 else None,
        description="Slices of abdominal MR scans with large bowel, small bowel and stomach",
        licence="CC BY-NC-SA 4.0",
        citation="Lee et al., Data in Brief 57, 111159 (2024), doi:10.1016/j.dib.2024.111159",
        modality="MR",
    )


def read_runs(table: Path) -> dict[str, dict[str, Runs]]:
    """The table ``id,class,segmentation`` as {slice id: {class: runs}}.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: a column is missing, a class unknown, a row too short or too long, or a slice has two rows for one class.
    """
    if not table.is_file():
        raise FileNotFoundError(f"{table}: no such file; expected the competition's folder with train/ and {TABLE}")
    rows: dict[str, dict[str, Runs]] = defaultdict(dict)
    with table.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or [])]:
            has = ", ".join(reader.fieldnames or []) or "nothing"
            raise ValueError(f"{table}: no column {missing[0]!r}; its first line has: {has}")
        try:
            for row in reader:
                _add_row(rows, row, reader.line_num, table)
        except csv.Error as error:
            raise ValueError(f"{table}: line {reader.line_num}: {error}") from None
    return rows


def _add_row(rows: dict[str, dict[str, Runs]], row: Mapping[str, str | None], line: int, table: Path) -> None:
    name, organ = row["id"] or "", row["class"] or ""
    if organ not in CLASSES:
        raise ValueError(f"{table}: line {line}: unknown class {organ!r}{did_you_mean(organ, CLASSES)}")
    # truncated, or its runs split by a comma: must not be taken for an absent organ
    if row["segmentation"] is None or None in row:
        raise ValueError(f"{table}: line {line}: has fewer or more columns than the first line; is the file truncated?")
    if first := rows[name].get(organ):
        raise ValueError(f"{table}: {name} has two rows for {organ}, lines {first.line} and {line}; remove one")
    rows[name][organ] = Runs(line, row["segmentation"])


@dataclass(frozen=True)
class TrainFolder:
    """The contents of ``train``: scans of usable slices, unused files, and the ids of all slices, used or not."""

    scans: tuple[Stack, ...]
    left_out: tuple[LeftOut, ...]
    ids: frozenset[str]


def _find_scans(train: Path, bad_scans: Sequence[str], progress: Progress) -> TrainFolder:
    by_folder: dict[Path, list[SliceFile]] = defaultdict(list)
    gone: list[LeftOut] = []
    for path in find_files(train)[0]:
        slice = slice_file(path)
        if slice is None:
            gone.append((path, "not named like a slice (slice_NUMBER_WIDTH_HEIGHT_MM_MM.png)"))
        else:
            by_folder[path.parent].append(slice)
    names = Counter(slices[0].stack for slices in by_folder.values())
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"{train}: {len(twice)} scans are in more than one folder: {listed(twice)}; remove the copies")
    scans = []
    for folder, slices in progress(sorted(by_folder.items())):
        good, why = _usable_scan(folder, stack_of(slices), bad_scans)
        scans += [stack_of(good)] if good else []
        gone += why
    return TrainFolder(
        tuple(scans), tuple(gone), frozenset(slice.id for slices in by_folder.values() for slice in slices)
    )


def _usable_scan(folder: Path, scan: Stack, bad_scans: Sequence[str]) -> tuple[list[SliceFile], list[LeftOut]]:
    """A scan's slices that are 16-bit pictures of the size in their name; the others, and missing numbers."""
    if scan.name in bad_scans:
        reason = f"{len(scan.slices)} slices of a scan known to have wrong masks; --keep-bad-scans keeps it"
        return [], [(folder, reason)]
    good: list[SliceFile] = []
    gone: list[LeftOut] = []
    if scan.missing:
        numbers = number_ranges(scan.missing)
        gone.append((folder, f"slices {numbers} have no file; in stacks the nearest take their place"))
    for slice in scan.slices:
        try:
            with opened(slice.path) as image:
                check_size(slice, image.size)
                if not image.mode.startswith("I"):
                    raise ValueError(
                        f"has 8 bits ({image.mode}), but the competition's slices have 16: use the original"
                    )
            good.append(slice)
        except (ValueError, OSError) as error:
            gone.append((slice.path, str(error).removeprefix(f"{slice.path}: ")))
    return good, gone


def _pair(slice: SliceFile, scan: Stack, rows: Mapping[str, Runs], out: Path, spec: DatasetSpec) -> Pair:
    """Write a slice's mask; return its path, the organs that it shows and the slices that are its channels."""
    if absent := [organ for organ in CLASSES if organ not in rows]:
        raise ValueError(f"{TABLE} has no row for {', '.join(absent)}; an empty mask says that an organ is absent")
    masks = []
    for organ in CLASSES:
        try:
            masks.append(decode_rle(rows[organ].text, slice.size))
        except ValueError as error:
            raise ValueError(f"{TABLE} line {rows[organ].line}, {organ}: {error}") from None
    file = write_bands(np.stack(masks), out / "masks" / scan.name / f"{slice.id}.png")
    stride = spec.slice_stride
    stack = scan.neighbours(slice.number, count=spec.in_channels, stride=stride) if stride else []
    return Pair(
        slice.path,
        (file,),
        id=slice.id,
        group=_patient(slice.stack),
        stack=tuple(stack),
        present=tuple(organ for organ, mask in zip(CLASSES, masks, strict=True) if mask.any()),
    )


def _patient(scan: str) -> str:
    """``case123`` of ``case123_day20``; another name as it is."""
    found = re.match(r"(case\d+)_day\d+", scan)
    return found[1] if found else scan


def _unlabelled(test: Path) -> list[LeftOut]:
    count = sum(1 for _ in test.rglob("slice_*.png"))  # no folder, no slices
    return [(test, f"{count} slices without masks: segment them with `medseg predict`")] if count else []
