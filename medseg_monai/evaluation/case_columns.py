"""What is known of cases besides their images: columns of the data set or of a table, and the masks of several annotators."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from medseg_monai.files.csv_tables import unescaped
from medseg_monai.prepare.pairs import FILE_KINDS, find_files, match_places
from medseg_monai.prepare.splits import image_id, read_rows
from medseg_monai.program.messages import listed

logger = logging.getLogger(__name__)

ID_COLUMNS = ("image_id", "case", "id")
Case = Mapping[str, Any]
MaskFiles = str | list[str]


def case_columns(cases: Sequence[Case], table: str | Path | None = None) -> dict[str, dict[str, str]]:
    """By case id, its values by column: those of the data set's ``strata``, and of a table, which wins.

    Args:
        cases: of the data set.
        table: a CSV file with a column ``image_id`` (or ``case``, ``id``) and any others; cases that it does not name have none of them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not such a table, names a case twice, or names none of the cases.
    """
    columns = {str(case["id"]): {name: str(value) for name, value in case.get("strata", ())} for case in cases}
    if table:
        for name, values in _table(Path(table), columns).items():
            columns[name] |= values
    return columns


def _table(file: Path, known: Mapping[str, object]) -> dict[str, dict[str, str]]:
    """The rows of the cases that are known, by id."""
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: no such file; expected a CSV with a column image_id and a column for each stratum"
        )
    names, rows = read_rows(file)
    key = next((name for name in ID_COLUMNS if name in names), None)
    if key is None or len(names) < 2:
        raise ValueError(
            f"{file}: expected a column {', '.join(ID_COLUMNS[:-1])} or {ID_COLUMNS[-1]}, and others; its first line has: "
            f"{', '.join(names) or 'nothing'}"
        )
    ids = {_composed(case): case for case in known}
    found: dict[str, dict[str, str]] = {}
    for line, row in rows:
        name = ids.get(_composed(unescaped(row[key].strip()))) or ids.get(image_id(unescaped(row[key])))
        if name in found:
            raise ValueError(f"{file}: line {line}: case {row[key]!r} is named for the second time")
        if name is not None:
            found[name] = {column: unescaped((row[column] or "").strip()) for column in names if column != key}
    if not found:
        raise ValueError(f"{file}: names none of the {len(known)} cases; one of them is {next(iter(known))!r}")
    if missing := [name for name in known if name not in found]:
        logger.warning("%s: %d of %d cases are not in the table: %s", file, len(missing), len(known), listed(missing))
    return found


def annotator_masks(
    cases: Sequence[Case], folder: str | Path | None, *, spatial_dims: int
) -> dict[str, dict[str, MaskFiles]]:
    """By case id, the mask files by annotator: those of the data set's ``annotators``, and of a folder, which wins.

    Args:
        cases: of the data set.
        folder: has a folder for each annotator, in which masks are named like the cases, with or without a word such as ``_mask``.
        spatial_dims: 2 for pictures, 3 for volumes.

    Raises:
        FileNotFoundError: there is no such folder, or an annotator's has no masks.
        ValueError: it has no folders, or names match in more than one way.
    """
    masks: dict[str, dict[str, MaskFiles]] = {str(case["id"]): dict(case.get("annotators", ())) for case in cases}
    if not folder:
        return masks
    place = Path(folder)
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: no such folder; expected one with a folder of masks for each annotator")
    people = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not people:
        raise ValueError(f"{place}: has no folders; expected one for each annotator, with masks named like the cases")
    for person in people:
        for case_id, files in _masks_of(person, list(masks), spatial_dims).items():
            masks[case_id][person.name] = files
    return masks


def _masks_of(folder: Path, ids: Sequence[str], spatial_dims: int) -> dict[str, MaskFiles]:
    """One annotator's masks, by case id."""
    found, _ = find_files(folder, FILE_KINDS[spatial_dims])
    images = {Path(f"{case_id}.png"): PurePath(case_id).parent.as_posix() for case_id in ids}  # a suffix, to be ignored
    masks = {path: path.parent.relative_to(folder).as_posix() for path in found}
    matched, orphans = match_places(images, masks, flat=".")
    if not matched:
        raise ValueError(f"{folder}: none of its {len(found)} masks is named like a case; one of them is {ids[0]!r}")
    if orphans:
        logger.warning("%s: %d masks belong to none of the cases: %s", folder, len(orphans), listed(orphans))
    of_case = dict(zip(images, ids, strict=True))
    return {
        of_case[image]: str(files[0]) if len(files) == 1 else [str(file) for file in files]
        for image, files in matched.items()
    }


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
