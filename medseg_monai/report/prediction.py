"""One self-contained HTML file of the predictions of `medseg predict`: masks, doubtful cases first, and failures."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from medseg_monai.bundle.trained import Trained
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.figures import drawing
from medseg_monai.figures.cases import hexadecimal
from medseg_monai.files.csv_tables import read_records
from medseg_monai.grids.kinds import kind_of
from medseg_monai.images.formats import open_picture
from medseg_monai.outputs.naming import margin_files, possible_masks
from medseg_monai.outputs.order import EMPTY, FLAGGED, PredictedCase
from medseg_monai.outputs.pictures import picture_file
from medseg_monai.outputs.tables import PREDICTIONS_FILE, VOLUMES_FILE
from medseg_monai.program.messages import counted, facts_as_text
from medseg_monai.report.legend import how_to_read
from medseg_monai.report.page import Facts, data_uri, left_out, link_to, page_facts, software, write_page

PAGE_FILE = "index.html"
MOST_PICTURE_BYTES = 10 * 10**6  # of JPEG: a third more as text in the page, below its 20 MB
MOST_ROWS = 10_000
MOST_FIRST = 3
"""Cases that are named at the top, with the reason."""


def write_prediction_report(
    folder: str | Path,
    *,
    trained: Trained,
    run: Facts | None = None,
    model_card: str | Path | None = None,
) -> Path:
    """Write ``index.html`` beside the masks, for all cases in the folder's ``predictions.csv``, and return its path.

    Flagged cases come first, then those in which nothing was found, then the others, each by increasing predicted Dice.
    As many pictures are shown as fit into 20 MB.

    Args:
        folder: with ``predictions.csv``, masks, and the thumbnails that were made with the masks.
        trained: what the weights were trained for.
        run: further facts to show, such as the weights' path.
        model_card: a file to link to; skipped if it does not exist.

    Raises:
        ValueError: the files are invalid.
    """
    place, spec = Path(folder), trained.dataset
    found = sorted(read_predictions(place), key=lambda case: case.urgency)
    cards = _cards(place, found, spec)
    pictured = {card["id"]: card["number"] for card in cards}
    failures = left_out(place)
    reading = how_to_read(trained, lines_drawn=_lines_drawn(place, found, spec))
    return write_page(
        place / PAGE_FILE,
        "prediction.html",
        title=f"What {trained.bundle or 'the network'} found",
        subtitle=f"{_count(len(found), spec)}, segmented by weights trained on {_named(spec)}",
        sections=[("Pictures", "cases"), ("All cases", "all"), ("Run", "run")],
        **page_facts(),
        tiles=_tiles(found, len(failures)),
        first=[{"case": case.case, "number": pictured.get(case.case), "why": case.why} for case in found[:MOST_FIRST]],
        reading=reading,
        lines=any(term == "Thin lines" for term, _ in reading),
        key=[(name, hexadecimal(colour)) for name, colour in _coloured(spec)],
        cards=cards,
        not_shown=len(found) - len(cards),
        left_out=failures,
        columns=["case", "class", "note", "order", *_area_columns(spec), "predicted Dice", "uncertainty", "why"],
        classes=list(spec.classes),
        marks=[mark for mark in (FLAGGED, EMPTY) if any(case.mark == mark for case in found)],
        most_rows=MOST_ROWS,
        rows=_rows(place, found, spec, pictured),
        run=facts_as_text({"bundle": trained.bundle, **(run or {})}),
        data=facts_as_text(spec.to_dict()),
        model_card=link_to(model_card, place),
        versions=facts_as_text(software()),
    )


def _named(spec: DatasetSpec) -> str:
    """A data set's name, and what it shows: a name alone says little to those who did not train on it."""
    return f"{spec.name} ({spec.description})" if spec.description else spec.name


def read_predictions(folder: Path) -> list[PredictedCase]:
    """The cases of ``predictions.csv``, in its order; none if there is no such file.

    Raises:
        ValueError: it is not such a table.
    """
    path = folder / PREDICTIONS_FILE
    cases: dict[str, list[dict[str, str]]] = {}
    for row in read_records(path) if path.is_file() else ():
        cases.setdefault(row["case"], []).append(row)
    try:
        return [PredictedCase.of(case, rows) for case, rows in cases.items()]
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is not a table of predictions: {error}") from error


def _count(cases: int, spec: DatasetSpec) -> str:
    return counted(cases, kind_of(spec).noun)


def _coloured(spec: DatasetSpec) -> list[tuple[str, drawing.Colour]]:
    return list(zip(spec.classes, drawing.class_colours(len(spec.classes)), strict=True))


def _tiles(found: list[PredictedCase], failures: int) -> list[dict[str, Any]]:
    known = any(case.flagged is not None for case in found)
    flagged, empty = sum(case.mark == FLAGGED for case in found), sum(case.empty for case in found)
    return [
        {"name": "segmented", "number": f"{len(found):,}", "range": "", "bad": False},
        {
            "name": "to review",
            "number": f"{flagged:,}" if known else "–",
            "range": "" if known else "not known",
            "bad": flagged > 0,
        },
        {"name": "nothing found", "number": f"{empty:,}", "range": "", "bad": empty > 0},
        {"name": "failed", "number": f"{failures:,}", "range": "", "bad": failures > 0},
    ]


def _lines_drawn(place: Path, found: list[PredictedCase], spec: DatasetSpec) -> bool:
    """Whether the pictures show outer and inner masks, if they are known; of volumes only if they were wanted."""
    return bool(found) and (spec.spatial_dims == 2 or margin_files(place / found[0].case, spec)[0].is_file())


def _cards(place: Path, found: list[PredictedCase], spec: DatasetSpec) -> list[dict[str, Any]]:
    """The cases whose pictures fit into the page."""
    cards: list[dict[str, Any]] = []
    spent = 0
    for case in found:
        file = picture_file(place, case.case)
        if not file.resolve().is_relative_to(place.resolve()) or not file.is_file():
            continue
        content = file.read_bytes()
        spent += len(content)
        if spent > MOST_PICTURE_BYTES:
            break
        areas = _areas(place, case, spec)
        cards.append(
            {
                "number": len(cards) + 1,
                "id": case.case,
                "mark": case.mark,
                "reason": case.reason,
                "picture": data_uri(file, content),
                "mask": _link_to_mask(place, case, spec),
                "areas": [
                    (name, hexadecimal(colour), _in_words(areas[name], spec), _of_several(case, name))
                    for name, colour in _coloured(spec)
                    if case.pixels.get(name)
                ],
                "uncertainty": case.uncertainty,
                "predicted_dice": case.lowest_dice,
                "empty": case.empty and case.mark != EMPTY,
                "several": len(case.predicted_dice or {}) > 1,
            }
        )
    return cards


def _of_several(case: PredictedCase, name: str) -> float | None:
    """The predicted Dice of one of several classes; of a single one None, since the case's is shown."""
    known = case.predicted_dice or {}
    return known.get(name) if len(known) > 1 else None


def _masks(place: Path, case: PredictedCase, spec: DatasetSpec) -> list[Path]:
    """The existing mask files, in whichever format."""
    try:
        return [file for file in possible_masks(case.case, spec, place) if file.is_file()]
    except (OSError, ValueError):  # an id that leads outside the folder
        return []


def _link_to_mask(place: Path, case: PredictedCase, spec: DatasetSpec) -> str | None:
    files = _masks(place, case, spec)
    return link_to(files[0], place) if files else None


def _area_columns(spec: DatasetSpec) -> list[str]:
    return [kind_of(spec).elements, kind_of(spec).relative_size]


def _areas(place: Path, case: PredictedCase, spec: DatasetSpec) -> dict[str, tuple[str, str]]:
    """For each class pixels and their share of the image, or voxels and millilitres; a dash if the second is unknown."""
    if volumes := _millilitres(place).get(case.case):
        return {name: (f"{count}", volumes.get(name, "–")) for name, count in case.pixels.items()}
    files = _masks(place, case, spec)
    whole = 0
    if files:
        with suppress(OSError, ValueError), open_picture(files[0]) as mask:  # somebody's own file in its place
            whole = mask.width * mask.height
    return {name: (f"{n}", f"{100 * n / whole:.2f}" if whole else "–") for name, n in case.pixels.items()}


def _in_words(area: tuple[str, str], spec: DatasetSpec) -> str:
    """An area of `_areas` with its unit."""
    count, size = area
    elements, relative = _area_columns(spec)
    return f"{int(count):,} {elements}" if size == "–" else f"{size} {relative}"


def _millilitres(place: Path) -> dict[str, dict[str, str]]:
    """Case -> class -> ml, from ``volumes.csv``."""
    volumes: dict[str, dict[str, str]] = {}
    for row in read_records(place / VOLUMES_FILE) if (place / VOLUMES_FILE).is_file() else ():
        volumes.setdefault(row["case"], {})[row["class"]] = f"{float(row['ml']):.2f}"
    return volumes


def _rows(
    place: Path, found: list[PredictedCase], spec: DatasetSpec, pictured: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The table: a row for each case and class."""
    rows = []
    for order, case in enumerate(found[: MOST_ROWS // len(spec.classes)], start=1):
        for name, (count, size) in _areas(place, case, spec).items():
            number = "–" if case.uncertainty is None else f"{case.uncertainty:.3f}"
            dice = (case.predicted_dice or {}).get(name)
            known = "–" if dice is None else f"{dice:.2f}"
            cells = [name, case.mark, f"{order}", count, size, known, number, case.reason]
            rows.append({"case": case.case, "number": pictured.get(case.case), "cells": cells})
    return rows
